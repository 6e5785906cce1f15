"""Ticket and pass: the cookie by which a visitor carries their own place in line.

A room has one cookie, `stanchion_<room>`. It holds a ticket while its visitor waits and a pass once admitted, so a
front proxy that carries one cookie carries all. Both are text, readable by anybody and forgeable by nobody:

    t1 . checkout . 3q2-7wAAAAAAAAAAAAAAAA . 1763719200123 . 1763719260 . <signature>
    |    |          |                        |               |            HMAC-SHA256, base64url, by itsdangerous
    |    |          |                        |               last sign of life, whole seconds
    |    |          |                        first_seen, milliseconds
    |    |          id: 128 random bits, base64url
    |    |          behind it ~a and whole seconds, if the visitor was told to come back only after so many
    |    room
    kind and version: t1 a ticket, p1 a pass

    p1 . checkout . <id>~<binding_digest> . <first_seen ms> . <admitted ms> . <expires s> . <signature>
                         |
                         whom it was given to: b and four letters, a keyed digest of the browser's family, n and four,
                         one of the network. They differ from pass to pass, so they tell no two visitors' likeness

    j1 . checkout . <id> . <arrived ms> . <signature>           a join_token: its visitor has yet to join the line

What stands behind a ~ came later: cookies from before have none of it, and older nodes take it for a part of the id.

Times are Unix time. Ticket and pass are signed under keys derived with different salts, so neither can be passed off as
the other. Keys form a list: the first signs, all verify, so keys are changed without anybody losing their place.

Age is judged here against a `now` that the caller passes in and with a stated allowance for clock skew between nodes;
the library's own time-stamp check would refuse a ticket that was signed by a node one second ahead.

Any bytes either open or are rejected with a reason; nothing raises. Whoever shows a rejected cookie is a first visitor.
"""

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from waiting_room.signature import TO_URL, Marks, Signatures, derived

__all__ = [
    "ID_BYTES",
    "SIGN_OF_LIFE_S",
    "JoinToken",
    "Keyring",
    "Pass",
    "Rejected",
    "Rejection",
    "Ticket",
    "cookie_name",
    "cookie_values",
    "judge",
    "new_join_token",
    "new_ticket",
]

#: A waiting ticket is signed anew when its sign of life is older than this: an unchanged head makes polls cheap.
SIGN_OF_LIFE_S: Final = 60.0
#: The longest cookie that is looked at. Ours have 150 bytes at most; browsers allow 4096.
MAX_COOKIE_BYTES: Final = 256
#: Bytes of randomness in an id: as many as a UUID.
ID_BYTES: Final = 16
ID_CHARACTERS: Final = 22  # of them in base64, without padding


class Rejection(StrEnum):
    """Why a cookie was not accepted; the values are metric labels."""

    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    DUPLICATED = "duplicated"
    SIGNATURE = "signature"
    ROOM = "room"
    FUTURE = "future"
    EXPIRED = "expired"
    USED = "used"


@dataclass(frozen=True, slots=True)
class Rejected:
    reason: Rejection


@dataclass(slots=True, init=False)  # never changed, yet not `frozen`; `__init__` by hand: docs/performance.md
class Ticket:
    """A place in line. `first_seen` is the time of the first arrival and never changes; both times are seconds."""

    id: str
    room: str
    first_seen: float
    seen: float
    told_s: int
    """So long after `seen` the visitor was told to come back, when that is long."""
    moved_back_s: float
    """By how much `renewed` has just put it back; the cookie does not say that."""

    def __init__(
        self, id: str, room: str, first_seen: float, seen: float, told_s: int = 0, moved_back_s: float = 0.0
    ) -> None:
        self.id = id
        self.room = room
        self.first_seen = first_seen
        self.seen = seen
        self.told_s = told_s
        self.moved_back_s = moved_back_s

    def needs_renewal(self, now: float) -> bool:
        return now - self.seen >= SIGN_OF_LIFE_S

    def renewed(self, now: float, away_s: float | None = None) -> "Ticket":
        """The same place with a new sign of life.

        away_s: who was away for longer, beyond the appointment, is put back by what is over; never behind a newcomer,
        as nobody can be away for longer than they have been in line. None: nobody is put back. A sign of life may be a
        minute older than the last answer, and the allowance is that much shorter.
        """
        over_s = 0.0 if away_s is None else max(0.0, now - self.seen - self.told_s - away_s)
        first_seen = min(self.first_seen + over_s, now) if over_s else self.first_seen
        return Ticket(self.id, self.room, first_seen, now, moved_back_s=first_seen - self.first_seen)


