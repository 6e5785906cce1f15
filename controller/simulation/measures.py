"""The measures of a run, against the central line of the same capacity. Fixed, so that runs can be compared.

displacement_i  |admission time - admission time in the central line|, of visitors admitted in both
kendall         share of pairs admitted in the wrong order (0 = first come, first served; 0.5 = lottery)
use             admissions made by the time the central line is empty / its own admissions by then
overshoot       most admissions above burst + capacity * window, over all windows of WINDOWS_S
lost            visitors admitted in the central line that left this one first, as a share of its admissions
spread          interquartile range of the waits of visitors that arrived in the same second, mean over seconds
"""

from dataclasses import dataclass

import numpy as np

from controller.simulation.crowd import Floats
from controller.simulation.ideal import busy_until
from controller.simulation.inversions import inversions
from controller.simulation.run import Run

__all__ = ["Measures", "measure"]

WINDOWS_S = (0.1, 1.0, 5.0, 20.0)


@dataclass(frozen=True, slots=True)
class Measures:
    """One row of the table. Shares are 0..1, times are seconds."""

    visitors: int
    use: float
    median_s: float
    p95_s: float
    p99_s: float
    max_s: float
    kendall: float
    overshoot: float
    polls_each: float
    polls_peak_per_s: float
    lost: float
    spread_s: float


def measure(run: Run, ideal: Floats) -> Measures:
    """Measure one run. ideal: admission times in the central line."""
    ours = run.admitted_s
    both = ~np.isnan(ours) & ~np.isnan(ideal)
    gap = np.abs(ours - ideal)[both]
    end = busy_until(run.people, ideal)
    lost = np.isnan(ours) & ~np.isnan(ideal)
    p50, p95, p99, top = np.percentile(gap, [50, 95, 99, 100]) if len(gap) else (0.0,) * 4
    return Measures(
        visitors=len(run.people),
        use=int(np.sum(ours <= end)) / max(1, int(np.sum(ideal <= end))),
        median_s=float(p50),
        p95_s=float(p95),
        p99_s=float(p99),
        max_s=float(top),
        kendall=kendall(run.people.arrival_s, ours),
        overshoot=overshoot(run),
        polls_each=float(np.mean(run.polls)),
        polls_peak_per_s=float(np.max(run.polls_by_second, initial=0)),
        lost=float(np.sum(lost) / max(1, np.sum(~np.isnan(ideal)))),
        spread_s=spread(run.people.arrival_s, ours),
    )


def kendall(arrival_s: Floats, admitted_s: Floats) -> float:
    """Return the normalised Kendall tau distance between the orders of arrival and admission."""
    inside = ~np.isnan(admitted_s)
    order = np.lexsort((arrival_s[inside], admitted_s[inside]))
    rank = np.argsort(np.argsort(arrival_s[inside], kind="stable"), kind="stable")[order]
    n = len(rank)
    return float(inversions(rank.tolist())) / (n * (n - 1) / 2) if n > 1 else 0.0


def overshoot(run: Run) -> float:
    """Return the most admissions in any window above burst + capacity * window, or 0."""
    times = np.sort(run.admitted_s[~np.isnan(run.admitted_s)])
    if not len(times):
        return 0.0
    plan = run.scenario.plan()
    made = np.array([plan.tokens(float(t)) for t in times])
    burst = plan.burst_s * max(rate for _, rate in plan.rates)
    worst = 0.0
    for window in WINDOWS_S:
        first = np.searchsorted(times, times - window, side="left")
        counts = np.arange(1, len(times) + 1) - first
        worst = max(worst, float(np.max(counts - (made - made[first]))) - burst - 1e-6)
    return worst


def spread(arrival_s: Floats, admitted_s: Floats) -> float:
    """Return the mean interquartile range of the waits by second of arrival, over seconds with ten visitors or more."""
    inside = ~np.isnan(admitted_s)
    wait, second = (admitted_s - arrival_s)[inside], np.floor(arrival_s[inside])
    ranges = []
    for s in np.unique(second):
        waits = wait[second == s]
        if len(waits) >= 10:
            low, high = np.percentile(waits, [25, 75])
            ranges.append(high - low)
    return float(np.mean(ranges)) if ranges else 0.0
