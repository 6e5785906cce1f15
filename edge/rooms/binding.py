"""Whom a pass was given to: which browser, in which network. Shown by another, it was copied, or its bearer moved.

    browser    the family and the system that a User-Agent names, as in `chrome android`; versions change, these do not
    network    the address' first bits: an IPv4 /24, an IPv6 /48, as the settings say

A pass carries a keyed digest of both (`waiting_room/ticket.py`), so nothing has to be remembered to notice a copy.
What follows is the settings' choice (`session.bind`): nothing, or the pass does not count there.
"""

import ipaddress
from functools import lru_cache

from edge.messages.head import RequestHead
from edge.settings.room import SessionSettings
from edge.support.client_address import parse_address
from waiting_room.ticket import Keyring, Pass

__all__ = ["Binding", "browser_family", "network_prefix"]

#: What names a family, in the order in which it is looked for: those who call themselves by another's name come first.
FAMILIES = (
    *(("edg", "edge"), ("opr/", "opera"), ("samsungbrowser", "samsung"), ("firefox", "firefox"), ("fxios", "firefox")),
    *(("crios", "chrome"), ("chrome/", "chrome"), ("safari/", "safari")),
)
SYSTEMS = ("windows", "android", "iphone", "ipad", "macintosh", "cros", "linux")


class Binding:
    """One room's. keys: make the binding_digest."""

    def __init__(self, keys: Keyring, session: SessionSettings) -> None:
        self._keys = keys
        self._bound = frozenset(session.bind)
        self._bits = session.bind_ipv4_bits, session.bind_ipv6_bits

    def binding_digest(self, ident: str, head: RequestHead) -> str:
        """What the pass for a ticket of this id says."""
        return self._keys.binding_digest(ident, browser_family(head.user_agent), self.network(head))

    def differing(self, held: Pass, head: RequestHead) -> tuple[str, ...]:
        """In what whoever shows a pass differs from whom it was given to."""
        return self._keys.differing(held, browser_family(head.user_agent), self.network(head))

    def network(self, head: RequestHead) -> str:
        """The network that a request came from."""
        return network_prefix(head.client_ip, *self._bits)

    def matters(self, differing: tuple[str, ...]) -> bool:
        """Whether a pass that differs in this does not count."""
        return not self._bound.isdisjoint(differing)


@lru_cache(maxsize=2048)
def browser_family(user_agent: str) -> str:
    """Who a User-Agent says it is, without versions: `chrome android`; of programs the name, as in `okhttp`."""
    agent = user_agent.lower()
    family = next((name for part, name in FAMILIES if part in agent), None)
    system = next((name for name in SYSTEMS if name in agent), "")
    return f"{family or agent.partition('/')[0]} {system}".strip()


@lru_cache(maxsize=4096)
def network_prefix(address: str, ipv4_bits: int, ipv6_bits: int) -> str:
    """The network that an address is in; what is no address is a network of its own."""
    parsed = parse_address(address)
    if parsed is None:
        return address
    bits = ipv4_bits if parsed.version == 4 else ipv6_bits
    return str(ipaddress.ip_network((parsed, bits), strict=False))