@dataclass(slots=True, init=False)  # as above
class Pass:
    """The right to skip the line until `expires` (seconds, Unix time)."""

    id: str
    room: str
    first_seen: float
    admitted_at: float
    expires: float
    binding_digest: str
    """Whom it was given to, as in the cookie; '' when it does not say."""

    def __init__(
        self, id: str, room: str, first_seen: float, admitted_at: float, expires: float, binding_digest: str = ""
    ) -> None:
        self.id = id
        self.room = room
        self.first_seen = first_seen
        self.admitted_at = admitted_at
        self.expires = expires
        self.binding_digest = binding_digest


@dataclass(slots=True, init=False)  # as above
class JoinToken:
    """Of a visitor who is to show some work, or to wait, before they get a place. The place will have this id."""

    id: str
    room: str
    arrived: float

    def __init__(self, id: str, room: str, arrived: float) -> None:
        self.id = id
        self.room = room
        self.arrived = arrived


class Keyring:
    """Signs and opens tickets and passes with a list of secret keys.

    keys: secrets of at least 16 bytes, newest first. The first signs, all verify.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("at least one secret key is required")
        self._tickets = Signatures(keys, b"stanchion.ticket.v1")
        self._passes = Signatures(keys, b"stanchion.pass.v1")
        self._slips = Signatures(keys, b"stanchion.join_token.v1")
        self._kinds = {b"t1.": self._tickets, b"p1.": self._passes, b"j1.": self._slips}
        self._marks = Marks(keys, b"stanchion.mark.v1")
        self.claims = Signatures(keys, b"stanchion.premium.v1")
        """Of what the shop says of its visitors (`edge/decision/premium.py`)."""
        self.challenge_keys = tuple(derived(key, b"stanchion.challenge.v1") for key in keys)
        """Keys for challenges, newest first."""

    def seal(self, what: Ticket | Pass | JoinToken) -> str:
        """The cookie's value."""
        if isinstance(what, JoinToken):
            return self._slips.sign(f"j1.{what.room}.{what.id}.{_ms(what.arrived)}".encode()).decode()
        if isinstance(what, Ticket):
            ident = f"{what.id}~a{what.told_s}" if what.told_s else what.id
            payload = f"t1.{what.room}.{ident}.{_ms(what.first_seen)}.{int(what.seen)}"
            return self._tickets.sign(payload.encode()).decode()
        times = f"{_ms(what.first_seen)}.{_ms(what.admitted_at)}.{int(what.expires)}"
        ident = f"{what.id}~{what.binding_digest}" if what.binding_digest else what.id
        return self._passes.sign(f"p1.{what.room}.{ident}.{times}".encode()).decode()

    def binding_digest(self, ident: str, browser: str, network: str) -> str:
        """What the pass of a visitor says of whom it was given to."""
        return f"b{self._marks.of(_marked(ident, browser))}n{self._marks.of(_marked(ident, network))}"

    def differing(self, held: Pass, browser: str, network: str) -> tuple[str, ...]:
        """In what whoever shows a pass differs from whom it was given to: 'browser', 'network'."""
        binding_digest, end = held.binding_digest, 1 + Marks.LENGTH
        if len(binding_digest) != 2 * end:
            return ()
        differs: tuple[str, ...] = ()
        if not self._marks.fits(binding_digest[1:end], _marked(held.id, browser)):
            differs = ("browser",)
        if not self._marks.fits(binding_digest[end + 1 :], _marked(held.id, network)):
            differs += ("network",)
        return differs

    def read(self, value: str, room: str) -> Ticket | Pass | JoinToken | Rejected:
        """What a cookie's value says, or why it says nothing. Reads no clock: the result holds for as long as the
        keys do, so it may be remembered; whether it still counts is `judge`'s to say, at every request.
        """
        if len(value) > MAX_COOKIE_BYTES:
            return Rejected(Rejection.OVERSIZED)
        raw = value.encode("utf-8", "surrogatepass")
        kind = raw[:3]
        signatures = self._kinds.get(kind)
        if signatures is None:
            return Rejected(Rejection.MALFORMED)
        payload = signatures.unsign(raw)
        if payload is None:
            return Rejected(Rejection.SIGNATURE)
        try:
            fields = payload.decode("ascii").split(".")
            opened = _ticket(fields) if kind == b"t1." else _pass(fields) if kind == b"p1." else _slip(fields)
        except ValueError:
            return Rejected(Rejection.MALFORMED)
        return opened if opened.room == room else Rejected(Rejection.ROOM)


