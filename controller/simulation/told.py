"""What the waiting were told, against what came true: place, ETA and its interval.

position error   |told - true| / true, of places beyond 20; true = older ones still waiting, plus one
covered          share of the P90s that were not exceeded
grown            share of visitors who were once told a P50 beyond every P90 that they had been told before

A capacity that changes later cannot be foreseen, so waits count in tokens, at the rate that held when they were told:
what the room hands out between t and t + wait, over the rate at t. Where the capacity stays the same that is the wait.
What nobody can hand out while nodes are away makes the line as much slower, so it is no reason that a wait has `grown`.
"""

from dataclasses import dataclass

import numpy as np

from controller.simulation.ideal import Capacity
from controller.simulation.world import Run, Sample

CHECKED = 3000  # samples whose true place is counted


@dataclass(frozen=True, slots=True)
class Told:
    """Shares are 0..1; nan if nobody was told anything."""

    position_error: float
    eta_error_s: float  # median of |P50 - truth|
    covered: float
    grown: float


def told(run: Run) -> Told:
    """How true the displayed places and waits were, for visitors who were admitted."""
    samples = [s for s in run.samples if s.eta_p50_s is not None and not np.isnan(run.admitted_s[s.visitor])]
    if not samples:
        return Told(np.nan, np.nan, np.nan, np.nan)
    plan = run.scenario.plan()
    waits = np.array([_wait(plan, s.at_s, float(run.admitted_s[s.visitor])) for s in samples])
    p50 = np.array([s.eta_p50_s for s in samples], dtype=np.float64)
    p90 = np.array([s.eta_p90_s for s in samples], dtype=np.float64)
    return Told(
        position_error=_position_error(run, samples),
        eta_error_s=float(np.median(np.abs(p50 - waits))),
        covered=float(np.mean(waits <= p90)),
        grown=_grown(samples, run.scenario.available()),
    )


def _position_error(run: Run, samples: list[Sample]) -> float:
    arrival, leave = run.people.arrival_s, run.people.leave_s
    ends = np.minimum(np.nan_to_num(run.admitted_s, nan=np.inf), leave)
    errors = []
    for s in samples[:: max(1, len(samples) // CHECKED)]:
        if s.position is None:
            continue
        true = 1 + int(np.sum((arrival[: s.visitor] <= s.at_s) & (ends[: s.visitor] > s.at_s)))
        if true > 20:
            errors.append(abs(s.position - true) / true)
    return float(np.median(errors)) if errors else np.nan


def _wait(plan: Capacity, since: float, until: float) -> float:
    rate = plan.at(since)
    return (plan.tokens(until) - plan.tokens(since)) / rate if rate > 0.0 else until - since


def _grown(samples: list[Sample], plan: Capacity) -> float:
    latest: dict[int, float] = {}
    grown: set[int] = set()
    for s in samples:
        p50, p90 = s.eta_p50_s, s.eta_p90_s
        if p50 is None or p90 is None:
            continue
        made, rate = plan.tokens(s.at_s), plan.at(s.at_s)
        if made + rate * p50 > latest.get(s.visitor, np.inf):
            grown.add(s.visitor)
        latest[s.visitor] = max(latest.get(s.visitor, -np.inf), made + rate * p90)
    return len(grown) / max(1, len(latest))
