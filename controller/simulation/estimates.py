"""How accurate the estimates were: position and ETA, as the responses gave them and as the page showed them.

    position_error   |shown - true| / true, median over positions beyond 20; true = older visitors still waiting, plus 1
    told_error       the same for the positions in the responses themselves
    eta_error_s      |P50 - true wait|, median, seconds
    covered          share of P90s that were not exceeded
    grown            share of visitors that were once shown a wait beyond every P90 that they had been given before
    told_grown       the same for the P50s in the responses themselves
    slower           share of visitors that were once told that the wait has become longer

The page shows a mean of the responses (`controller/simulation/page.py`). Without scripts it shows each as it is.

No gate can foresee that an operator changes the capacity. So waits are measured in tokens, at the rate that held when
the estimate was made: tokens made between t and t + wait, divided by the rate at t. With a constant capacity that is
the wait. While nodes are away, the tokens that nobody can hand out do not count: they are no reason for `grown`.
"""

from dataclasses import dataclass

import numpy as np

from controller.simulation.crowd import PLAIN, Floats
from controller.simulation.ideal import Capacity
from controller.simulation.page import Page
from controller.simulation.run import Run, Sample

__all__ = ["EstimateErrors", "estimate_errors"]

#: Samples of which the true position is counted.
CHECKED = 3000
#: Relative errors of positions up to this one mean little.
LEAST_POSITION = 20


@dataclass(frozen=True, slots=True)
class EstimateErrors:
    """Shares are 0..1. nan if no visitor got an estimate."""

    position_error: float
    eta_error_s: float
    covered: float
    grown: float
    slower: float
    told_error: float
    told_grown: float


def estimate_errors(run: Run) -> EstimateErrors:
    """Compare the estimates with what happened, for visitors that were admitted."""
    samples = [s for s in run.samples if s.eta_p50_s is not None and not np.isnan(run.admitted_s[s.visitor])]
    if not samples:
        return EstimateErrors(*[np.nan] * 7)
    plan = run.scenario.plan()
    waits = np.array([_wait(plan, s.at_s, float(run.admitted_s[s.visitor])) for s in samples])
    p50 = np.array([s.eta_p50_s for s in samples], dtype=np.float64)
    p90 = np.array([s.eta_p90_s for s in samples], dtype=np.float64)
    pages = _Pages(run)
    shown = [pages.show(s) for s in samples]
    true = _true_positions(run, samples)
    return EstimateErrors(
        position_error=_error(true, np.array(shown, dtype=np.float64)),
        eta_error_s=float(np.median(np.abs(p50 - waits))),
        covered=float(np.mean(waits <= p90)),
        grown=pages.share(pages.grown),
        slower=pages.share(pages.slower),
        told_error=_error(true, np.array([s.position for s in samples], dtype=np.float64)),
        told_grown=pages.share(pages.told_grown),
    )


def _true_positions(run: Run, samples: list[Sample]) -> Floats:
    """Count the true positions of every n-th sample, some CHECKED in all; nan for the others."""
    arrival, leave = run.people.arrival_s, run.people.leave_s
    ends = np.minimum(np.nan_to_num(run.admitted_s, nan=np.inf), leave)
    true = np.full(len(samples), np.nan)
    for i in range(0, len(samples), max(1, len(samples) // CHECKED)):
        s = samples[i]
        true[i] = 1 + int(np.sum((arrival[: s.visitor] <= s.at_s) & (ends[: s.visitor] > s.at_s)))
    return true


def _error(true: Floats, estimated: Floats) -> float:
    counted = true > LEAST_POSITION
    return float(np.median(np.abs(estimated - true)[counted] / true[counted])) if counted.any() else np.nan


def _wait(plan: Capacity, since: float, until: float) -> float:
    rate = plan.at(since)
    return (plan.tokens(until) - plan.tokens(since)) / rate if rate > 0.0 else until - since


class _Pages:
    """The waiting pages of the sampled visitors."""

    def __init__(self, run: Run) -> None:
        self._kind, self._plan = run.people.kind, run.scenario.available()
        self._pages: dict[int, Page] = {}
        #: Each visitor's largest P90 so far, in tokens.
        self._largest: dict[int, float] = {}
        self.grown: set[int] = set()
        self.slower: set[int] = set()
        self.told_grown: set[int] = set()

    def show(self, s: Sample) -> float:
        """Take in a response. Return the position that the page shows then."""
        p50, p90, position = s.eta_p50_s, s.eta_p90_s, s.position
        if p50 is None or p90 is None or position is None:
            return np.nan
        visitor = s.visitor
        made, rate = self._plan.tokens(s.at_s), self._plan.at(s.at_s)
        largest = self._largest.get(visitor)
        self._largest[visitor] = max(made + rate * p90, -np.inf if largest is None else largest)
        is_longer = largest is not None and made + rate * p50 > largest
        if is_longer:
            self.told_grown.add(visitor)
        if self._kind[visitor] == PLAIN:
            if is_longer:
                self.grown.add(visitor)
            return position
        page = self._pages.setdefault(visitor, Page())
        if page.receive(s.at_s, position, p50, p90):
            self.slower.add(visitor)
            if page.wait_s is not None and largest is not None and made + rate * page.wait_s > largest:
                self.grown.add(visitor)
        return page.position if page.position is not None else np.nan

    def share(self, visitors: set[int]) -> float:
        return len(visitors) / max(1, len(self._largest))
