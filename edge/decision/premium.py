"""Who is premium: visitors of whom the shop has said so, by a claim that they carry themselves.

    an answer of the upstream's    Stanchion-Command: premium    (a customer has logged in; in a room or outside of any)
    -> the cookie                  stanchion-premium = m1 . <id> . <expires s> . <signature>

A premium visitor's requests count against a looser limit than others' (`abuse.premium_per_minute`), and against no
limit of newcomers. They do not wait less: the line knows no ranks. They are counted by the claim's id rather than by
ticket, so all who are given a copy share what it allows. Only the upstream's word makes one, for the edge signs it.
"""

from dataclasses import dataclass

from edge.decision.cookies import Cookies
from edge.messages.head import RequestHead
from edge.messages.verdict import Headers
from waiting_room.ticket import Keyring

__all__ = ["Claim", "Premium"]

#: No room's cookie can have this name.
NAME = "stanchion-premium"
MAX_BYTES = 160


@dataclass(frozen=True, slots=True)
class Claim:
    id: str
    expires: float
    """Wall clock, seconds."""


class Premium:
    """lifetime_s: how long a claim lasts; the shop renews it whenever it says so again."""

    def __init__(self, keys: Keyring, cookies: Cookies, lifetime_s: float) -> None:
        self._signatures = keys.claims
        self._cookies = cookies
        self._lifetime_s = lifetime_s

    def read(self, head: RequestHead) -> Claim | None:
        """The claim in a head, which may be over; anything else is none."""
        values = self._cookies.read(NAME, head)
        if len(values) != 1 or len(values[0]) > MAX_BYTES or not values[0].isascii():
            return None
        payload = self._signatures.unsign(values[0].encode())
        if payload is None:
            return None
        _, ident, expires = payload.decode().split(".")  # as `grant` wrote it: the signature says so
        return Claim(ident, float(expires))

    def grant(self, head: RequestHead, ident: str, now: float) -> Headers:
        """The cookie for a visitor of whom the shop says that they are premium; none while they have a fresh one."""
        held = self.read(head)
        if held is not None and held.expires - now > self._lifetime_s / 2:
            return ()
        kept = ident if held is None else held.id
        payload = f"m1.{kept}.{int(now + self._lifetime_s)}"
        return self._cookies.write(NAME, self._signatures.sign(payload.encode()).decode(), int(self._lifetime_s), head)
