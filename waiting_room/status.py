"""The status document: the state of one visitor as JSON. The page and programs get the same facts.

    {"state": "waiting", "room": "checkout", "position": 1240, "eta_seconds": {"p50": 95, "p90": 130},
     "poll_after_seconds": 4.2, "first_seen": "2026-11-21T10:00:00.123Z", "message": null, "stock": null}

`state` says what the client does next:

    joining   there is no place in line yet: solve `challenge` (ALTCHA's format, SHA-256) and poll with `altcha=` and
              the solution, or poll again after `poll_after_seconds`
    waiting   poll again after `poll_after_seconds`
    admitted  repeat the original request; this response has set the pass as a cookie
    early     the sale is not open yet and opens at `opens_at`; poll again after `poll_after_seconds`. The visitor is in
              line if `first_seen` is set; before the pre-queue nobody is
    sold_out  no unit is free; `poll_after_seconds` is null if that is final. If `held` is above 0, that many units are
              not paid yet; a unit that is not paid goes to the next visitor in line, so keep polling
    closed    the room admits nobody; `poll_after_seconds` is null if that is final. `paused` is `over` after a sale.
              It is `left` or `moved` if the visitor has left the line, or waits on another device now

A visitor near the front is answered when they are admitted: such a poll may take some seconds (at most 5) and saves the
next one. `poll_after_seconds` counts from the response and may be as small as 0.01.

While the line stands still, responses have `paused` with the reason, and `eta_seconds` is null. Nobody is admitted, and
nobody loses their place: `operator` (somebody holds the room), `capacity` (it is 0), `upstream` (the shop is down),
`redis` (the other machines cannot be heard), `stock` (no unit is free, or it is unknown), `restart` (visitors next to
the front are still to come back), `nodes` (another node is silent for a moment).

In a sale with a draw, responses have `draw` with what verifies it (`waiting_room/draw.py`), and a visitor in line reads
the id of their `ticket`.

If a room wants visitors to say that they are there (`session.presence_seconds`), the document has `confirm` when it is
the visitor's turn: a POST to its `url` until the moment `by` lets them in. If `by` is null, the time was over and the
turn went to the next visitor; a POST lets them in as soon as there is a token. The state is `waiting` meanwhile.

After a long absence, one response has `moved_back_seconds`: how far the place was moved back (`ticket.away_seconds`).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import Final

from waiting_room.leaf import NATIVE
from waiting_room.states import LEFT, MISSED, MOVED, OVER, State

__all__ = [
    "LEFT",
    "MISSED",
    "MOVED",
    "OVER",
    "SharedFields",
    "State",
    "Status",
    "document",
    "moment",
    "moment_bytes",
    "retry_after",
    "ticket_member",
]


class SharedFields:
    """The fields of a document that all visitors of a room share while its stock and message do not change.

    before, after: their JSON before and after the visitor's own fields.
    """

    __slots__ = ("after", "before", "held", "message", "state", "stock")

    def __init__(
        self,
        state: State,
        room: str,
        message: str | None = None,
        stock: int | None = None,
        held: int | None = None,
        opens_at: float | None = None,
        paused: str | None = None,
        draw: str = "",
    ) -> None:
        """draw: the member `draw` as JSON; empty if there is none."""
        self.state, self.message, self.stock, self.held = state, message, stock, held
        self.before = f'{{"state": "{state.value}", "room": {json.dumps(room)}, "position": '.encode()
        held_json = "" if held is None else f', "held": {held}'
        opens_json = "" if opens_at is None else f', "opens_at": {moment(opens_at)}'
        paused_json = "" if paused is None else f', "paused": {json.dumps(paused)}'
        message_json = json.dumps(message, ensure_ascii=False)
        draw_json = f', "draw": {draw}' if draw else ""
        tail = f"{held_json}{opens_json}{paused_json}{draw_json}"
        self.after = f', "message": {message_json}, "stock": {json.dumps(stock)}{tail}'.encode()


#: There are few rooms, messages and stocks, so the JSON can be cached.
_shared_fields = lru_cache(maxsize=1024)(SharedFields)


# Never changed, but not `frozen`, because one is made for every poll: docs/performance.md.
@dataclass(slots=True, init=False)
class Status:
    """The state of one visitor of one room at one moment. Durations are seconds, moments are Unix time in seconds."""

    state: State
    room: str
    position: int | None
    """The number of visitors that are admitted before this one, plus one. None if unknown."""
    eta_p50_s: float | None
    """The median of the remaining wait. None if unknown, for example while the room is on hold."""
    eta_p90_s: float | None
    """The remaining wait that nine in ten visitors do not exceed."""
    poll_after_s: float | None
    """The time until the next poll. None if the client must not poll again."""
    first_seen: float | None
    message: str | None
    stock: int | None
    held: int | None
    """Units that are kept for visitors that are paying. None if the shop does not report them."""
    opens_at: float | None
    challenge: str
    """The join challenge as JSON; empty if there is none."""
    moved_back_s: float
    """The seconds by which the place was just moved back after a long absence."""
    paused: str | None
    """Why the line stands still, None if it does not."""
    draw: str
    """What verifies the draw of the sale as JSON (`draw.py`); empty if there is none."""
    ticket: str
    """The id of the visitor's ticket, which only visitors of a draw are told; else empty."""
    confirm_by: float | None
    """Until when the visitor may say that they are there, because it is their turn; MISSED if it was their turn."""

    def __init__(
        self,
        state: State,
        room: str,
        position: int | None = None,
        eta_p50_s: float | None = None,
        eta_p90_s: float | None = None,
        poll_after_s: float | None = None,
        first_seen: float | None = None,
        message: str | None = None,
        stock: int | None = None,
        held: int | None = None,
        opens_at: float | None = None,
        challenge: str = "",
        moved_back_s: float = 0.0,
        paused: str | None = None,
        draw: str = "",
        ticket: str = "",
        confirm_by: float | None = None,
    ) -> None:
        self.state = state
        self.room = room
        self.position = position
        self.eta_p50_s = eta_p50_s
        self.eta_p90_s = eta_p90_s
        self.poll_after_s = poll_after_s
        self.first_seen = first_seen
        self.message = message
        self.stock = stock
        self.held = held
        self.opens_at = opens_at
        self.challenge = challenge
        self.moved_back_s = moved_back_s
        self.paused = paused
        self.draw = draw
        self.ticket = ticket
        self.confirm_by = confirm_by

    @property
    def retry_after_s(self) -> int | None:
        """Return the value of `Retry-After`: whole seconds, rounded up, at least 1 (RFC 9110, 10.2.3)."""
        return retry_after(self.poll_after_s)

    def to_json(self) -> bytes:
        """Return the document as one line of UTF-8."""
        shared = _shared_fields(
            self.state, self.room, self.message, self.stock, self.held, self.opens_at, self.paused, self.draw
        )
        first_seen_json = b"null" if self.first_seen is None else moment(self.first_seen).encode()
        is_longer = self.challenge or self.moved_back_s or self.ticket or self.confirm_by is not None
        extra = self._extra().encode() if is_longer else b""
        return document(
            shared, self.position, self.eta_p50_s, self.eta_p90_s, self.poll_after_s, first_seen_json, extra
        )

    def _extra(self) -> str:
        """Return the JSON of the fields that are rarely present."""
        challenge = f', "challenge": {self.challenge}' if self.challenge else ""
        ticket = ticket_member(self.ticket) if self.ticket else ""
        if self.confirm_by is not None:
            by = "null" if self.confirm_by == MISSED else moment(self.confirm_by)
            ticket += f', "confirm": {{"by": {by}, "url": "/_stanchion/here?room={self.room}"}}'
        return ticket + challenge + (f', "moved_back_seconds": {ceil(self.moved_back_s)}' if self.moved_back_s else "")


