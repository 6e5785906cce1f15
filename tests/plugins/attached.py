"""A whole installation for a case: a shop, an edge, a real load balancer in front, and visitors.

visitor --> load balancer --asks--> edge
                 '------------------------> shop
"""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from yarl import URL

from edge.cli.behind.balancer import Balancer
from edge.cli.behind.certificate import make_certificate
from edge.cli.plugin.render import render
from edge.cli.plugin.site import Address, Site
from edge.cli.plugin.split import pass_keys_of, split_rooms_of
from edge.settings.loading import parse_settings
from tests.edge.running import RunningEdge, running_edge, with_rooms
from tests.plugins.shop import Shop, running_shop
from tests.ports import free_port

#: The key of `running_edge`.
KEY = "a-key-for-tests-only-" + "x" * 22
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"}
APP = {"Accept": "application/json", "User-Agent": "shop-app/1.0"}

#: `shut` admits its first visitor and then one in some twenty minutes; `fast` admits all; `slow` has a line that moves.
ROOMS: tuple[dict[str, Any], ...] = (
    {"name": "shut", "match": {"paths": ["/shut*"]}, "capacity": {"admissions_per_second": 0.001, "burst_floor": 1}},
    {"name": "fast", "match": {"paths": ["/fast*"]}, "capacity": {"admissions_per_second": 1000}},
    {
        "name": "slow",
        "match": {"paths": ["/slow*"]},
        "capacity": {"admissions_per_second": 2, "burst_floor": 1},
        "polling": {"min_seconds": 0.3, "max_seconds": 2},
    },
)

ON = {"enabled": True}
#: The settings of each dialect.
PLUGINS: Mapping[str, dict[str, Any]] = {
    "accel": {"endpoints": {"accel": ON}},
    "auth-request": {"endpoints": {"accel": ON, "auth_request": ON}},
    "forward-auth": {"endpoints": {"forward_auth": ON}},
    "ext-authz": {"endpoints": {"ext_authz": ON}},
    "ext-authz-grpc": {"endpoints": {"ext_authz_grpc": ON}},
    "path": {},
    "split": {},
}


@dataclass
class Reply:
    status: int
    headers: "aiohttp.typedefs.CIMultiDictProxy[str]"
    body: bytes

    @property
    def state(self) -> str:
        return self.headers.get("Stanchion-State", "")

    @property
    def cookies(self) -> list[str]:
        return self.headers.getall("Set-Cookie", [])

    @property
    def is_shop(self) -> bool:
        return self.body.startswith(b"the shop")


