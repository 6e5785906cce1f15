"""The pictures of a report, drawn from the first seed of a trial, each with its explanation.

    ladder      median, P95 and P99 of the displacement of each policy
    waits       waits by arrival
    crowd       visitors waiting and admissions a second, over time
    thresholds  lag and threshold of each node (`threshold_picture.py`)
    tail        distribution of the displacement
    polls       requests a second

Times are binned, so that a curve has a few hundred points. Where the peak matters, a bin shows its highest value.
"""

import numpy as np

from controller.simulation.crowd import Floats
from edge.cli.chart import Axis, Band, Dots, Guide, Line, Mark, chart, linear, log, time_axis
from edge.cli.simulate.picture import IDEAL, POINTS, Panel, Picture, bin_s, end_s, ink, legend
from edge.cli.simulate.series import displacements, quantiles, rate, waiting
from edge.cli.simulate.table import duration, share
from edge.cli.simulate.threshold_picture import threshold_picture
from edge.cli.simulate.trial import Trial, median

__all__ = ["pictures"]

#: Logarithmic axes begin here.
LEAST_SHOWN_S = 0.01


def pictures(trial: Trial) -> tuple[Picture, ...]:
    """Draw all pictures, in reading order."""
    drawn = [_ladder(trial), _waits(trial), _crowd(trial), threshold_picture(trial), _tail(trial), _polls(trial)]
    return tuple(picture for picture in drawn if picture is not None)


def _ladder(trial: Trial) -> Picture:
    rows = len(trial.outcomes)
    figures = [median(o.by_seed) for o in trial.outcomes]
    high = max(1.0, *(f["p99_s"] for f in figures))
    marks: list[Line | Dots] = []
    for i, (outcome, f) in enumerate(zip(trial.outcomes, figures, strict=True)):
        at = rows - i - 0.5
        x = [max(LEAST_SHOWN_S, f[key]) for key in ("median_s", "p95_s", "p99_s")]
        marks.append(Line(x, [at] * 3, ink(outcome.policy), outcome.policy))
        marks.append(
            Dots(x, [at] * 3, ink(outcome.policy), f"50 % {duration(f['median_s'])}", f"99 % {duration(f['p99_s'])}")
        )
    y = Axis("", 0.0, float(rows), tuple((rows - i - 0.5, o.policy) for i, o in enumerate(trial.outcomes)))
    x_axis = log("seconds away from the ideal line's moment, each step ten times the one before", 0.01, high, _power)
    svg = chart("Displacement of each policy", x_axis, y, marks, height=70.0 + 52.0 * rows)
    return Picture(
        "Distance from the ideal line",
        (Panel("Median, P95 and P99 of the displacement, median over the seeds", svg),),
        (),
        "Three dots for each policy: half of the visitors, 95 of 100 and 99 of 100 were admitted closer than this to "
        "the moment of their admission in the ideal line.",
        "All dots at the left edge.",
        "The scale is logarithmic: one step to the right is ten times as unfair.",
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
        marks: list[Mark] = [
            Band(at, low, high, colour, "9 of 10 visitors"),
            Line(at, middle, colour, f"{outcome.policy}: median"),
            Line(best_at, best, *IDEAL),
        ]
        panels.append(Panel(outcome.policy, chart(f"Wait by arrival, {outcome.policy}", x, y, marks, 480.0, 260.0)))
    return Picture(
        "Waits by arrival",
        tuple(panels),
        (*legend(trial),),
        "All admitted visitors by their arrival: the line is the median wait of visitors that arrived together. The "
        "shade holds nine of ten of them. The dashed line is the wait in the ideal line.",
        "A shade as thin as the line, on the dashed line: visitors that arrive together wait equally long.",
        "A wide shade is a lottery: visitors that arrived at the same moment wait for seconds or minutes, by chance.",
        is_paired=True,
    )


def _top(waits: Floats) -> float:
    finite = waits[~np.isnan(waits)]
    return float(np.percentile(finite, 99)) if len(finite) else 1.0


def _crowd(trial: Trial) -> Picture:
    end = end_s(trial)
    people = trial.outcomes[0].first.people
    grid = np.linspace(0.0, end, POINTS)
    ideal = waiting(people, trial.first_ideal_s, grid)
    lines = [
        Line(grid.tolist(), waiting(people, o.first.admitted_s, grid).tolist(), ink(o.policy), o.policy)
        for o in trial.outcomes
    ]
    top = max(float(ideal.max()), *(max(line.y) for line in lines))
    x = time_axis("after the opening", end)
    line = chart(
        "Visitors waiting", x, linear("visitors waiting", top), [*lines, Line(grid.tolist(), ideal.tolist(), *IDEAL)]
    )

    width = bin_s(end, 120)
    rates = [Line(*rate(o.first.admitted_s, end, width), ink(o.policy), o.policy) for o in trial.outcomes]
    plan = trial.scenario.plan().rates
    steps = [*(since for since, _ in plan), end]
    allowed = Line(steps, [*(value for _, value in plan), plan[-1][1]], "ideal", "the capacity", is_step=True)
    high = max(max(value for _, value in plan) * 1.2, *(max(line.y, default=0.0) for line in rates))
    admissions = chart("Admissions a second", x, linear("admissions a second", high), [*rates, allowed])
    captions = ("Waiting", f"Admissions, mean of every {width:g} s; dashed: the capacity")
    return Picture(
        "The line over time",
        (Panel(captions[0], line), Panel(captions[1], admissions)),
        legend(trial),
        "Above, the visitors that wait at each moment (visitors that left are not counted). Below, the admissions a "
        "second, and the capacity as the dashed line.",
        "Above, no line over the dashed one. Below, all lines on the dashed one while somebody waits: below it "
        "capacity is lost, and all later visitors wait longer.",
        "The first second may exceed the capacity by the burst: tokens that the bucket kept from a quiet time.",
    )


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
        "Distribution of the displacement",
        (Panel("By less than this", left), Panel("By more than this: the tail, down to a single visitor", right)),
        legend(trial, with_ideal=False),
        "All admitted visitors, by how many seconds too early or too late they were admitted. The second chart shows "
        "the same upside down and magnified, down to the one visitor with the largest displacement.",
        "Above, a line that reaches 100 % at the left edge. Below, a line that ends there.",
        "Go up from 1 s: this share of the visitors was admitted within a second of the ideal moment. A line of the "
        "lower chart ends at the largest displacement of all.",
    )


def _polls(trial: Trial) -> Picture:
    end = end_s(trial)
    width = int(bin_s(end, 240))
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
        "Requests a second",
        (Panel(f"Requests a second from all visitors, {every}", svg),),
        legend(trial, with_ideal=False),
        "Every visitor polls from time to time. The chart counts all requests that the nodes answer, first visits "
        "included.",
        "Low and flat: visitors far back poll rarely, visitors near the front poll in time for their turn.",
        "The first peak is the arrivals themselves. No policy can avoid it.",
    )