def document(
    shared: SharedFields,
    position: int | None,
    eta_p50_s: float | None,
    eta_p90_s: float | None,
    poll_after_s: float | None,
    first_seen_json: bytes,
    extra: bytes = b"",
) -> bytes:
    """Return the document of a `Status` without making one; the arguments are its fields. extra: more JSON members."""
    if _native_document is None or position is None or eta_p50_s is None or eta_p90_s is None or poll_after_s is None:
        return _document(shared, position, eta_p50_s, eta_p90_s, poll_after_s, first_seen_json, extra)
    made = _native_document(
        shared.before, position, eta_p50_s, eta_p90_s, poll_after_s, first_seen_json, shared.after, extra
    )
    if made is not None:
        return made
    return _document(shared, position, eta_p50_s, eta_p90_s, poll_after_s, first_seen_json, extra)


def _document(
    shared: SharedFields,
    position: int | None,
    eta_p50_s: float | None,
    eta_p90_s: float | None,
    poll_after_s: float | None,
    first_seen_json: bytes,
    extra: bytes,
) -> bytes:
    """Return it by the Python form."""
    place = b"null" if position is None else _number(position)
    poll_after = b"null" if poll_after_s is None else _hundredths(poll_after_s)
    if eta_p50_s is None or eta_p90_s is None:
        eta = b"null"
    else:
        eta = b'{"p50": %b, "p90": %b}' % (_number(ceil(eta_p50_s)), _number(ceil(eta_p90_s)))
    return b'%b%b, "eta_seconds": %b, "poll_after_seconds": %b, "first_seen": %b%b%b}' % (
        shared.before,
        place,
        eta,
        poll_after,
        first_seen_json,
        shared.after,
        extra,
    )


