"""A sale in a room with lanes, on a virtual clock: shares, what an empty lane leaves, and order as in a room alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from controller.simulation.crowd import Crowd, crowd, surge
from controller.simulation.lanes import play_lanes
from controller.simulation.measures import kendall
from controller.simulation.run import Run
from controller.simulation.scenario import Scenario
from controller.simulation.world import play

CAPACITY = 50.0


def rush(visitors: int) -> Callable[[np.random.Generator], Crowd]:
    """A tenth of a surge: nine in ten arrive within 3 s."""
    return lambda rng: crowd(surge(rng, visitors) * 0.1)


def trickle(per_s: float, seconds: float) -> Callable[[np.random.Generator], Crowd]:
    return lambda rng: crowd(np.sort(rng.uniform(0.0, seconds, int(per_s * seconds))))


def room(nodes: int) -> Scenario:
    return Scenario("lanes", "two lanes", rush(1), capacity=CAPACITY, nodes=nodes, joined=nodes > 1)


def admitted(run: Run, since: float, until: float) -> int:
    return int(np.sum((run.admitted_s >= since) & (run.admitted_s < until)))


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_two_full_lanes_keep_their_shares_and_their_order(nodes: int) -> None:
    lanes = [(0.3, rush(1000)), (0.7, rush(2300))]
    runs = play_lanes(room(nodes), lanes, seed=1)
    named, general = (admitted(run, 3.0, 63.0) for run in runs)
    assert named / (named + general) == pytest.approx(0.3, abs=0.02 * 0.3)
    assert named + general >= 0.985 * CAPACITY * 60.0
    for run in runs:
        alone = play(replace(run.scenario), seed=1)
        allowed = 0.002 + 1.5 * kendall(alone.people.arrival_s, alone.admitted_s)
        assert kendall(run.people.arrival_s, run.admitted_s) <= allowed


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_a_lane_uses_what_the_other_one_leaves(nodes: int) -> None:
    late = [(0.3, lambda _: crowd(np.array([70.0]))), (0.7, rush(3200))]
    runs = play_lanes(room(nodes), late, seed=1)
    assert admitted(runs[1], 3.0, 63.0) >= 0.99 * CAPACITY * 60.0


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_quiet_lane_hardly_waits_beside_a_full_one(nodes: int) -> None:
    runs = play_lanes(room(nodes), [(0.3, trickle(8.0, 40.0)), (0.7, rush(1900))], seed=1)
    waits = runs[0].admitted_s - runs[0].people.arrival_s
    assert np.percentile(waits, 90) <= 2.5
    assert sum(admitted(run, 3.0, 38.0) for run in runs) >= 0.985 * CAPACITY * 35.0


def test_the_lanes_together_admit_no_more_than_the_room_may() -> None:
    runs = play_lanes(room(2), [(0.3, trickle(12.0, 40.0)), (0.7, rush(1900))], seed=2)
    times = np.sort(np.concatenate([run.admitted_s[~np.isnan(run.admitted_s)] for run in runs]))
    for window in (0.1, 1.0, 5.0, 20.0):
        counts = np.arange(1, len(times) + 1) - np.searchsorted(times, times - window)
        assert counts.max() <= CAPACITY * window + CAPACITY + 2 * 3.0
