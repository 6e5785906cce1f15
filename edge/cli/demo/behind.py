"""`stanchion demo --behind nginx`: the demo's edge behind a real load balancer, over HTTPS with HTTP/2.

you, crowd --HTTPS, HTTP/2--> load balancer --asks--> edge
                                    '-----------------> shop
"""

import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from edge.cli.behind.balancer import Balancer, find_program
from edge.cli.behind.certificate import make_certificate
from edge.cli.plugin.render import WAYS, render
from edge.cli.plugin.site import Address, Site

__all__ = ["plugins_for", "running_behind"]

#: What each load balancer needs of the settings.
_ENDPOINTS: Final[dict[str, dict[str, Any]]] = {
    "nginx": {"accel": {"enabled": True}},
    "haproxy": {"forward_auth": {"enabled": True}},
    "caddy": {"forward_auth": {"enabled": True}},
    "traefik": {"forward_auth": {"enabled": True, "cookie_on_allow": "redirect"}},
    "envoy": {"ext_authz_grpc": {"enabled": True}},
}


def plugins_for(name: str) -> dict[str, Any]:
    """Return the `plugins` section for this load balancer. Raises EdgeError if its program is missing."""
    find_program(name)
    section: dict[str, Any] = {"listen": "tcp://127.0.0.1:0", "endpoints": _ENDPOINTS[name]}
    return section | ({"grpc_listen": "tcp://127.0.0.1:0"} if name == "envoy" else {})


@contextlib.asynccontextmanager
async def running_behind(name: str, port: int, shop_url: str, asks: list[str]) -> AsyncIterator[str]:
    """Run the load balancer on a port, 0 for a free one, and yield its address.

    asks: the addresses of the plugin listeners.
    """
    addresses = {urlsplit(each).scheme: Address.parse(each) for each in asks}
    with tempfile.TemporaryDirectory(prefix="stanchion-behind-") as made:
        folder = Path(made)
        certificate, key = await make_certificate(folder)
        site = Site(
            way=WAYS[name][0],
            asks=addresses["http"],
            shops=(Address.parse(shop_url),),
            listen=Address("127.0.0.1", port or _free_port()),
            certificate=str(certificate),
            key=str(key),
            grpc=addresses.get("grpc"),
            scratch=made,
        )
        balancer = Balancer(name, site, render(name, site), folder)
        try:
            await balancer.start()
            yield balancer.url
        finally:
            await balancer.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
