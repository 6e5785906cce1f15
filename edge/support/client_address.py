"""The visitor's address, if proxies stand between visitor and edge.

`X-Forwarded-For` is a list that every proxy appends to, so only its right end can be believed. It is read from the
right; the first address that is not a trusted proxy's is the visitor's. A client can write anything to the left of
that. Without trusted proxies the field is ignored, and the peer is the visitor.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Origin", "TrustedProxies", "network_of", "parse_address"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


# Not changed after it is built, yet not `frozen`; `__init__` written out: docs/performance.md.
@dataclass(slots=True, init=False)
class Origin:
    """Where a request came from, as far as it can be believed."""

    ip: str
    scheme: str
    forwarded_for: str
    """The `X-Forwarded-For` to send to the upstream: the believed part of the list, and the peer."""
    host: str | None
    """`X-Forwarded-Host` of a trusted proxy, or None."""

    def __init__(self, ip: str, scheme: str, forwarded_for: str, host: str | None) -> None:
        self.ip = ip
        self.scheme = scheme
        self.forwarded_for = forwarded_for
        self.host = host


class TrustedProxies:
    """The networks whose forwarding fields are believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)
        self.is_empty = not self._networks
        """No proxy is trusted, so a request's fields have no say in where it came from."""

    def trusts(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def origin(self, peer: str, scheme: str, forwarded_for: str, forwarded_proto: str, forwarded_host: str) -> Origin:
        """`peer` is the address that the connection came from; the other values are as sent, '' if missing."""
        if not self._networks or not self.trusts(peer):
            return Origin(peer, scheme, peer, None)
        believed, visitor = [peer], peer
        for hop in reversed([entry.strip() for entry in forwarded_for.split(",") if entry.strip()]):
            parsed = parse_address(hop)
            # An entry that is not an address ends the part that can be believed.
            if parsed is None:
                break
            visitor = str(parsed)
            believed.append(visitor)
            if not self.trusts(visitor):
                break
        proto = forwarded_proto.rpartition(",")[2].strip().lower()
        host = forwarded_host.rpartition(",")[2].strip()
        return Origin(
            visitor, proto if proto in ("http", "https") else scheme, ", ".join(reversed(believed)), host or None
        )


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network that limits count by: an IPv4 address itself, or an IPv6 /64, which one customer is given."""
    if ":" not in address:
        return address
    parsed = parse_address(address)
    if not isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed) if parsed else address
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64)) + "/64"


def parse_address(text: str) -> _Address | None:
    """Return the address in `text`, with or without a port or brackets, or None if it is not one.

    An IPv4-mapped IPv6 address is returned as IPv4.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
