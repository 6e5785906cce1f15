"""The far line is counted better than once, follows visitors that give up, and is left alone near the front."""

from bisect import bisect_left
from collections.abc import Callable
from random import Random

import pytest

from controller.line.sampled.estimator import LineEstimator

INTERVAL_S = 15.0


class Sample:
    """One visitor in `nodes`, drawn anew every interval, as leases that all run for one interval are."""

    def __init__(self, line: list[float], nodes: int, seed: int) -> None:
        self.line, self._nodes, self._chance = line, nodes, Random(seed)
        self._node = [self._chance.randrange(nodes) for _ in line]
        self._here: list[float] = []
        self.is_there: Callable[[int], bool] = lambda _: True
        self._next = 0
        self.look(0)

    def look(self, polls: int) -> None:
        """The next `polls` visitors poll, at any node. A visitor that has left does not."""
        for _ in range(polls):
            visitor = self._next
            self._node[visitor] = self._chance.randrange(self._nodes) if self.is_there(visitor) else -1
            self._next = (visitor + 1) % len(self.line)
        self._here = [x for x, node in zip(self.line, self._node, strict=True) if node == 0]

    def ahead(self, first_seen: float) -> float:
        return float(bisect_left(self._here, first_seen))

    def nth(self, count: float) -> float | None:
        return self._here[int(count)] if int(count) < len(self._here) else None


def played(
    sample: Sample, estimator: LineEstimator, seconds: int, flow: float = 1.0, since: int = 0, surplus: float = 0.0
) -> None:
    """Count the far part of a line once a second. Nobody is admitted meanwhile."""
    for second in range(since, since + seconds):
        sample.look(round(len(sample.line) / INTERVAL_S))
        estimator.step(sample, 0.0, flow, 30.0, float(second), INTERVAL_S, surplus)


def test_counting_repeatedly_removes_the_noise() -> None:
    """After six intervals the error of the positions is less than two thirds of that of the leases at hand."""
    line = [i * 3e-3 for i in range(10_000)]
    by_estimator = by_leases = 0.0
    for seed in range(12):
        sample, estimator = Sample(line, 50, seed), LineEstimator()
        played(sample, estimator, 90)
        for x in (10.0, 16.0, 24.0):  # from 4.0 on: nearer visitors are in the zone
            true = 10_000 * (x - 4.0) / 30.0
            by_estimator += (50 * (estimator.between(x) - estimator.between(4.0)) / true - 1.0) ** 2
            by_leases += (50 * (sample.ahead(x) - sample.ahead(4.0)) / true - 1.0) ** 2
    assert by_estimator < 0.44 * by_leases


def test_visitors_that_give_up_are_followed() -> None:
    """With a mean patience of two minutes the count is that of the visitors that are still there."""
    line = [i * 3e-3 for i in range(10_000)]
    sample, estimator = Sample(line, 2, 1), LineEstimator()
    patience_s = [Random(7 + i).expovariate(1 / 120.0) for i in range(10_000)]
    now = 0
    sample.is_there = lambda visitor: patience_s[visitor] > now
    for now in range(120):
        played(sample, estimator, 1, since=now)
    still = sum(patience > now for patience in patience_s)
    assert 2.0 * estimator.between(estimator.newest) == pytest.approx(still, rel=0.06)


def test_the_zone_next_to_the_front_is_counted_no_more() -> None:
    """Leases near the front say more about appointments than about visitors, so only bins behind it follow them."""
    line = [i * 3e-3 for i in range(10_000)]
    sample, estimator = Sample(line, 2, 1), LineEstimator()
    played(sample, estimator, 30, flow=100.0)
    near, far = estimator.between(5.0), estimator.between(25.0) - estimator.between(10.0)
    sample.is_there = lambda visitor: visitor % 2 == 0
    played(sample, estimator, 30, flow=100.0, since=30)
    assert estimator.between(5.0) == near
    assert estimator.between(25.0) - estimator.between(10.0) < 0.7 * far


def test_visitors_admitted_out_of_the_middle_are_missed_there_and_not_behind() -> None:
    """A node that few visitors poll admits some nearer than 13; the visitors behind them stay in the count."""
    line = [i * 3e-3 for i in range(10_000)]
    sample, estimator = Sample(line, 2, 1), LineEstimator()
    played(sample, estimator, 45)
    chance = Random(3)
    gone: set[int] = set()

    def is_there(visitor: int) -> bool:
        if line[visitor] < 13.0 and chance.random() < 0.05:
            gone.add(visitor)
        return visitor not in gone

    sample.is_there = is_there
    played(sample, estimator, 90, since=45, surplus=0.25)
    for low, high in ((7.0, 13.0), (16.0, 29.0)):
        still = sum(low <= line[visitor] < high for visitor in range(10_000) if visitor not in gone)
        counted = 2.0 * (estimator.between(high) - estimator.between(low))
        assert counted == pytest.approx(still, rel=0.05)


def test_only_a_node_with_a_surplus_subtracts_what_others_admit() -> None:
    """Nobody leaves, so what a node without a surplus sees is noise.

    A node with a surplus assumes that others are short of visitors and admit some out of the zone, and that some of the
    visitors behind it are gone but not yet missed.
    """
    line = [i * 3e-3 for i in range(10_000)]
    even, crowded = LineEstimator(), LineEstimator()
    samples = Sample(line, 2, 1), Sample(line, 2, 1)
    for sample, estimator in zip(samples, (even, crowded), strict=True):
        played(sample, estimator, 30, flow=100.0)
    before = even.between(5.0)
    played(samples[0], even, 60, flow=100.0, since=30)
    played(samples[1], crowded, 60, flow=100.0, since=30, surplus=0.3)
    assert even.between(5.0) == before
    assert 0.6 * before < crowded.between(5.0) < 0.9 * before
    behind = even.between(25.0) - even.between(15.0)
    assert 0.9 * behind < crowded.between(25.0) - crowded.between(15.0) < behind


def test_another_number_of_nodes_scales_the_count() -> None:
    sample, estimator = Sample([i * 1e-2 for i in range(3000)], 1, 1), LineEstimator()
    played(sample, estimator, 2)
    assert len(estimator) < 300  # however many are there at first
    before = estimator.between(20.0)
    estimator.scale(0.5)
    estimator.step(sample, 0.0, 1.0, 30.0, 1.5, INTERVAL_S)
    assert estimator.between(20.0) == pytest.approx(0.5 * before, rel=0.01)


def test_an_estimator_of_nobody_begins_no_bin_at_the_front() -> None:
    """While every visitor is called the front is now: a bin that began there would be younger than the threshold."""
    estimator = LineEstimator()
    estimator.step(Sample([], 1, 1), 100.0, 10.0, 97.0, 100.0, INTERVAL_S)
    assert estimator.newest < 100.0
