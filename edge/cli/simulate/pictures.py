"""What the pictures of a report show, from the first seed of a trial; each with the words that explain it.

    ladder     median, P95 and P99 of the displacement, policy by policy
    crowd      how many wait, and how many come in, over time
    thresholds how far the door is open on every node
    tail       how many are displaced by how much
    waits      who waited how long, by arrival
    polls      what waiting costs

Times are binned so that no picture has more than some hundred points; where a peak matters, a bin shows its highest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.simulation.crowd import Floats
from controller.simulation.run import Run
from edge.cli.simulate.chart import Axis, Band, Dots, Guide, Line, Mark, chart, linear, log, time_axis
from edge.cli.simulate.series import displacements, heads, quantiles, rate, waiting
from edge.cli.simulate.table import duration, share
from edge.cli.simulate.trial import POLICIES, Trial, median

__all__ = ["Panel", "Picture", "ink", "pictures"]

POINTS = 300
STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
IDEAL = ("ideal", "the ideal line")
LEAST_SHOWN_S = 0.01


@dataclass(frozen=True, slots=True)
class Panel:
    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class Picture:
    """legend: pairs of ink and name. The three texts say what is shown, what would be perfect, and how to read it."""

    title: str
    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, str], ...]
    shows: str
    perfect: str
    reading: str
    is_paired: bool = False


def ink(policy: str) -> str:
    """The colour of a policy, the same in all pictures."""
    return f"p{list(POLICIES).index(policy)}"


def pictures(trial: Trial) -> tuple[Picture, ...]:
    """All of them, in the order in which they should be looked at."""
    drawn = [_ladder(trial), _waits(trial), _crowd(trial), _thresholds(trial), _tail(trial), _polls(trial)]
    return tuple(picture for picture in drawn if picture is not None)


def _legend(trial: Trial, with_ideal: bool = True) -> tuple[tuple[str, str], ...]:
    named = tuple((ink(o.policy), o.policy) for o in trial.outcomes)
    return (*named, IDEAL) if with_ideal else named


def _end(trial: Trial) -> float:
    """The end of the slowest line, or of the arrivals."""
    ends = [float(np.nanmax(o.first.admitted_s, initial=1.0)) for o in trial.outcomes]
    return max(*ends, float(trial.outcomes[0].first.people.arrival_s[-1]), 1.0)


def _bin_s(end_s: float, most: int) -> float:
    return float(next((s for s in STEPS_S if end_s / s <= most), end_s / most))


def _ladder(trial: Trial) -> Picture:
    rows = len(trial.outcomes)
    figures = [median(o.by_seed) for o in trial.outcomes]
    high = max(1.0, *(f["p99_s"] for f in figures))
    binding_digest: list[Line | Dots] = []
    for i, (outcome, f) in enumerate(zip(trial.outcomes, figures, strict=True)):
        at = rows - i - 0.5
        x = [max(LEAST_SHOWN_S, f[key]) for key in ("median_s", "p95_s", "p99_s")]
        binding_digest.append(Line(x, [at] * 3, ink(outcome.policy), outcome.policy))
        binding_digest.append(
            Dots(
                x, [at] * 3, ink(outcome.policy), f"half {duration(f['median_s'])}", f"99 of 100 {duration(f['p99_s'])}"
            )
        )
    y = Axis("", 0.0, float(rows), tuple((rows - i - 0.5, o.policy) for i, o in enumerate(trial.outcomes)))
    x_axis = log("seconds away from the ideal line's moment, each step ten times the one before", 0.01, high, _power)
    svg = chart("Displacement of each policy", x_axis, y, binding_digest, height=70.0 + 52.0 * rows)
    return Picture(
        "How far from the perfect line",
        (Panel("Median, P95 and P99 of the displacement, median over the seeds", svg),),
        (),
        "For every policy three dots: half of its visitors, 95 of 100 and 99 of 100 came in closer than this to the "
        "moment that a perfect line would have given them.",
        "All dots at the left edge.",
        "The scale multiplies: one step to the right is ten times as unfair.",
    )


def _power(value: float) -> str:
    return f"{value:g} s"


def _waits(trial: Trial) -> Picture:
    ideal_wait = trial.first_ideal_s - trial.outcomes[0].first.people.arrival_s
    tops = [_top(o.first.admitted_s - o.first.people.arrival_s) for o in trial.outcomes]
    y = linear("wait (s)", max(1.0, *tops))
    last = float(trial.outcomes[0].first.people.arrival_s[-1])
    x = time_axis("arrival after the opening", last)
    panels = []
    for outcome in trial.outcomes:
        arrival = outcome.first.people.arrival_s
        at, low, middle, high = quantiles(arrival, outcome.first.admitted_s - arrival)
        best_at, _, best, _ = quantiles(arrival, ideal_wait)
        colour = ink(outcome.policy)
        binding_digest: list[Mark] = [
            Band(at, low, high, colour, "9 of 10 visitors"),
            Line(at, middle, colour, f"{outcome.policy}: median"),
            Line(best_at, best, *IDEAL),
        ]
        panels.append(
            Panel(outcome.policy, chart(f"Wait by arrival, {outcome.policy}", x, y, binding_digest, 480.0, 260.0))
        )
    return Picture(
        "Who waited how long",
        tuple(panels),
        (*_legend(trial),),
        "Everybody who came in, by their moment of arrival: the line is the median wait of those who arrived together, "
        "the shade holds nine of ten of them. The dashed line is the wait in the ideal line.",
        "A shade as thin as the line, on the dashed one: those who came together wait equally long.",
        "A wide shade is a lottery: people who arrived in the same moment wait for seconds or for minutes, by chance "
        "alone.",
        is_paired=True,
    )


def _top(waits: Floats) -> float:
    known = waits[~np.isnan(waits)]
    return float(np.percentile(known, 99)) if len(known) else 1.0


def _crowd(trial: Trial) -> Picture:
    end = _end(trial)
    people = trial.outcomes[0].first.people
    grid = np.linspace(0.0, end, POINTS)
    ideal = waiting(people, trial.first_ideal_s, grid)
    lines = [
        Line(grid.tolist(), waiting(people, o.first.admitted_s, grid).tolist(), ink(o.policy), o.policy)
        for o in trial.outcomes
    ]
    top = max(float(ideal.max()), *(max(line.y) for line in lines))
    x = time_axis("after the opening", end)
    standing = chart(
        "Visitors who wait", x, linear("visitors who wait", top), [*lines, Line(grid.tolist(), ideal.tolist(), *IDEAL)]
    )

    width = _bin_s(end, 120)
    rates = [Line(*rate(o.first.admitted_s, end, width), ink(o.policy), o.policy) for o in trial.outcomes]
    plan = trial.scenario.plan().rates
    steps = [*(since for since, _ in plan), end]
    allowed = Line(steps, [*(value for _, value in plan), plan[-1][1]], "ideal", "the capacity", is_step=True)
    high = max(max(value for _, value in plan) * 1.2, *(max(line.y, default=0.0) for line in rates))
    coming = chart("Admissions a second", x, linear("admissions a second", high), [*rates, allowed])
    captions = ("Waiting", f"Coming in, mean of every {width:g} s; dashed: the capacity")
    return Picture(
        "The line over time",
        (Panel(captions[0], standing), Panel(captions[1], coming)),
        _legend(trial),
        "Above, how many wait at each moment (who has left is not counted). Below, how many are let in each second, "
        "and the capacity as the dashed line.",
        "Above, no line over the dashed one. Below, all lines on the dashed one for as long as anybody waits: below it "
        "capacity is wasted, and everybody behind pays with time.",
        "The first second may exceed the capacity by the burst: the tokens that the bucket kept from the quiet before.",
    )


def _thresholds(trial: Trial) -> Picture | None:
    outcome = next((o for o in trial.outcomes if o.first.states), None)
    if outcome is None:
        return None
    run = outcome.first
    nodes = sorted({state.node for state in run.states})
    end = float(np.nanmax(run.admitted_s, initial=1.0))
    grid = np.linspace(0.0, end, POINTS)
    fronts = heads(run.people, trial.first_ideal_s, grid)
    is_busy = waiting(run.people, trial.first_ideal_s, grid) > 0.0
    thresholds = [_of_node(run, node, end) for node in nodes]
    best = Line(grid.tolist(), fronts.tolist(), *IDEAL)
    moved = [Line(t, y, f"p{i % 8}", f"node {n}") for i, (n, (t, y)) in enumerate(zip(nodes, thresholds, strict=True))]
    lagging = [Line(line.x, _minus(line.x, line.y), line.ink, line.name) for line in moved]
    best_lag = Line(grid.tolist(), (grid - fronts).tolist(), *IDEAL)
    x = time_axis("after the opening", end)
    top = max((max(line.y, default=0.0) for line in [*lagging, best_lag]), default=1.0)
    high = max((max(line.y, default=0.0) for line in [*moved, best]), default=1.0)
    ahead = [Line(line.x, _ahead(line, grid, fronts, is_busy), line.ink, line.name) for line in moved]
    spread = np.array([0.0, *(abs(gap) for line in ahead for gap in line.y if gap == gap)])
    most = max(0.1, float(np.percentile(spread, 95)) * 1.2)
    level = Line([0.0, end], [0.0, 0.0], *IDEAL)
    magnified = linear("threshold ahead of the ideal line (s of arrival)", most, -most, 6)
    panels = (
        Panel(
            "Lag: how long ago those arrived who are called now",
            chart("Lag of each node", x, linear("lag (s)", top), [*lagging, best_lag]),
        ),
        Panel(
            "Threshold: up to which arrival the door is open",
            chart("Threshold of each node", x, linear("arrival (s after the opening)", high), [*moved, best]),
        ),
        Panel(
            "The same threshold, magnified: how far it is ahead of the ideal line",
            chart("Threshold of each node against the ideal line", x, magnified, [*ahead, level]),
        ),
    )
    first_ones = " (the first eight)" if run.scenario.nodes > len(nodes) else ""
    return Picture(
        "How far the door is open",
        panels,
        (*((line.ink, line.name) for line in moved), IDEAL),
        f"Each node{first_ones} moves one number, its threshold: who arrived before it may come in. Lag is now minus "
        "threshold. The dashed line is the arrival of the visitor whom the ideal line lets in at this moment.",
        "All nodes on the dashed line, or just ahead of it: people are called a moment before their turn, so that "
        "they can be there in time.",
        "Nodes that part from each other serve people of different arrival at the same moment: that is where "
        "unfairness between nodes comes from. The last picture magnifies it, for as long as anybody waits in "
        "the ideal line.",
    )


def _of_node(run: Run, node: int, end_s: float) -> tuple[list[float], list[float]]:
    rows = [
        (s.at_s, s.threshold) for s in run.states if s.node == node and s.at_s <= end_s and np.isfinite(s.threshold)
    ]
    rows = rows[:: max(1, len(rows) // POINTS)]
    return [t for t, _ in rows], [y for _, y in rows]


def _minus(t: Sequence[float], y: Sequence[float]) -> list[float]:
    return [max(0.0, a - b) for a, b in zip(t, y, strict=True)]


def _ahead(threshold: Line, grid: Floats, fronts: Floats, is_busy: NDArray[np.bool_]) -> list[float]:
    """How many seconds of arrivals a node is ahead of the ideal line, while anybody waits there."""
    gaps = np.asarray(threshold.y) - np.interp(threshold.x, grid, fronts)
    out: list[float] = np.where(np.interp(threshold.x, grid, is_busy) > 0.5, gaps, np.nan).tolist()
    return out


def _tail(trial: Trial) -> Picture:
    gaps = {o.policy: displacements(o, trial.first_ideal_s) for o in trial.outcomes}
    high = max(1.0, *(float(g[-1]) if len(g) else 0.0 for g in gaps.values()))
    x_axis = log("displacement, each step ten times the one before", LEAST_SHOWN_S, high, _power)
    grid = np.geomspace(x_axis.low, x_axis.high, POINTS)
    below, above = [], []
    least = 1.0
    for policy, gap in gaps.items():
        if not len(gap):
            continue
        part = np.searchsorted(gap, grid, side="right") / len(gap)
        least = min(least, 1.0 / len(gap))
        below.append(Line(grid.tolist(), part.tolist(), ink(policy), policy))
        rest = np.where(part < 1.0, 1.0 - part, np.nan)
        above.append(Line(grid.tolist(), rest.tolist(), ink(policy), policy))
    percents = tuple((i / 4, f"{25 * i} %") for i in range(5))
    left = chart(
        "Share of visitors displaced by less",
        x_axis,
        Axis("share of visitors displaced by less", 0.0, 1.0, percents),
        below,
    )
    y_axis = log("share of visitors displaced by more", max(least, 1e-6), 1.0, share)
    right = chart("Share of visitors displaced by more", x_axis, y_axis, [*above, Guide(0.01, "1 of 100")])
    return Picture(
        "The whole distribution, and its tail",
        (Panel("By less than this", left), Panel("By more than this: the tail, down to a single visitor", right)),
        _legend(trial, with_ideal=False),
        "Every admitted visitor, by how many seconds too early or too late they came in. The second picture shows "
        "the same upside down and magnified, down to the one visitor with the worst luck of all.",
        "Above, a line that has reached 100 % at the left edge. Below, one that has ended there.",
        "Go up from 1 s: so many visitors were treated fairly to within a second. Where a line of the lower picture "
        "ends is the worst that happened to anybody.",
    )


def _polls(trial: Trial) -> Picture:
    end = _end(trial)
    width = int(_bin_s(end, 240))
    lines = []
    for outcome in trial.outcomes:
        counts = outcome.first.polls_by_second
        full = np.concatenate([counts, np.zeros(-len(counts) % width, dtype=counts.dtype)]).reshape(-1, width)
        peaks = full.max(axis=1)[: int(end / width) + 1]
        at = (np.arange(len(peaks)) * width).astype(np.float64)
        lines.append(Line(at.tolist(), peaks.astype(np.float64).tolist(), ink(outcome.policy), outcome.policy))
    budget = trial.scenario.poll_budget_per_s
    guides = [] if budget is None else [Guide(budget, "the budget")]
    top = max(1.0, budget or 0.0, *(max(line.y, default=0.0) for line in lines))
    every = f"the busiest second of every {width} s" if width > 1 else "every second"
    svg = chart(
        "Requests a second", time_axis("after the opening", end), linear("requests a second", top), [*lines, *guides]
    )
    return Picture(
        "What waiting costs",
        (Panel(f"Requests a second from all who wait, {every}", svg),),
        _legend(trial, with_ideal=False),
        "Every visitor asks again from time to time; these are all requests that the nodes answer, first visits "
        "included.",
        "Low and flat: people far back are asked to come back rarely, those near the front in time for their turn.",
        "The first peak is the arrivals themselves, and nobody can avoid it.",
    )
