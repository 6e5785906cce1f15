"""The figures of a report: from what the record holds to what the page shows.

order     Kendall: the share of pairs of one lane that were admitted in the wrong order; displacement: the time between
          an admission and its moment in the ideal line (`supply.py`), early or late
use       admissions made by the time the ideal line is empty, as a share of its own
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import nan

from edge.cli.report.lanes import Lane, admissions_by_lane, lanes_of
from edge.cli.report.measures import Spread, kendall, kendall_of_lanes, percentile, spread
from edge.cli.report.reading import History
from edge.cli.report.supply import Piece, ideal_line, pieces

__all__ = ["Figures", "Node", "Series", "Spread", "figures_of", "kendall", "percentile", "spread"]

#: Parts into which the time of a sale is divided for the charts.
PARTS = 60
AT_ONCE_S = 1.0


@dataclass(slots=True)
class Node:
    name: str
    came: int = 0
    admitted: int = 0
    restarts: int = 0
    waits: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Series:
    """One value for each part of the time. at_s: the middle of the part, seconds after the first arrival."""

    step_s: float
    at_s: list[float]
    arrivals: list[float]
    admissions: list[float]
    capacity: list[float]
    inside_line: list[float]
    wait_p50: list[float]
    wait_p90: list[float]
    ideal_wait: list[float]
    """The median in the ideal line."""


@dataclass(frozen=True, slots=True)
class Figures:
    """begin_s, end_s: first arrival and last event, seconds since 1970. Shares are 0..1.

    capacity_parts: admissions that the configured capacity allowed, by what became of them."""

    history: History
    supply: list[Piece]
    begin_s: float
    end_s: float
    came: int
    got_in: int
    left: int
    waiting: int
    at_once: int
    wait: Spread
    left_after: Spread
    kendall: float
    displacement: Spread
    use: float
    told_error: Spread
    told_kept: float
    capacity_parts: dict[str, float]
    lanes: list[Lane]
    nodes: list[Node]
    refused: dict[str, int]
    series: Series


def figures_of(history: History) -> Figures:
    """Work out all figures."""
    visitors, supply = history.visitors, pieces(history)
    admitted = [each for each in visitors if each.admitted_s is not None]
    times = [each.admitted_s for each in admitted if each.admitted_s is not None]
    waits = [at - each.arrival_s for at, each in zip(times, admitted, strict=True)]
    ideal = ideal_line(visitors, supply)
    gaps = [
        abs(each.admitted_s - at)
        for each, at in zip(visitors, ideal, strict=True)
        if at is not None and each.admitted_s is not None
    ]
    left = [each for each in visitors if each.has_left]
    begin = min(each.arrival_s if each.came_s is None else each.came_s for each in visitors)
    end = max([begin + 1.0, *times, *(each.seen_s for each in visitors if each.seen_s is not None)])
    errors, kept = _told(history)
    return Figures(
        history=history,
        supply=supply,
        begin_s=begin,
        end_s=end,
        came=len(visitors),
        got_in=len(admitted),
        left=len(left),
        waiting=len(visitors) - len(admitted) - len(left),
        at_once=sum(wait < AT_ONCE_S for wait in waits),
        wait=spread(waits),
        left_after=spread([(each.seen_s or each.arrival_s) - each.arrival_s for each in left]),
        kendall=kendall_of_lanes(admissions_by_lane(visitors)),
        displacement=spread(gaps),
        use=_use(visitors_arrivals=[each.arrival_s for each in visitors], ideal=ideal, times=times),
        told_error=spread(errors),
        told_kept=kept,
        capacity_parts=_capacity_parts(supply, sorted(times), begin, end),
        lanes=lanes_of(history),
        nodes=_nodes(history),
        refused=_refused(history),
        series=_series(history, supply, ideal, begin, end),
    )


def _use(visitors_arrivals: Sequence[float], ideal: Sequence[float | None], times: Sequence[float]) -> float:
    """Return the admissions made by the time the ideal line is empty for good, as a share of the ideal line's own."""
    busy = [at for arrival, at in zip(visitors_arrivals, ideal, strict=True) if at is not None and at > arrival + 0.01]
    if not busy:
        return 1.0
    until = max(busy)
    by_then = sum(at is not None and at <= until for at in ideal)
    return min(1.0, sum(at <= until for at in times) / max(1, by_then))


def _told(history: History) -> tuple[list[float], float]:
    """Return by how much told waits were wrong, and the share that was not exceeded by more than a fifth or 5 s."""
    errors, kept = [], 0
    for visitor, at, wait in history.told:
        if visitor.admitted_s is not None and visitor.admitted_s >= at:
            late = visitor.admitted_s - at - wait
            errors.append(abs(late))
            kept += late <= max(5.0, 0.2 * wait)
    return errors, kept / len(errors) if errors else 1.0


