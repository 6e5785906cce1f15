"""Ticket and pass: the signed cookie that holds a visitor's place in line.

A room has one cookie, `stanchion_<room>`: a ticket while the visitor waits, a pass after admission. A front proxy that
forwards it forwards everything. Both are text that anybody can read and nobody can forge:

    t1 . checkout . 3q2-7wAAAAAAAAAAAAAAAA . 1763719200123 . 1763719260 . <signature>
    |    |          |                        |               |            HMAC-SHA256, base64url, as itsdangerous does
    |    |          |                        |               time of the last signing, whole seconds
    |    |          |                        first_seen, milliseconds
    |    |          id: 128 random bits, base64url; then ~l and the lane; then ~p and the position that the visitor
    |    |          was told last; then ~a and whole seconds, if the server asked for the next poll after that long
    |    room
    kind and version: t1 a ticket, p1 a pass

    p1 . checkout . <id>~<binding digest> . <first_seen ms> . <admitted ms> . <expires s> . <signature>
                         |       then ~l and the lane, if it is not the general one
                         b and four letters, a keyed digest of the browser family, then n and four letters, one of the
                         network. They differ from pass to pass. Behind them ~u, until the pass is shown the first
                         time, or ~o, until its visitor has said that they are there

    j1 . checkout . <id> . <arrived ms> . <signature>           a join token: its visitor has no place in line yet

If a place moved to another device, its ticket has digits behind the 22 characters of the id: how often it moved. So it
has another id than the old one, which is redeemed, and the same place, which follows from the 22 (`places.py`).

The parts after a ~ were added later. Older cookies lack them, and older nodes read them as a part of the id. Times
are Unix time. Ticket and pass are signed with keys derived with different salts, so neither can be used as the other.
The keys form a list: the first one signs, all verify, so a key can be changed and no visitor loses their place.

`judge` checks age by the caller's `now`, with an allowance for clock skew between nodes. itsdangerous would refuse a
ticket that a node signed one second ahead. Nothing raises: a value that is not accepted is rejected with a reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from waiting_room.ident import ID_BYTES, new_id
from waiting_room.join_token import JoinToken
from waiting_room.links import Links
from waiting_room.rejection import Rejected, Rejection
from waiting_room.signature import KeyedDigests, Signatures, derived

__all__ = [
    "ID_BYTES", "RENEW_AFTER_S", "JoinToken", "Keyring", "Pass", "Rejected", "Rejection", "Ticket", "judge",
    "new_join_token", "new_ticket",
]  # fmt: skip

#: A waiting ticket is signed again when its last signing is older than this. Unchanged heads make polls cheap.
RENEW_AFTER_S: Final = 60.0
#: Longer cookies are rejected unread. Ours have at most 150 bytes; browsers allow 4096.
MAX_COOKIE_BYTES: Final = 256


# Never changed, but not `frozen`, and with a written-out `__init__`, for speed: docs/performance.md.
@dataclass(slots=True, init=False)
class Ticket:
    """A place in line. `first_seen`: the arrival. `seen`: the last signing. Both are Unix time in seconds."""

    id: str
    room: str
    first_seen: float
    seen: float
    return_after_s: int
    """The interval after `seen` at which the visitor was asked to poll again, if it is long, else 0."""
    told: int
    """The position that the visitor was told, so that no node tells them a higher one; 0 if none is known."""
    moved_back_s: float
    """The seconds by which `renewed` has just moved the place back. Not a part of the cookie."""
    lane: str
    """The lane of the room that the visitor stands in; '' for the general one."""

    def __init__(
        self,
        id: str,
        room: str,
        first_seen: float,
        seen: float,
        return_after_s: int = 0,
        moved_back_s: float = 0.0,
        told: int = 0,
        lane: str = "",
    ) -> None:
        self.id = id
        self.room = room
        self.first_seen = first_seen
        self.seen = seen
        self.return_after_s = return_after_s
        self.told = told
        self.moved_back_s = moved_back_s
        self.lane = lane

    def needs_renewal(self, now: float) -> bool:
        return now - self.seen >= RENEW_AFTER_S

    def renewed(self, now: float, away_s: float | None = None) -> "Ticket":
        """Return the ticket signed at `now`, moved back if the visitor was absent for too long.

        away_s: the longest absence after the appointment that keeps the place; None keeps every place. A longer absence
        moves the place back by the excess, but never behind a new visitor, because nobody can be absent for longer than
        they have been in line. `seen` may be up to RENEW_AFTER_S older than the last response, which shortens the
        allowed absence by as much.
        """
        excess_s = 0.0 if away_s is None else max(0.0, now - self.seen - self.return_after_s - away_s)
        first_seen = min(self.first_seen + excess_s, now) if excess_s else self.first_seen
        told = 0 if excess_s else self.told
        moved_back_s = first_seen - self.first_seen
        return Ticket(self.id, self.room, first_seen, now, moved_back_s=moved_back_s, told=told, lane=self.lane)

    def telling(self, position: int) -> "Ticket":
        """Return the ticket with the position that its visitor is told now. `replace` would take five times as long."""
        return Ticket(
            self.id, self.room, self.first_seen, self.seen, self.return_after_s, self.moved_back_s, position, self.lane
        )

    def in_lane(self, lane: str) -> "Ticket":
        """Return the ticket for another lane, with the same arrival. The position there is not known yet."""
        return Ticket(self.id, self.room, self.first_seen, self.seen, self.return_after_s, lane=lane)


@dataclass(slots=True, init=False)
class Pass:
    """The right to enter the room without waiting, until `expires` (seconds, Unix time)."""

    id: str
    room: str
    first_seen: float
    admitted_at: float
    expires: float
    binding_digest: str
    """The digest of the browser and network that it was given to, as in the cookie; '' if there is none."""
    is_unshown: bool
    """Nobody has shown it yet, as far as its cookie knows. The first request with it confirms that a visitor has it."""
    lane: str
    """The lane that its visitor was admitted from; '' for the general one."""
    is_offered: bool
    """It opens nothing before its visitor has said that they are there. Then it is also unshown."""

    def __init__(
        self,
        id: str,
        room: str,
        first_seen: float,
        admitted_at: float,
        expires: float,
        binding_digest: str = "",
        is_unshown: bool = False,
        lane: str = "",
        is_offered: bool = False,
    ) -> None:
        self.id = id
        self.room = room
        self.first_seen = first_seen
        self.admitted_at = admitted_at
        self.expires = expires
        self.binding_digest = binding_digest
        self.is_unshown = is_unshown or is_offered
        self.lane = lane
        self.is_offered = is_offered


class Keyring:
    """Signs and opens tickets, passes and join tokens.

    keys: secrets of at least 16 bytes, newest first. The first one signs, all verify.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("at least one secret key is required")
        self.tickets = Signatures(keys, b"stanchion.ticket.v1")
        self._passes = Signatures(keys, b"stanchion.pass.v1")
        # The salts are a part of the cookie format. Some still have names that the code does not use any more.
        self._join_tokens = Signatures(keys, b"stanchion.slip.v1")
        self._kinds = {b"t1.": self.tickets, b"p1.": self._passes, b"j1.": self._join_tokens}
        self._digests = KeyedDigests(keys, b"stanchion.mark.v1")
        self.transfers = Signatures(keys, b"stanchion.transfer.v1")
        """Signs the links by which places move to another device (`transfer.py`)."""
        self.premium = Signatures(keys, b"stanchion.premium.v1")
        """Signs the shop's statement that a visitor is a known customer (`edge/decision/premium.py`)."""
        self.links = Links(keys)
        self.challenge_keys = tuple(derived(key, b"stanchion.challenge.v1") for key in keys)
        """Keys of the join challenges, newest first."""

    def seal(self, credential: Ticket | Pass | JoinToken) -> str:
        """Return the value of the cookie."""
        if isinstance(credential, JoinToken):
            return self._join_tokens.sign(
                f"j1.{credential.room}.{credential.id}.{_ms(credential.arrived)}".encode()
            ).decode()
        if isinstance(credential, Ticket):
            ident = f"{credential.id}~l{credential.lane}" if credential.lane else credential.id
            if credential.told:
                ident = f"{ident}~p{credential.told}"
            if credential.return_after_s:
                ident = f"{ident}~a{credential.return_after_s}"
            payload = f"t1.{credential.room}.{ident}.{_ms(credential.first_seen)}.{int(credential.seen)}"
            return self.tickets.sign(payload.encode()).decode()
        times = f"{_ms(credential.first_seen)}.{_ms(credential.admitted_at)}.{int(credential.expires)}"
        ident = f"{credential.id}~{credential.binding_digest}" if credential.binding_digest else credential.id
        if credential.lane:
            ident = f"{ident}~l{credential.lane}"
        if credential.is_unshown:
            ident += "~o" if credential.is_offered else "~u"
        return self._passes.sign(f"p1.{credential.room}.{ident}.{times}".encode()).decode()

    def binding_digest(self, ident: str, browser: str, network: str) -> str:
        """Return the digest of the visitor's browser and network for the pass with this id."""
        return f"b{self._digests.of(_digest_input(ident, browser))}n{self._digests.of(_digest_input(ident, network))}"

    def differing(self, shown: Pass, browser: str, network: str) -> tuple[str, ...]:
        """Return what differs from the time when the pass was given: 'browser', 'network', both or nothing."""
        binding_digest, end = shown.binding_digest, 1 + KeyedDigests.LENGTH
        if len(binding_digest) != 2 * end:
            return ()
        differs: tuple[str, ...] = ()
        if not self._digests.matches(binding_digest[1:end], _digest_input(shown.id, browser)):
            differs = ("browser",)
        if not self._digests.matches(binding_digest[end + 1 :], _digest_input(shown.id, network)):
            differs += ("network",)
        return differs

    def read(self, value: str, room: str) -> Ticket | Pass | JoinToken | Rejected:
        """Return the content of a cookie's value, or the reason why it is rejected.

        It reads no clock, so the result is valid as long as the keys are and may be cached. `judge` decides at every
        request whether the content still counts.
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
            opened = _ticket(fields) if kind == b"t1." else _pass(fields) if kind == b"p1." else _join_token(fields)
        except ValueError:
            return Rejected(Rejection.MALFORMED)
        return opened if opened.room == room else Rejected(Rejection.ROOM)


def judge(opened: Ticket | Pass, now: float, *, skew_s: float, lifetime_s: float) -> Rejected | None:
    """Return why an authentic ticket or pass does not count now, or None if it counts.

    A time may be up to `skew_s` in the future, because the clocks of nodes differ. It is not clamped to `now`: then the
    place would depend on the node that reads it. A ticket ends `lifetime_s` after the arrival.
    """
    if isinstance(opened, Pass):
        if opened.admitted_at > now + skew_s:
            return Rejected(Rejection.FUTURE)
        return None if now < opened.expires else Rejected(Rejection.EXPIRED)
    if opened.first_seen > now + skew_s or opened.seen > now + skew_s + 1.0:  # `seen` is whole seconds
        return Rejected(Rejection.FUTURE)
    return None if now - opened.first_seen < lifetime_s else Rejected(Rejection.EXPIRED)


def _ticket(fields: list[str]) -> Ticket:
    _, room, name, first_seen_ms, seen = fields
    name, _, after = name.partition("~a")
    name, _, told = name.partition("~p")
    ident, _, lane = name.partition("~l")
    first_seen, told_position = int(first_seen_ms) / 1000, int(told or 0)
    return Ticket(ident, room, first_seen, float(int(seen)), int(after or 0), told=told_position, lane=lane)


def _pass(fields: list[str]) -> Pass:
    _, room, name, first_seen_ms, admitted_ms, expires = fields
    first_seen, admitted_at, is_offered = int(first_seen_ms) / 1000, int(admitted_ms) / 1000, name.endswith("~o")
    is_unshown = is_offered or name.endswith("~u")
    name, _, lane = (name[:-2] if is_unshown else name).partition("~l")
    ident, _, binding_digest = name.partition("~")
    return Pass(ident, room, first_seen, admitted_at, float(int(expires)), binding_digest, is_unshown, lane, is_offered)


def _join_token(fields: list[str]) -> JoinToken:
    _, room, ident, arrived_ms = fields
    return JoinToken(ident, room, int(arrived_ms) / 1000)


def _digest_input(ident: str, value: str) -> bytes:
    return f"{ident} {value}".encode("utf-8", "surrogatepass")


def new_ticket(room: str, now: float, entropy: bytes, lane: str = "") -> Ticket:
    """Return the ticket of a new visitor. entropy: ID_BYTES random bytes."""
    return Ticket(new_id(entropy), room, _ms(now) / 1000, float(int(now)), lane=lane)


def new_join_token(room: str, now: float, entropy: bytes) -> JoinToken:
    """Return the join token of a new visitor. entropy: ID_BYTES random bytes."""
    return JoinToken(new_id(entropy), room, _ms(now) / 1000)


def _ms(moment_s: float) -> int:
    """Return milliseconds, rounded to the nearest. `round` takes ten times as long, because of its rule for ties."""
    return int(moment_s * 1000 + 0.5)
