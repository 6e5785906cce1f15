"""The least capacity with which nine of ten visitors wait no longer than a given time.

Found in the ideal line first, which is quick: the longer the wait of a patient visitor, the less the capacity. Then the
gate itself is played with it, and the capacity raised in steps of 2 % until the real line keeps the time too. Nobody
leaves while the capacity is sought: with a line that frightens visitors away, any capacity would do.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from controller.simulation.crowd import Crowd, crowd
from controller.simulation.ideal import fifo
from controller.simulation.scenario import Scenario, SetCapacity
from controller.simulation.world import play
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["Suggestion", "suggest", "with_capacity"]

MOST_CAPACITY = 1_000_000.0
STEP = 1.02
MOST_PLAYS = 12


@dataclass(frozen=True, slots=True)
class Suggestion:
    """capacity: admissions a second. p90_s: of the wait, as played."""

    capacity: float
    p90_s: float
    limit_s: float
    visitors: int


def with_capacity(scenario: Scenario, capacity: float) -> Scenario:
    """Return the sale with another capacity. Changes of it during the sale are scaled."""
    scale = capacity / scenario.capacity
    events = tuple(
        replace(e, admissions_per_second=e.admissions_per_second * scale) if isinstance(e, SetCapacity) else e
        for e in scenario.events
    )
    return replace(scenario, capacity=capacity, events=events)


def suggest(scenario: Scenario, limit_s: float, look: Callable[[float], None]) -> Suggestion:
    """Return the least capacity. look(seconds): called while the gate is played. Raises ConfigurationError."""
    people = crowd(scenario.people(np.random.default_rng(0)).arrival_s)
    patient = replace(scenario, people=lambda rng: people)  # noqa: ARG005
    capacity = _rounded_up(_least(patient, people, limit_s))
    for _ in range(MOST_PLAYS):
        run = play(with_capacity(patient, capacity), 0, progress=look)
        p90 = float(np.nanpercentile(run.admitted_s - people.arrival_s, 90))
        if p90 <= limit_s:
            return Suggestion(capacity, p90, limit_s, len(people))
        capacity = _rounded_up(capacity * STEP)
    raise ConfigurationError("simulate", [SettingFault("--suggest", f"no capacity keeps {limit_s:g} s in this sale")])


def _least(scenario: Scenario, people: Crowd, limit_s: float) -> float:
    """Return the least capacity of the ideal line, within 0.1 %."""

    def p90(capacity: float) -> float:
        return float(np.percentile(fifo(people, with_capacity(scenario, capacity).plan()) - people.arrival_s, 90))

    high = max(1e-3, len(people) / max(float(people.arrival_s[-1]) + limit_s, 1.0))
    while p90(high) > limit_s:
        high *= 2.0
        if high > MOST_CAPACITY:
            message = f"no capacity keeps {limit_s:g} s in this sale"
            raise ConfigurationError("simulate", [SettingFault("--suggest", message)])
    low = high / 2.0
    while low > 1e-3 and p90(low) <= limit_s:
        low, high = low / 2.0, low
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if p90(middle) <= limit_s else (middle, high)
    return high


def _rounded_up(capacity: float) -> float:
    """Return a capacity with three digits, not below the given one."""
    digits = 10.0 ** (np.floor(np.log10(capacity)) - 2)
    return float(np.round(np.ceil(capacity / digits - 1e-9) * digits, 9))
