"""The visitor's address, scheme, host and port, if proxies stand between visitor and edge.

One rule for all fields. Every proxy appends to their lists, so only the right end can be believed. The list of
addresses is read from the right; the first address that is not a trusted proxy's is the visitor's. What the proxy that
saw the visitor has said stands as far from the right in the other lists:

    X-Forwarded-For:   203.0.113.9, 192.0.2.7, 10.0.0.1       peer 10.0.0.2; 10.0.0.0/8 is trusted
                       |            |          '- by 10.0.0.2: trusted, so read on
                       |            '- by 10.0.0.1: the visitor. Two entries are believed
                       '- by the visitor: anything
    X-Forwarded-Proto:              https,     http           -> https
    X-Forwarded-Host:                          www.shop.test  -> www.shop.test, because the list is shorter

`Forwarded` (RFC 7239) is read by the same rule if there is no `X-Forwarded-For`: a proxy that writes one of the two
passes the other on as the visitor sent it, and `X-Forwarded-For` is what nearly all proxies write. Without trusted
proxies all fields are ignored, and the peer is the visitor. An IPv4-mapped IPv6 address is its IPv4 address everywhere.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from edge.support.host import is_host

__all__ = ["NO_FIELDS", "Origin", "TrustedProxies", "network_of", "parse_address", "parse_network", "plain_address"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: For `TrustedProxies.origin`: a request without forwarding fields.
NO_FIELDS: Final[Mapping[bytes, bytes]] = {}
#: `wss` and `ws`: some proxies name the scheme of a WebSocket's URL (Traefik).
_SCHEMES: Final = {"https": "https", "wss": "https", "http": "http", "ws": "http"}
#: Of a `Forwarded` list, in characters. A longer one is malformed, so that reading it costs little.
LONGEST_ELEMENT: Final = 1024
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
#: A parameter of a `Forwarded` element: a token or a quoted string (RFC 7239, 4).
_PARAMETER: Final = re.compile(r"""\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))\s*(?:;|$)""")


# Not changed after it is built, yet not `frozen`; `__init__` written out: docs/performance.md.
@dataclass(slots=True, init=False)
class Origin:
    """Where a request came from, as far as it can be believed."""

    ip: str
    scheme: str
    forwarded_for: str
    """The `X-Forwarded-For` to send to the upstream: the believed part of the list, and the peer."""
    host: str | None
    """The host that the visitor asked for, as a trusted proxy says, or None."""
    port: str | None
    """The port that the visitor asked at, as a trusted proxy says, or None."""

    def __init__(
        self, ip: str, scheme: str, forwarded_for: str, host: str | None = None, port: str | None = None
    ) -> None:
        self.ip = ip
        self.scheme = scheme
        self.forwarded_for = forwarded_for
        self.host = host
        self.port = port


class TrustedProxies:
    """The networks with forwarding fields that are believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(parse_network(network) for network in networks)
        self.is_empty = not self._networks
        """No proxy is trusted, so a request's fields have no say in where it came from."""

    def trusts(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def origin(self, peer: str, scheme: str, fields: Mapping[bytes, bytes]) -> Origin:
        """Return where a request came from.

        `peer` is the address that the connection came from, `scheme` is 'https' if it is encrypted. `fields` are the
        request's by lower-case name, repeated ones joined by commas.
        """
        if not self._networks:
            return Origin(peer, scheme, peer)
        peer = plain_address(peer)
        if not self.trusts(peer):
            return Origin(peer, scheme, peer)
        if b"x-forwarded-for" not in fields and b"forwarded" in fields:
            return self._origin_of_elements(peer, scheme, _text(fields, b"forwarded"))
        listed = _entries(fields, b"x-forwarded-for")
        believed, read = self._walk(peer, reversed(listed))
        # Without a list of addresses, the peer alone has spoken.
        hops = max(1, read)
        return _origin(
            believed,
            scheme,
            _said(_entries(fields, b"x-forwarded-proto"), hops),
            _said(_entries(fields, b"x-forwarded-host"), hops),
            _said(_entries(fields, b"x-forwarded-port"), hops),
        )

    def _origin_of_elements(self, peer: str, scheme: str, text: str) -> Origin:
        elements: list[dict[str, str]] = []
        while text:
            text, _, last = _cut_last(text)
            elements.append(_parameters(last))
            # The left end is anybody's, and need not be read.
            if not self.trusts(elements[-1].get("for", "")):
                break
        believed, read = self._walk(peer, (element.get("for", "") for element in elements))
        told = list(reversed(elements[: max(1, read)]))
        protos, hosts = ([each[name] for each in told if name in each] for name in ("proto", "host"))
        return _origin(believed, scheme, protos[0] if protos else "", hosts[0] if hosts else "", "")

    def _walk(self, peer: str, addresses: Iterable[str]) -> tuple[list[str], int]:
        """Return the believed addresses, the peer's first and the visitor's last, and how many entries were read."""
        believed, read = [peer], 0
        for hop in addresses:
            read += 1
            parsed = parse_address(hop)
            # An entry that is not an address ends the part that can be believed.
            if parsed is None:
                break
            believed.append(str(parsed))
            if not self.trusts(believed[-1]):
                break
        return believed, read


def _origin(believed: list[str], scheme: str, proto: str, host: str, port: str) -> Origin:
    is_port = port.isascii() and port.isdigit() and 0 < int(port) <= 65_535
    return Origin(
        believed[-1],
        _SCHEMES.get(proto.lower(), scheme),
        ", ".join(reversed(believed)),
        host if is_host(host.encode("latin-1")) else None,
        port if is_port else None,
    )


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("latin-1")


def _entries(fields: Mapping[bytes, bytes], name: bytes) -> list[str]:
    return [entry.strip() for entry in _text(fields, name).split(",") if entry.strip()]


def _said(entries: list[str], hops: int) -> str:
    """Return the entry of the proxy that saw the visitor: this many from the right, or the first if there are fewer."""
    return entries[-min(hops, len(entries))] if entries else ""


def _cut_last(text: str) -> tuple[str, str, str]:
    """Split a `Forwarded` list before its last element. The left end may be malformed, so it is read from the right."""
    is_quoted = False
    for at in range(len(text) - 1, max(-1, len(text) - LONGEST_ELEMENT), -1):
        if text[at] == '"' and text[at - 1 : at] != "\\":
            is_quoted = not is_quoted
        elif text[at] == "," and not is_quoted:
            return text[:at], ",", text[at + 1 :]
    return "", "", text


def _parameters(element: str) -> dict[str, str]:
    """Return the parameters of one element by lower-case name; none if it is malformed."""
    found: dict[str, str] = {}
    at = 0
    if len(element) > LONGEST_ELEMENT:
        return {}
    while at < len(element):
        parameter = _PARAMETER.match(element, at)
        if parameter is None:
            return {}
        name, quoted, token = parameter.groups()
        found[name.lower()] = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        at = parameter.end()
    return found


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network that limits count by: an IPv4 address itself, or an IPv6 /64, which one customer is given."""
    if ":" not in address:
        return address
    parsed = parse_address(address)
    if not isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed) if parsed else address
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64)) + "/64"


def plain_address(text: str) -> str:
    """Return an address as it is, or as IPv4 if it is an IPv4-mapped IPv6 address, as on a socket that takes both."""
    if ":" not in text:
        return text
    parsed = parse_address(text)
    return str(parsed) if isinstance(parsed, ipaddress.IPv4Address) else text


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


def parse_network(text: str) -> _Network:
    """Return the network in `text`; one of IPv4-mapped addresses as IPv4. Raises ValueError."""
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96 and network[0] in _MAPPED:
        first = int(network.network_address) & 0xFFFF_FFFF
        return ipaddress.IPv4Network((first, network.prefixlen - 96))
    return network