@dataclass
class Visitor:
    """Keeps cookies by name, as browsers send them: byte for byte, in the order they came."""

    url: str
    headers: Mapping[str, str]
    cookies: dict[str, str] = field(default_factory=dict)
    follows: bool = True
    """Redirects are followed, up to 5, as browsers do."""

    async def ask(
        self, target: str, method: str = "GET", data: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        for _ in range(6):
            reply = await self._ask(target, method, data, headers or {})
            location = reply.headers.get("Location")
            if location is None or not self.follows:
                return reply
            assert reply.status == 303, reply
            target = re.sub(r"^https?://[^/]*", "", location)
        raise AssertionError("the redirects have no end")

    async def _ask(self, target: str, method: str, data: Any, headers: Mapping[str, str]) -> Reply:
        async with (
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True, timeout=aiohttp.ClientTimeout(total=55)
            ) as session,
            session.request(
                method,
                URL(self.url + target, encoded=True),
                data=io.BytesIO(data) if isinstance(data, bytes) else data,
                headers=self.sent(headers),
                ssl=False,
                allow_redirects=False,
            ) as response,
        ):
            body = await response.read()
            self.keep(response.headers.getall("Set-Cookie", []))
            return Reply(response.status, response.headers, body)

    def sent(self, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the fields of a request of this visitor."""
        fields = {**self.headers, **(headers or {})}
        if self.cookies and "Cookie" not in fields:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return fields

    def keep(self, set_cookies: list[str]) -> None:
        for line in set_cookies:
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            if "max-age=0" in attributes.lower().replace(" ", "") and not value:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value


@dataclass
class Bench:
    """One load balancer, attached in one way."""

    name: str
    way: str
    balancer: Balancer
    edge: RunningEdge
    shop: Shop
    folder: Path

    @property
    def url(self) -> str:
        return self.balancer.url

    def browser(self) -> Visitor:
        return Visitor(self.url, PAGE)

    def app(self) -> Visitor:
        return Visitor(self.url, APP)

    async def inside(self, room: str = "fast") -> Visitor:
        """Return a visitor with a pass for a room."""
        visitor = self.browser()
        async with asyncio.timeout(30):
            while True:
                reply = await visitor.ask(f"/{room}")
                if reply.is_shop and any(room in name for name in visitor.cookies):
                    return visitor
                await asyncio.sleep(0.2)

    async def shut(self) -> None:
        """Let the first visitor into the room `shut`, so that all others wait."""
        await self.browser().ask("/shut")


def settings_of(way: str, shop: str, edge_port: int, other_port: int, **changes: Any) -> dict[str, Any]:
    """Return the settings of an edge that is attached in this way."""
    tree = with_rooms(shop, *changes.pop("rooms", ROOMS)) | {"workers": 1} | changes
    tree["limits"] = {"body_bytes": 20_000_000}
    plugins = {**PLUGINS[way], **tree.pop("plugins", {})}
    if way == "split":
        tree["rooms"] = [{**room, "session": {"bind": []}} for room in tree["rooms"]]
    if way in ("path", "split"):
        tree["listen"] = [f"tcp://127.0.0.1:{edge_port}"]
        tree["trusted_proxies"] = ["127.0.0.1"]
    else:
        plugins["listen"] = f"tcp://127.0.0.1:{edge_port}"
        if way == "ext-authz-grpc":
            plugins["grpc_listen"] = f"tcp://127.0.0.1:{other_port}"
        plugins["report"] = {"enabled": True, "listen": f"udp://127.0.0.1:{other_port}"}
    return tree | ({"plugins": plugins} if plugins else {})


@asynccontextmanager
async def attached(
    name: str,
    way: str,
    folder: Path,
    *,
    is_secure: bool = True,
    fails_open: bool = False,
    shop_url: str = "",
    **changes: Any,
) -> AsyncIterator[Bench]:
    """Run a shop, an edge and a load balancer in front. shop_url: of another shop. changes: of the edge's settings."""
    if name == "traefik" and way != "path":
        changes.setdefault("plugins", {}).setdefault("cookie_on_allow", "redirect")
    async with running_shop() as shop:
        edge_port, other_port = free_port(), free_port()
        shop.url = shop_url or shop.url
        tree = settings_of(way, shop.url, edge_port, other_port, **changes)
        certificate, key = await make_certificate(folder) if is_secure else ("", "")
        settings = parse_settings(yaml.safe_dump(tree))
        site = Site(
            way=way,
            rooms=split_rooms_of(settings, is_secure=is_secure) if way == "split" else (),
            pass_keys=pass_keys_of((KEY.encode(),)),
            asks=Address("127.0.0.1", edge_port),
            shops=(Address.parse(shop.url),),
            listen=Address("127.0.0.1", free_port()),
            certificate=str(certificate),
            key=str(key),
            grpc=Address("127.0.0.1", other_port),
            reports=None if way in ("path", "split") else Address("127.0.0.1", other_port),
            body_bytes=20_000_000,
            fails_open=fails_open,
            scratch=str(folder),
        )
        balancer = Balancer(name, site, render(name, site), folder)
        async with running_edge(yaml.safe_dump(tree), folder, TMPDIR=str(folder)) as edge:
            try:
                await balancer.start()
                yield Bench(name, way, balancer, edge, shop, folder)
            finally:
                await balancer.stop()
