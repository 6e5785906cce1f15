"""The status document: what a waiting client is told, the same facts for the page and for programs.

    {"state": "waiting", "room": "checkout", "position": 1240, "eta_seconds": {"p50": 95, "p90": 130},
     "poll_after_seconds": 4.2, "first_seen": "2026-11-21T10:00:00.123Z", "message": null, "stock": null}

`state` says what the client does next:

    joining   no place in line yet: solve `challenge` (ALTCHA's, SHA-256) and ask the status address again with
              `altcha=` and the solution, or ask again after `poll_after_seconds`
    waiting   ask again after `poll_after_seconds`
    admitted  repeat the original request; the pass came as a cookie with this very answer
    early     the sale is not open yet; `opens_at` says when it will be; ask again after `poll_after_seconds`
    sold_out  nothing is free; `poll_after_seconds` is null when it is final. With `held` above 0 that many units are
              not paid for yet, and go to the next in line if they come back: keep asking
    closed    the room lets nobody in; `poll_after_seconds` is null when it is final

Who is nearly in is answered when their turn comes: a poll may take some seconds (5 at most), and saves the next one.
What `poll_after_seconds` says then counts from the answer, and may be as little as 0.01.

Once, after a long absence, `moved_back_seconds` says by how much the place was put back (`ticket.away_seconds`).
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from math import ceil
from typing import Final

__all__ = ["State", "Status", "Words", "document", "moment", "retry_after"]


class State(StrEnum):
    __hash__ = str.__hash__  # Enum's own is written in Python, and states are looked up at every answer

    JOINING = "joining"
    WAITING = "waiting"
    ADMITTED = "admitted"
    EARLY = "early"
    SOLD_OUT = "sold_out"
    CLOSED = "closed"


class Words:
    """What the documents of a room have in common while its stock and its message stay the same: all but one visitor's
    own, in JSON."""

    __slots__ = ("before", "behind", "state")

    def __init__(
        self,
        state: State,
        room: str,
        message: str | None = None,
        stock: int | None = None,
        held: int | None = None,
        opens_at: float | None = None,
    ) -> None:
        self.state = state
        self.before = f'{{"state": "{state.value}", "room": {json.dumps(room)}, "position": '.encode()
        kept = "" if held is None else f', "held": {held}'
        opens = "" if opens_at is None else f', "opens_at": {moment(opens_at)}'
        said = json.dumps(message, ensure_ascii=False)
        self.behind = f', "message": {said}, "stock": {json.dumps(stock)}{kept}{opens}'.encode()


#: Rooms are few, and so are messages and stocks.
_words = lru_cache(maxsize=1024)(Words)


@dataclass(slots=True, init=False)  # never changed, but made for every poll: docs/performance.md
class Status:
    """What one visitor of one room is told at one moment. Times are seconds, wall clock where they name a moment."""

    state: State
    room: str
    position: int | None
    """How many visitors are let in before this one, plus one. Null when unknown."""
    eta_p50_s: float | None
    """The wait that is as likely too long as too short. Null when unknown, e.g. while the room is held."""
    eta_p90_s: float | None
    """The wait that nine in ten visitors do not exceed."""
    poll_after_s: float | None
    """When to ask again; null: not at all."""
    first_seen: float | None
    message: str | None
    stock: int | None
    held: int | None
    """Units that are kept for visitors who are paying. Null: the shop does not say."""
    opens_at: float | None
    challenge: str
    """What is to be solved before there is a place, as JSON."""
    moved_back_s: float
    """By how much the place has just been put back, since its visitor was away for too long."""

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

    @property
    def retry_after_s(self) -> int | None:
        """The value of `Retry-After`: whole seconds, rounded up, at least 1 (RFC 9110, 10.2.3)."""
        return retry_after(self.poll_after_s)

    def to_json(self) -> bytes:
        """The document as sent, one line of UTF-8."""
        words = _words(self.state, self.room, self.message, self.stock, self.held, self.opens_at)
        came = b"null" if self.first_seen is None else moment(self.first_seen).encode()
        rest = self._rest().encode() if self.challenge or self.moved_back_s else b""
        return document(words, self.position, self.eta_p50_s, self.eta_p90_s, self.poll_after_s, came, rest)

    def _rest(self) -> str:
        """What is seldom said."""
        challenge = f', "challenge": {self.challenge}' if self.challenge else ""
        return challenge + (f', "moved_back_seconds": {ceil(self.moved_back_s)}' if self.moved_back_s else "")


def document(
    words: Words,
    position: int | None,
    eta_p50_s: float | None,
    eta_p90_s: float | None,
    poll_after_s: float | None,
    first_seen_json: bytes,
    rest: bytes = b"",
) -> bytes:
    """The document of a `Status`, for whom there is no need of one: the fields are its own. rest: further members."""
    place = b"null" if position is None else _number(position)
    comes = b"null" if poll_after_s is None else _hundredths(poll_after_s)
    if eta_p50_s is None or eta_p90_s is None:
        eta = b"null"
    else:
        eta = b'{"p50": %b, "p90": %b}' % (_number(ceil(eta_p50_s)), _number(ceil(eta_p90_s)))
    return b'%b%b, "eta_seconds": %b, "poll_after_seconds": %b, "first_seen": %b%b%b}' % (
        words.before,
        place,
        eta,
        comes,
        first_seen_json,
        words.behind,
        rest,
    )


def retry_after(poll_after_s: float | None) -> int | None:
    """The value of `Retry-After`; see `Status`."""
    if poll_after_s is None:
        return None
    return ceil(poll_after_s) if poll_after_s > 1.0 else 1


def _number(n: int) -> bytes:
    """Compiled, `str` of a number goes by way of a format string."""
    return _NUMBERS[n] if 0 <= n < READY else str(n).encode()


def _hundredths(seconds: float) -> bytes:
    n = int(100.0 * seconds + 0.5)
    return _HUNDREDTHS[n] if 0 <= n < READY else f"{seconds:.2f}".encode()


#: Of so many numbers the digits are ready, a megabyte of them.
READY: Final = 10_000
_NUMBERS: Final = [b"%d" % n for n in range(READY)]
_HUNDREDTHS: Final = [b"%d.%02d" % divmod(n, 100) for n in range(READY)]


def moment(moment_s: float) -> str:
    """A moment in JSON."""
    return f'"{timestamp(moment_s)}"'


def timestamp(moment_s: float) -> str:
    """RFC 3339 in UTC with milliseconds, as JavaScript's `Date.prototype.toISOString` writes it."""
    return _stamp(int(moment_s * 1_000_000.0 + 0.5) // 1000)  # `round` would be looked up and called


def _stamp(moment_ms: int) -> str:
    return _second(moment_ms // 1000) + _MS[moment_ms % 1000]


_MS: Final = [f".{ms:03d}Z" for ms in range(1000)]


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    """Visitors come in crowds: many share the second of their first arrival."""
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds").removesuffix("+00:00")
