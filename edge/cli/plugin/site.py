"""What the configuration of any load balancer needs to know, and how a template is filled.

settings + options --> Site --> nginx.py, haproxy.py, envoy.py, caddy.py, traefik.py --> files
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from edge.support.client_fields import ENDING
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["HOSTILE", "Address", "Files", "Render", "Site", "SplitRoom", "fill", "refusal"]

#: Fields by which a visitor could have the shop serve another address or method than the one that was asked about.
HOSTILE: Final = tuple(sorted(name.decode() for name in ENDING))
#: The text of each file by its name. The first one is what the load balancer is started with.
Files = dict[str, str]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: a host and a port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    socket: str = ""

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Return the address in `tcp://HOST:PORT`, `http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:///PATH`."""
        if url.startswith("unix://"):
            return cls(socket=url.removeprefix("unix://"))
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SplitRoom:
    """A room with passes that the load balancer verifies."""

    name: str
    prefixes: tuple[str, ...]
    """How the paths of the room begin."""
    cookie: str
    session_s: float


@dataclass(frozen=True, slots=True)
class Site:
    """One shop behind one load balancer."""

    way: str
    """'path', 'split', or the dialect in which the load balancer asks."""
    asks: Address
    """The plugin listener; in path the listener of visitors."""
    shops: tuple[Address, ...]
    """The shop's servers."""
    listen: Address = field(default_factory=lambda: Address("0.0.0.0", 443))
    """Where the load balancer itself listens."""
    certificate: str = "/etc/ssl/shop/tls.crt"
    """PEM file with the certificate; '' for plain HTTP."""
    key: str = "/etc/ssl/shop/tls.key"
    grpc: Address | None = None
    body_bytes: int = 10_485_760
    """The longest body of a request."""
    fails_open: bool = False
    """While the edge cannot be reached, requests pass. Otherwise they get a 503."""
    reports: Address | None = None
    """Where the shop's answers are reported, as datagrams; None if they are not."""
    rooms: tuple[SplitRoom, ...] = ()
    """In the split way: the rooms."""
    pass_keys: tuple[str, ...] = ()
    """In the split way: the derived keys of passes in base64, newest first."""
    park_s: float = 0.0
    """How long a question may be parked."""
    scratch: str = ""
    """A folder for the load balancer's own files; '' for the usual folders of a system service."""

    @property
    def is_secure(self) -> bool:
        return bool(self.certificate)


Render = Callable[[Site], Files]


def fill(template: str, values: Mapping[str, object]) -> str:
    """Return the template with every `<NAME>` replaced, those in values too. Raises KeyError for an unknown name.

    Configuration languages use `$`, `%` and braces themselves, so none of Python's own notations fits.
    """
    filled = template
    while (more := re.sub(r"<([A-Z_]+)>", lambda found: str(values[found[1]]), filled)) != filled:
        filled = more
    # A value may be empty: its line goes with it.
    filled = re.sub(r"(?m)^[ \t]+$", "", filled)
    return re.sub(r"\n{3,}", "\n\n", filled).lstrip("\n")


def refusal(what: str, why: str) -> ConfigurationError:
    """Return the error for a configuration that this load balancer cannot have."""
    return ConfigurationError("stanchion plugin config", [SettingFault(what, why)])
