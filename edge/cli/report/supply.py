"""What a room could have admitted at each moment, and the ideal line that is served with it.

The ideal line is one central queue: it knows at once which visitors have left, and admits the oldest one whenever a
token is free (`controller/simulation/ideal.py` plays the same one for the simulator). Its capacity is what the room
had: 0 while the line stood still, and what was really admitted while all places in the room were taken.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from edge.cli.report.reading import History, Visitor

__all__ = ["Piece", "ideal_line", "pieces"]

#: A room is full from this part of its limit on.
FULL_SHARE = 0.98


@dataclass(frozen=True, slots=True)
class Piece:
    """A time in which nothing that decides was changed. rate: admissions a second that the room could make.

    nominal: the configured rate. paused: why the line stood still, '' if it did not.
    """

    begin_s: float
    end_s: float
    rate: float
    nominal: float
    depth: float
    waiting: float
    paused: str
    is_full: bool
    is_sold_out: bool


def pieces(history: History) -> list[Piece]:
    """Return the pieces of a history in order, without gaps."""
    states = history.of_kind("state")
    opening = {float(at) for each in states if (at := each.note.values.get("opens_at")) is not None}
    noted = {each.note.at_s for each in states}
    moments = sorted({history.since_s, *(at for at in noted | opening if history.since_s < at <= history.until_s)})
    admitted = sorted(each.admitted_s for each in history.visitors if each.admitted_s is not None)
    now: dict[str, dict[str, object]] = {}
    found, at = [], 0
    for begin, end in zip(moments, [*moments[1:], max(history.until_s, moments[-1])], strict=True):
        while at < len(states) and states[at].note.at_s <= begin:
            now[states[at].machine] = {**states[at].note.values, "at": states[at].note.at_s}
            at += 1
        # A machine that says nothing for so long is gone: a state comes every 10 s.
        current = [state for state in now.values() if begin - _number(state["at"]) < 30.0]
        if current and end > begin:
            count = bisect_right(admitted, end) - bisect_right(admitted, begin)
            found.append(_piece(current, begin, end, count))
    if found and history.visitors:
        # The first state is noted up to a second after the edge began to serve.
        found[0] = replace(found[0], begin_s=min(found[0].begin_s, history.visitors[0].arrival_s))
    return found


def _piece(states: Sequence[dict[str, object]], begin: float, end: float, admitted: int) -> Piece:
    going = [state for state in states if not _why(state, begin)]
    rate = sum(_number(state["capacity"]) for state in going)
    nominal = sum(_number(state["capacity"]) / max(_number(state["factor"]), 1e-3) for state in states)
    is_full = any(
        state["limit"] is not None and _number(state["active"]) >= FULL_SHARE * _number(state["limit"]) / len(states)
        for state in states
    )
    paused = "" if going else next((why for state in states if (why := _why(state, begin))), "")
    return Piece(
        begin,
        end,
        admitted / (end - begin) if is_full else rate,
        nominal,
        max(1.0, rate * _number(states[0]["burst_s"])),
        sum(_number(state["waiting"]) for state in states),
        paused,
        is_full,
        any(bool(state["sold_out"]) for state in states),
    )


def _why(state: dict[str, object], now: float) -> str:
    """Return why a machine's part of the line stands still; '' if it does not.

    The mode is noted at the moment of the change, and a sale opens to the millisecond. Everything else the workers
    report up to a second later.
    """
    if state["mode"] in ("hold", "closed"):
        return "operator"
    opens_at = state.get("opens_at")
    over = {"operator", "sale"} if opens_at is not None and now >= _number(opens_at) else {"operator"}
    paused = state["paused"]
    reasons = [each for each in paused if each not in over] if isinstance(paused, list) else []
    return str(reasons[0]) if reasons else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def ideal_line(visitors: Sequence[Visitor], supply: Sequence[Piece]) -> list[float | None]:
    """Return when each visitor would have been admitted in the ideal line; None if they left before."""
    bucket = _Bucket(supply)
    times: list[float | None] = []
    for visitor in visitors:
        at = bucket.next(visitor.arrival_s)
        gone = visitor.seen_s if visitor.has_left else None
        if at == inf or (gone is not None and gone < at):
            times.append(None)
            continue
        bucket.take()
        times.append(at)
    return times


class _Bucket:
    """A leaky bucket with a rate that changes. It is full at first, because nobody waited before the sale."""

    def __init__(self, supply: Sequence[Piece]) -> None:
        self._supply = supply
        self._at = 0
        self._now = supply[0].begin_s if supply else 0.0
        self._level = supply[0].depth if supply else 0.0

    def next(self, earliest: float) -> float:
        """Return when the next token is there, not before `earliest`; inf if never."""
        self._advance(earliest)
        while self._at < len(self._supply):
            piece = self._supply[self._at]
            begin = max(self._now, piece.begin_s)
            missing = max(0.0, 1.0 - 1e-9 - self._level)
            # While the line stands still, nobody gets a token that is left in the bucket.
            filled = begin + missing / piece.rate if piece.rate > 0.0 else inf
            self._advance(min(filled, piece.end_s))
            if filled < piece.end_s:
                self._level = max(self._level, 1.0)
                return self._now
            self._advance(piece.end_s)
            if self._at < len(self._supply) and self._supply[self._at] is piece:
                self._at += 1
        return inf

    def take(self) -> None:
        """Take the token that `next` found."""
        self._level -= 1.0

    def _advance(self, to: float) -> None:
        """Let tokens arrive until a moment. Between two pieces none do."""
        while self._now < to and self._at < len(self._supply):
            piece = self._supply[self._at]
            begin, end = max(self._now, min(to, piece.begin_s)), min(to, piece.end_s)
            if end > begin:
                self._level = min(max(piece.depth, 1.0), self._level + piece.rate * (end - begin))
            self._now = max(begin, end)
            if piece.end_s <= to:
                self._at += 1
        self._now = max(self._now, to)