def judge(opened: Ticket | Pass, now: float, *, skew_s: float, lifetime_s: float) -> Rejected | None:
    """Why an authentic ticket or pass does not count now; None when it does.

    A time in the future is allowed up to `skew_s`: clocks of nodes differ. It is taken as it is, because clamping it
    would make the place depend on the node that looks. Tickets end `lifetime_s` after the first arrival.
    """
    if isinstance(opened, Pass):
        if opened.admitted_at > now + skew_s:
            return Rejected(Rejection.FUTURE)
        return None if now < opened.expires else Rejected(Rejection.EXPIRED)
    if opened.first_seen > now + skew_s or opened.seen > now + skew_s + 1.0:  # `seen` is whole seconds
        return Rejected(Rejection.FUTURE)
    return None if now - opened.first_seen < lifetime_s else Rejected(Rejection.EXPIRED)


def _ticket(fields: list[str]) -> Ticket:
    _, room, named, first_seen_ms, seen = fields
    ident, _, told = named.partition("~a")
    return Ticket(ident, room, int(first_seen_ms) / 1000, float(int(seen)), int(told or 0))


def _pass(fields: list[str]) -> Pass:
    _, room, named, first_seen_ms, admitted_ms, expires = fields
    ident, _, binding_digest = named.partition("~")
    return Pass(ident, room, int(first_seen_ms) / 1000, int(admitted_ms) / 1000, float(int(expires)), binding_digest)


def _slip(fields: list[str]) -> JoinToken:
    _, room, ident, arrived_ms = fields
    return JoinToken(ident, room, int(arrived_ms) / 1000)


def _marked(ident: str, what: str) -> bytes:
    return f"{ident} {what}".encode("utf-8", "surrogatepass")


def new_ticket(room: str, now: float, entropy: bytes) -> Ticket:
    """A first visit's ticket. entropy: ID_BYTES random bytes, from the caller."""
    return Ticket(_new_id(entropy), room, _ms(now) / 1000, float(int(now)))


def new_join_token(room: str, now: float, entropy: bytes) -> JoinToken:
    """The same for a visitor who is to show some work first."""
    return JoinToken(_new_id(entropy), room, _ms(now) / 1000)


def _new_id(entropy: bytes) -> str:
    if len(entropy) != ID_BYTES:
        raise ValueError(f"a ticket's id takes {ID_BYTES} random bytes, got {len(entropy)}")
    return _to_base64(entropy)[:ID_CHARACTERS].translate(TO_URL).decode()


_to_base64: Final = binascii.b2a_base64


def cookie_name(room: str) -> str:
    return f"stanchion_{room}"


def cookie_values(header: str, name: str) -> list[str]:
    """All values that a `Cookie` header gives to `name`, in order (RFC 6265, 5.4: pairs separated by '; ').

    Found by position rather than by parsing every pair: a browser's header holds many cookies, and one is ours.
    """
    values: list[str] = []
    needle = name + "="
    at = header.find(needle)
    while at >= 0:
        if at == 0 or header[:at].rstrip(" \t")[-1:] == ";":
            end = header.find(";", at)
            values.append(header[at + len(needle) : end if end >= 0 else None].strip(" \t"))
        at = header.find(needle, at + len(needle))
    return values


def _ms(moment_s: float) -> int:
    """To the nearest. Not `round`, which takes ten times as long to settle what a tie is."""
    return int(moment_s * 1000 + 0.5)
