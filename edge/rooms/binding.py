"""Binding: which browser family, in which network, a pass was given to. Shown by another, the pass was copied or its
visitor moved.

    browser    the family and the system that a User-Agent names, as in `chrome android`; versions change, these do not
    network    the address's first bits: an IPv4 /24, an IPv6 /48, as the settings say

A pass carries a keyed digest of both (`waiting_room/ticket.py`), so a copy is noticed without remembering anything.
The settings say what follows (`session.bind`): nothing, or the pass does not count there.
"""

import ipaddress
from functools import lru_cache
from typing import Final

from edge.messages.head import RequestHead
from edge.settings.room import SessionSettings
from edge.support.client_address import parse_address
from waiting_room.ticket import Keyring, Pass

__all__ = ["Binding", "browser_family", "network_prefix"]

#: (part of the User-Agent, family), in the order of the search: browsers that also name another browser come first.
FAMILIES = (
    *(("edg", "edge"), ("opr/", "opera"), ("samsungbrowser", "samsung"), ("firefox", "firefox"), ("fxios", "firefox")),
    *(("crios", "chrome"), ("chrome/", "chrome"), ("safari/", "safari")),
)
#: Of a longer User-Agent the rest is not read. Browsers send 300.
MOST_CHARS: Final = 512
SYSTEMS = ("windows", "android", "iphone", "ipad", "macintosh", "cros", "linux")


class Binding:
    """One room's. keys: make the binding digests."""

    def __init__(self, keys: Keyring, session: SessionSettings) -> None:
        self._keys = keys
        self._bound = frozenset(session.bind)
        self._bits = session.bind_ipv4_bits, session.bind_ipv6_bits

    def binding_digest(self, ticket_id: str, head: RequestHead) -> str:
        """Return the binding digest for the pass of this ticket."""
        return self._keys.binding_digest(ticket_id, browser_family(head.user_agent), self.network(head))

    def differing(self, visitor_pass: Pass, head: RequestHead) -> tuple[str, ...]:
        """Return in what the request differs from the visitor the pass was given to: 'browser', 'network'."""
        return self._keys.differing(visitor_pass, browser_family(head.user_agent), self.network(head))

    def network(self, head: RequestHead) -> str:
        """Return the network that a request came from."""
        return network_prefix(head.client_ip, *self._bits)

    def is_mismatch(self, differing: tuple[str, ...]) -> bool:
        """Return whether a pass that differs in this does not count."""
        return not self._bound.isdisjoint(differing)


def browser_family(user_agent: str) -> str:
    """Return what a User-Agent names, without versions: `chrome android`; of programs the name, as in `okhttp`."""
    return _browser_family(user_agent[:MOST_CHARS])


@lru_cache(maxsize=2048)
def _browser_family(user_agent: str) -> str:
    agent = user_agent.lower()
    family = next((name for part, name in FAMILIES if part in agent), None)
    system = next((name for name in SYSTEMS if name in agent), "")
    return f"{family or agent.partition('/')[0]} {system}".strip()


@lru_cache(maxsize=4096)
def network_prefix(address: str, ipv4_bits: int, ipv6_bits: int) -> str:
    """Return the network of an address. A text that is not an address is a network of its own."""
    parsed = parse_address(address)
    if parsed is None:
        return address
    bits = ipv4_bits if parsed.version == 4 else ipv6_bits
    return str(ipaddress.ip_network((parsed, bits), strict=False))
