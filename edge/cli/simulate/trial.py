"""One scenario under several policies and seeds, compared with the two ideals for the same crowd.

    ideal           one central line before one bucket: the oldest visitor always gets the token
    polling ideal   the same, but nobody can be admitted between two polls

Seeds are 0 to N-1, as in the published table. A seed draws the same crowd for every policy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from controller import SettingsError
from controller.simulation.crowd import Crowd, Floats, crowd
from controller.simulation.ideal import busy_until, fifo, polled, polls_needed
from controller.simulation.measures import Measures, measure
from controller.simulation.policies import OURS, POLICIES
from controller.simulation.run import Run
from controller.simulation.scenario import Scenario, SetCapacity
from controller.simulation.world import play
from edge.cli.simulate.fleet import Fleet
from edge.cli.simulate.progress import Progress
from edge.cli.simulate.trace import Trace
from edge.support.errors import ConfigurationError, InternalError, SettingFault

__all__ = [
    "MEANINGS",
    "OURS",
    "POLICIES",
    "Outcome",
    "Trial",
    "checked",
    "median",
    "on_fleet",
    "traced",
    "try_out",
    "worst",
]

#: One line on each policy for `--list`. A policy that is missing here is described by its docstring.
MEANINGS: Mapping[str, str] = {
    OURS: "the gate that the edge runs",
    "bucket": "no line: a visitor that polls while a token is free is admitted, so it is a lottery",
    "timestamp-pid": "a PID controller on the threshold, as in a textbook",
    "lag-p": "a proportional rule on the lag, as published by Shopify in 2017",
    "csfq": "core-stateless fair queueing: the lag times the wanted rate over the measured rate",
    "feed-forward": "translates the rate to a threshold through the density of first requests",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One policy: the measures of every seed, and the first run in full for the charts."""

    policy: str
    by_seed: tuple[Measures, ...]
    first: Run


@dataclass(frozen=True, slots=True)
class Trial:
    """All results of one scenario."""

    scenario: Scenario
    seeds: tuple[int, ...]
    outcomes: tuple[Outcome, ...]
    ideal: tuple[Measures, ...]
    polling_ideal: tuple[Measures, ...]
    first_ideal_s: Floats


def traced(trace: Trace, name: str) -> Scenario:
    """Make a scenario in which the visitors of the trace arrive, with any seed."""
    people = crowd(np.array(trace.arrival_s), np.array(trace.patience_s))
    leaving = sum(1 for patience in trace.patience_s if patience < float("inf"))
    what = f"{len(trace):,} recorded arrivals in {max(trace.arrival_s):,.0f} s, {leaving:,} with limited patience"
    return Scenario(name, what, lambda rng: people)  # noqa: ARG005


def on_fleet(scenario: Scenario, fleet: Fleet) -> Scenario:
    """Play the same sale on another fleet. Changes of the capacity during the sale are scaled with it."""
    scale = fleet.capacity / scenario.capacity
    events = tuple(
        replace(e, admissions_per_second=e.admissions_per_second * scale) if isinstance(e, SetCapacity) else e
        for e in scenario.events
    )
    limit = fleet.active_limit
    unplayed = "" if limit is None else f" (its limit of {limit:,} active visitors is not played)"
    return replace(
        scenario,
        description=f"{scenario.description}; on {fleet.source}{unplayed}",
        capacity=fleet.capacity,
        burst_s=fleet.burst_s,
        poll_min_s=fleet.poll_min_s,
        poll_max_s=fleet.poll_max_s,
        poll_budget_per_s=fleet.poll_budget_per_s,
        nodes=fleet.nodes,
        joined=fleet.joined,
        burst_floor=fleet.burst_floor,
        events=events,
    )


def checked(scenario: Scenario) -> Scenario:
    """Return the scenario if a gate can be made for it. Raises ConfigurationError."""
    if scenario.weights is not None and len(scenario.weights) != scenario.nodes:
        message = f"{scenario.name} distributes its traffic over {len(scenario.weights)} nodes, not {scenario.nodes}"
        raise ConfigurationError("simulate", [SettingFault("--scenario", message)])
    try:
        scenario.settings()
    except SettingsError as fault:
        raise ConfigurationError("simulate", [SettingFault("", str(fault))]) from None
    return scenario


