"""Premium visitors: the shop says so, and the visitor carries a premium token.

    a response of the upstream     Stanchion-Command: premium     (a customer logged in, in a room or outside of any)
    -> the cookie                  stanchion-premium = m1 . <id> . <expires s> . <signature>

A premium visitor's requests count against a looser limit (`abuse.premium_per_minute`) and against no limit for
newcomers. They do not wait less: the line has no ranks. Requests are counted by the id of the premium token
rather than of the ticket, so all copies share what it allows. The edge signs a premium token only when the upstream
asks for it.
"""

from dataclasses import dataclass

from edge.decision.cookies import Cookies
from edge.messages.head import RequestHead
from edge.messages.verdict import Headers
from waiting_room.ticket import Keyring

__all__ = ["Premium", "PremiumToken"]

#: No room's cookie can have this name.
NAME = "stanchion-premium"
MAX_BYTES = 160


@dataclass(frozen=True, slots=True)
class PremiumToken:
    """What makes a visitor premium. expires: wall clock, seconds."""

    id: str
    expires: float


class Premium:
    """Reads and writes premium tokens. lifetime_s: how long one lasts; the shop renews it by saying so again."""

    def __init__(self, keys: Keyring, cookies: Cookies, lifetime_s: float) -> None:
        self._signatures = keys.premium
        self._cookies = cookies
        self._lifetime_s = lifetime_s

    def read(self, head: RequestHead) -> PremiumToken | None:
        """Return the premium token in a head, expired or not, or None if there is no authentic one. Of several cookies
        the one that lasts longest counts."""
        tokens = [token for value in self._cookies.read(NAME, head) if (token := self._opened(value)) is not None]
        return max(tokens, key=lambda token: token.expires, default=None)

    def _opened(self, value: str) -> PremiumToken | None:
        if len(value) > MAX_BYTES or not value.isascii():
            return None
        payload = self._signatures.unsign(value.encode())
        if payload is None:
            return None
        _, ident, expires = payload.decode().split(".")  # the signature vouches that `cookie` wrote it
        return PremiumToken(ident, float(expires))

    def cookie(self, head: RequestHead, ident: str, now: float) -> Headers:
        """Return the cookie for a premium visitor, or nothing while theirs is fresh."""
        shown = self.read(head)
        if shown is not None and shown.expires - now > self._lifetime_s / 2:
            return ()
        kept = ident if shown is None else shown.id
        payload = f"m1.{kept}.{int(now + self._lifetime_s)}"
        return self._cookies.write(NAME, self._signatures.sign(payload.encode()).decode(), int(self._lifetime_s), head)
