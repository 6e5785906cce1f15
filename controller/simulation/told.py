"""What the waiting were told, and what their page showed of it, against what came true: place, ETA and its interval.

position error   |shown - true| / true, of places beyond 20; true = older ones still waiting, plus one
covered          share of the P90s that were not exceeded
grown            share of visitors who were once shown a wait beyond every P90 that they had been told before
slower           share of visitors to whom the page once said that it takes longer than it had said before

The page shows a mean of the answers (`controller/simulation/page.py`); without scripts it shows each as it is. What the
answers themselves are worth is `told_error` and `told_grown`.

A capacity that changes later cannot be foreseen, so waits count in tokens, at the rate that held when they were told:
what the room hands out between t and t + wait, over the rate at t. Where the capacity stays the same that is the wait.
What nobody can hand out while nodes are away makes the line as much slower, so it is no reason that a wait has `grown`.
"""

from dataclasses import dataclass

import numpy as np

from controller.simulation.crowd import PLAIN, Floats
from controller.simulation.ideal import Capacity
from controller.simulation.page import Page
from controller.simulation.world import Run, Sample

CHECKED = 3000  # samples whose true place is counted
LEAST_PLACE = 20


@dataclass(frozen=True, slots=True)
class Told:
    """Shares are 0..1; nan if nobody was told anything."""

    position_error: float
    eta_error_s: float  # median of |P50 - truth|
    covered: float
    grown: float
    slower: float
    told_error: float
    told_grown: float


def told(run: Run) -> Told:
    """How true the displayed places and waits were, for visitors who were admitted."""
    samples = [s for s in run.samples if s.eta_p50_s is not None and not np.isnan(run.admitted_s[s.visitor])]
    if not samples:
        return Told(*[np.nan] * 7)
    plan = run.scenario.plan()
    waits = np.array([_wait(plan, s.at_s, float(run.admitted_s[s.visitor])) for s in samples])
    p50 = np.array([s.eta_p50_s for s in samples], dtype=np.float64)
    p90 = np.array([s.eta_p90_s for s in samples], dtype=np.float64)
    pages = _Pages(run)
    shown = [pages.show(s) for s in samples]
    true = _true_places(run, samples)
    return Told(
        position_error=_error(true, np.array(shown, dtype=np.float64)),
        eta_error_s=float(np.median(np.abs(p50 - waits))),
        covered=float(np.mean(waits <= p90)),
        grown=pages.share(pages.grown),
        slower=pages.share(pages.slower),
        told_error=_error(true, np.array([s.position for s in samples], dtype=np.float64)),
        told_grown=pages.share(pages.told_grown),
    )


def _true_places(run: Run, samples: list[Sample]) -> Floats:
    """Of every n-th sample, so that CHECKED or a few more are counted; nan for the others."""
    arrival, leave = run.people.arrival_s, run.people.leave_s
    ends = np.minimum(np.nan_to_num(run.admitted_s, nan=np.inf), leave)
    true = np.full(len(samples), np.nan)
    for i in range(0, len(samples), max(1, len(samples) // CHECKED)):
        s = samples[i]
        true[i] = 1 + int(np.sum((arrival[: s.visitor] <= s.at_s) & (ends[: s.visitor] > s.at_s)))
    return true


def _error(true: Floats, said: Floats) -> float:
    counted = true > LEAST_PLACE
    return float(np.median(np.abs(said - true)[counted] / true[counted])) if counted.any() else np.nan


def _wait(plan: Capacity, since: float, until: float) -> float:
    rate = plan.at(since)
    return (plan.tokens(until) - plan.tokens(since)) / rate if rate > 0.0 else until - since


class _Pages:
    """The pages of those who were sampled."""

    def __init__(self, run: Run) -> None:
        self._kind, self._plan = run.people.kind, run.scenario.available()
        self._pages: dict[int, Page] = {}
        self._latest: dict[int, float] = {}  # the latest P90 of each visitor so far, in tokens
        self.grown: set[int] = set()
        self.slower: set[int] = set()
        self.told_grown: set[int] = set()

    def show(self, s: Sample) -> float:
        """Take an answer in; the place that is shown then."""
        p50, p90, position = s.eta_p50_s, s.eta_p90_s, s.position
        if p50 is None or p90 is None or position is None:
            return np.nan
        visitor = s.visitor
        made, rate = self._plan.tokens(s.at_s), self._plan.at(s.at_s)
        latest = self._latest.get(visitor)
        self._latest[visitor] = max(made + rate * p90, -np.inf if latest is None else latest)
        tells_more = latest is not None and made + rate * p50 > latest
        if tells_more:
            self.told_grown.add(visitor)
        if self._kind[visitor] == PLAIN:
            if tells_more:
                self.grown.add(visitor)
            return position
        page = self._pages.setdefault(visitor, Page())
        if page.answer(s.at_s, position, p50, p90):
            self.slower.add(visitor)
            if page.wait_s is not None and latest is not None and made + rate * page.wait_s > latest:
                self.grown.add(visitor)
        return page.place if page.place is not None else np.nan

    def share(self, visitors: set[int]) -> float:
        return len(visitors) / max(1, len(self._latest))