#: What becomes of capacity, in the order of the page.
USED, SLOW, FULL, NOBODY, UNUSED = "used", "slow", "full", "nobody", "unused"


def _capacity_parts(supply: Sequence[Piece], times: Sequence[float], begin: float, end: float) -> dict[str, float]:
    parts: dict[str, float] = {}

    def add(name: str, tokens: float) -> None:
        if tokens > 0.0:
            parts[name] = parts.get(name, 0.0) + tokens

    for piece in supply:
        first, last = max(piece.begin_s, begin), min(piece.end_s, end)
        if last <= first or piece.paused == "sale":
            continue
        made = float(bisect_right(times, last) - bisect_left(times, first))
        nominal = piece.nominal * (last - first)
        add(USED, made)
        rest = nominal - made
        if piece.paused:
            add(f"paused.{piece.paused}", rest)
            continue
        slow = 0.0 if piece.is_full else min(rest, (piece.nominal - piece.rate) * (last - first))
        add(SLOW, slow)
        why = FULL if piece.is_full else UNUSED if piece.waiting > piece.nominal else NOBODY
        add(why, rest - max(0.0, slow))
    return parts


def _nodes(history: History) -> list[Node]:
    nodes: dict[str, Node] = {}
    for visitor in history.visitors:
        if visitor.came_to:
            nodes.setdefault(visitor.came_to, Node(visitor.came_to)).came += 1
        if visitor.admitted_s is not None:
            node = nodes.setdefault(visitor.node, Node(visitor.node))
            node.admitted += 1
            node.waits.append(visitor.admitted_s - visitor.arrival_s)
    for each in history.of_kind("state"):
        for number, _, restarts in each.note.values.get("nodes", ()):
            name = f"{each.machine}/{number}"
            if name in nodes:
                nodes[name].restarts = max(nodes[name].restarts, restarts)
    return [nodes[name] for name in sorted(nodes)]


def _refused(history: History) -> dict[str, int]:
    totals: dict[str, int] = {}
    for each in history.of_kind("refused"):
        if each.note.at_s >= history.since_s:
            for name, count in each.note.values.items():
                totals[name] = totals.get(name, 0) + int(count)
    return totals


def _series(
    history: History, supply: Sequence[Piece], ideal: Sequence[float | None], begin: float, end: float
) -> Series:
    step = max(1.0, (end - begin) / PARTS)
    count = max(1, int((end - begin) / step + 0.999))
    arrivals, admissions, change = [0.0] * count, [0.0] * count, [0] * count
    waits: list[list[float]] = [[] for _ in range(count)]
    best: list[list[float]] = [[] for _ in range(count)]

    def part(at: float) -> int:
        return min(count - 1, max(0, int((at - begin) / step)))

    for visitor, at in zip(history.visitors, ideal, strict=True):
        came = part(visitor.arrival_s)
        joined = came if visitor.came_s is None else part(visitor.came_s)
        arrivals[joined] += 1.0 / step
        change[joined] += 1
        gone = visitor.admitted_s if visitor.admitted_s is not None else visitor.seen_s
        if gone is not None:
            change[part(gone)] -= 1
        if visitor.admitted_s is not None:
            admissions[part(visitor.admitted_s)] += 1.0 / step
            waits[came].append(visitor.admitted_s - visitor.arrival_s)
        if at is not None:
            best[came].append(at - visitor.arrival_s)
    return Series(
        step,
        [(at + 0.5) * step for at in range(count)],
        arrivals,
        admissions,
        [_capacity(supply, begin + at * step, step) for at in range(count)],
        [float(now) for now in accumulate(change)],
        _percentiles(waits, 0.5),
        _percentiles(waits, 0.9),
        _percentiles(best, 0.5),
    )


def _percentiles(parts: Sequence[Sequence[float]], share: float) -> list[float]:
    """Return a percentile of each part; nan of an empty one."""
    return [percentile(sorted(each), share) if each else nan for each in parts]


def _capacity(supply: Sequence[Piece], begin: float, step: float) -> float:
    """Return the mean rate that the room could admit at in a time."""
    first = bisect_right(supply, begin, key=lambda piece: piece.end_s)
    tokens = 0.0
    for piece in supply[first:]:
        if piece.begin_s >= begin + step:
            break
        tokens += piece.rate * max(0.0, min(piece.end_s, begin + step) - max(piece.begin_s, begin))
    return tokens / step