def try_out(scenario: Scenario, policies: Sequence[str], seeds: int, progress: Progress) -> Trial:
    """Play every policy with every seed, one run after the other."""
    numbers = tuple(range(seeds))
    ideals: dict[int, _Ideal] = {}
    outcomes = []
    for name in policies:
        rows: list[Measures] = []
        first: Run | None = None
        for seed in numbers:
            progress.begin(f"{scenario.name}, {name}, run {seed + 1} of {seeds}")
            watched = _Watched(scenario, ideals.get(seed), progress.at)
            run = replace_scenario(play(watched.scenario, seed, POLICIES[name], watched.look), scenario)
            ideals.setdefault(seed, watched.ideal)
            rows.append(measure(run, watched.ideal.admitted_s))
            first = first or run
            progress.end()
        if first is not None:
            outcomes.append(Outcome(name, tuple(rows), first))
    return Trial(
        scenario,
        numbers,
        tuple(outcomes),
        tuple(_as_if(scenario, ideals[s], ideals[s].admitted_s) for s in numbers),
        tuple(_as_if(scenario, ideals[s], ideals[s].polled_s) for s in numbers),
        ideals[numbers[0]].admitted_s,
    )


def replace_scenario(run: Run, scenario: Scenario) -> Run:
    """Attach the original scenario to the run."""
    run.scenario = scenario
    return run


@dataclass(frozen=True, slots=True)
class _Ideal:
    people: Crowd
    admitted_s: Floats
    polled_s: Floats
    end_s: float

    @classmethod
    def of(cls, people: Crowd, scenario: Scenario) -> "_Ideal":
        best = fifo(people, scenario.plan())
        last = float(people.arrival_s[-1]) if len(people) else 0.0
        return cls(people, best, polled(people, best, scenario.poll_min_s), max(last, busy_until(people, best)))


class _Watched:
    """A scenario that keeps the crowd it draws. The crowd gives the ideal, and so roughly the end of the sale."""

    def __init__(self, scenario: Scenario, ideal: _Ideal | None, report: Callable[[float], None]) -> None:
        self.original = scenario
        self.scenario = replace(scenario, people=self.draw)
        self._ideal = ideal
        self._report = report

    @property
    def ideal(self) -> _Ideal:
        if self._ideal is None:
            raise InternalError("the ideal is read before the crowd was drawn")
        return self._ideal

    def draw(self, rng: np.random.Generator) -> Crowd:
        people = self.original.people(rng)
        if self._ideal is None:
            self._ideal = _Ideal.of(people, self.original)
        return people

    def look(self, now_s: float) -> None:
        self._report(now_s / max(self.ideal.end_s, 1.0))


def _as_if(scenario: Scenario, ideal: _Ideal, admitted_s: Floats) -> Measures:
    """Measure a line that was computed, not played."""
    n = len(ideal.people)
    run = Run(
        scenario=scenario,
        people=ideal.people,
        admitted_s=admitted_s,
        node=np.zeros(n, dtype=np.int16),
        polls=polls_needed(ideal.people, admitted_s, scenario.poll_max_s).astype(np.int32),
        polls_by_second=np.zeros(1, dtype=np.int64),
    )
    return measure(run, ideal.admitted_s)


def median(rows: Sequence[Measures]) -> dict[str, float]:
    """Return the median over the seeds of each measure."""
    return {f.name: float(np.median([getattr(row, f.name) for row in rows])) for f in fields(Measures)}


def worst(rows: Sequence[Measures]) -> dict[str, float]:
    """Return the worst seed of each measure: the least use, the most of everything else."""
    return {
        f.name: float((min if f.name == "use" else max)(getattr(row, f.name) for row in rows)) for f in fields(Measures)
    }