def retry_after(poll_after_s: float | None) -> int | None:
    """Return the value of `Retry-After`; see `Status`."""
    if poll_after_s is None:
        return None
    return ceil(poll_after_s) if poll_after_s > 1.0 else 1


def _number(n: int) -> bytes:
    """Return the digits of a number. In compiled code `str` would go through a format string, which is slow."""
    return _NUMBERS[n] if 0 <= n < READY else str(n).encode()


def _hundredths(seconds: float) -> bytes:
    n = int(100.0 * seconds + 0.5)
    return _HUNDREDTHS[n] if 0 <= n < READY else f"{seconds:.2f}".encode()


#: The digits of the numbers below this are ready in memory, about one megabyte.
READY: Final = 10_000
_NUMBERS: Final = [b"%d" % n for n in range(READY)]
_HUNDREDTHS: Final = [b"%d.%02d" % divmod(n, 100) for n in range(READY)]


def moment(moment_s: float) -> str:
    """Return Unix time in seconds as a JSON string."""
    return f'"{timestamp(moment_s)}"'


def moment_bytes(moment_s: float) -> bytes:
    """Return the same as `moment`, in UTF-8."""
    made = None if _native_moment is None else _native_moment(moment_s)
    return moment(moment_s).encode() if made is None else made


_native_moment: Final[Callable[[float], bytes | None] | None] = None if NATIVE is None else NATIVE.moment
_native_document: Final[Callable[[bytes, int, float, float, float, bytes, bytes, bytes], bytes | None] | None] = (
    None if NATIVE is None else NATIVE.document
)


def timestamp(moment_s: float) -> str:
    """Return RFC 3339 in UTC with milliseconds, in the form of JavaScript's `Date.prototype.toISOString`."""
    return _stamp(int(moment_s * 1_000_000.0 + 0.5) // 1000)  # `round` would cost a look-up and a call


def _stamp(moment_ms: int) -> str:
    return _second(moment_ms // 1000) + _MS[moment_ms % 1000]


_MS: Final = [f".{ms:03d}Z" for ms in range(1000)]


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    """Return the text of a second. It is cached because many visitors arrive in the same second."""
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def ticket_member(ticket_id: str) -> str:
    """Return the member of a document by which a visitor of a draw reads the id of their ticket."""
    return f', "ticket": {json.dumps(ticket_id)}'
