"""The far line is counted better than once, follows people who give up, and is left alone near the front."""

from bisect import bisect_left
from collections.abc import Callable
from random import Random

import pytest

from controller import Gate, GateSettings, Wait
from controller.line.estimator import LineEstimator
from controller.line.line import Line
from controller.line.return_rate import TrafficShare

INTERVAL_S = 15.0


class Sample:
    """One visitor in `nodes`, drawn anew every interval, as leases that all run for one interval are."""

    def __init__(self, line: list[float], nodes: int, seed: int) -> None:
        self._line, self._nodes, self._chance = line, nodes, Random(seed)
        self._node = [self._chance.randrange(nodes) for _ in line]
        self._here: list[float] = []
        self.is_there: Callable[[int], bool] = lambda _: True
        self._next = 0
        self.look(0)

    def look(self, polls: int) -> None:
        """The next so many visitors come back, to whatever node; who has left does not."""
        for _ in range(polls):
            visitor = self._next
            self._node[visitor] = self._chance.randrange(self._nodes) if self.is_there(visitor) else -1
            self._next = (visitor + 1) % len(self._line)
        self._here = [x for x, node in zip(self._line, self._node, strict=True) if node == 0]

    def ahead(self, first_seen: float) -> float:
        return float(bisect_left(self._here, first_seen))

    def nth(self, place: float) -> float | None:
        return self._here[int(place)] if int(place) < len(self._here) else None


def played(
    sample: Sample, census: LineEstimator, seconds: int, flow: float = 1.0, since: int = 0, surplus: float = 0.0
) -> None:
    """The far part of a line, one second after the other; nobody is admitted meanwhile."""
    for second in range(since, since + seconds):
        sample.look(round(len(sample._line) / INTERVAL_S))
        census.step(sample, 0.0, flow, 30.0, float(second), INTERVAL_S, surplus)


def test_counting_again_and_again_takes_the_noise_out() -> None:
    """After six intervals the error of the places is less than two thirds of that of the leases at hand."""
    line = [i * 3e-3 for i in range(10_000)]
    by_census = by_leases = 0.0
    for seed in range(12):
        sample, census = Sample(line, 50, seed), LineEstimator()
        played(sample, census, 90)
        for x in (10.0, 16.0, 24.0):  # from 4.0 on: what is nearer is in the zone
            true = 10_000 * (x - 4.0) / 30.0
            by_census += (50 * (census.between(x) - census.between(4.0)) / true - 1.0) ** 2
            by_leases += (50 * (sample.ahead(x) - sample.ahead(4.0)) / true - 1.0) ** 2
    assert by_census < 0.44 * by_leases


def test_people_who_give_up_are_followed() -> None:
    """Half an hour's patience or two minutes': the count is that of those who are still there."""
    line = [i * 3e-3 for i in range(10_000)]
    sample, census = Sample(line, 2, 1), LineEstimator()
    patience_s = [Random(7 + i).expovariate(1 / 120.0) for i in range(10_000)]
    now = 0
    sample.is_there = lambda visitor: patience_s[visitor] > now
    for now in range(120):
        played(sample, census, 1, since=now)
    still = sum(patience > now for patience in patience_s)
    assert 2.0 * census.between(census.newest) == pytest.approx(still, rel=0.06)


def test_the_zone_next_to_the_front_is_counted_no_more() -> None:
    """Leases near the front say more about appointments than about people, so only what is behind follows them."""
    line = [i * 3e-3 for i in range(10_000)]
    sample, census = Sample(line, 2, 1), LineEstimator()
    played(sample, census, 30, flow=100.0)
    near, far = census.between(5.0), census.between(25.0) - census.between(10.0)
    sample.is_there = lambda visitor: visitor % 2 == 0
    played(sample, census, 30, flow=100.0, since=30)
    assert census.between(5.0) == near
    assert census.between(25.0) - census.between(10.0) < 0.7 * far


def test_who_is_let_in_out_of_the_middle_is_missed_there_and_not_behind() -> None:
    """A node that few come to takes people nearer than 13; who is behind them does not vanish from the count."""
    line = [i * 3e-3 for i in range(10_000)]
    sample, census = Sample(line, 2, 1), LineEstimator()
    played(sample, census, 45)
    chance = Random(3)
    gone: set[int] = set()

    def is_there(visitor: int) -> bool:
        if line[visitor] < 13.0 and chance.random() < 0.05:
            gone.add(visitor)
        return visitor not in gone

    sample.is_there = is_there
    played(sample, census, 90, since=45, surplus=0.25)
    for low, high in ((7.0, 13.0), (16.0, 29.0)):
        still = sum(low <= line[visitor] < high for visitor in range(10_000) if visitor not in gone)
        counted = 2.0 * (census.between(high) - census.between(low))
        assert counted == pytest.approx(still, rel=0.05)


def test_only_who_has_more_than_its_part_takes_off_what_others_let_in() -> None:
    """Nobody leaves, so what a node without a surplus sees is noise; one with a surplus believes others to be short of
    visitors and to let people in out of the zone, and some of those behind it to be gone but not yet missed."""
    line = [i * 3e-3 for i in range(10_000)]
    even, crowded = LineEstimator(), LineEstimator()
    samples = Sample(line, 2, 1), Sample(line, 2, 1)
    for sample, census in zip(samples, (even, crowded), strict=True):
        played(sample, census, 30, flow=100.0)
    before = even.between(5.0)
    played(samples[0], even, 60, flow=100.0, since=30)
    played(samples[1], crowded, 60, flow=100.0, since=30, surplus=0.3)
    assert even.between(5.0) == before
    assert 0.6 * before < crowded.between(5.0) < 0.9 * before
    behind = even.between(25.0) - even.between(15.0)
    assert 0.9 * behind < crowded.between(25.0) - crowded.between(15.0) < behind


def test_a_census_of_nobody_stands_in_nobodys_way() -> None:
    """While everybody is called the front is now: no bin may begin there, before the threshold has come back."""
    census = LineEstimator()
    census.step(Sample([], 1, 1), 100.0, 10.0, 97.0, 100.0, INTERVAL_S)
    assert census.newest < 100.0
    line = Line(capacity=1000, clock=0.0, young_s=17.0, nodes=4)
    for i in range(20):
        line.expect(90.0 + i, 110.0, is_first=False)
    line.book.refresh()
    line.survey(100.0, 1e-3, INTERVAL_S, 100.0, 0.25)
    assert line.place(105.0, 95.0) == pytest.approx(10.0)


@pytest.mark.parametrize(("gone_to", "back_to", "between"), [(30.0, 5.0, 301.0), (25.0, 25.0, 350.0)])
def test_whom_the_front_has_passed_is_not_counted_when_it_goes_back(
    gone_to: float, back_to: float, between: float
) -> None:
    """It does for one who wakes up after a minute, and then those in between are in. Where they are not, they count."""
    line = Line(capacity=10_000, clock=0.0, young_s=17.0, nodes=4)
    for i in range(1000):
        line.expect(i * 0.1, 110.0, is_first=False)
    line.tick(100.0, 100.0)
    line.survey(1.0, 10.0, INTERVAL_S, 100.0, 0.25)
    for i in range(round(10 * gone_to)):
        line.leave(i * 0.1)
    line.survey(30.0, 10.0, INTERVAL_S, 100.1, 0.25)
    assert line.place(60.0, 30.0) == pytest.approx(300.0, abs=3.0)
    line.expect(5.0, 110.0, is_first=False)  # somebody is back
    line.tick(100.2, 100.2)
    line.survey(back_to, 10.0, INTERVAL_S, 100.2, 0.25)
    assert line.place(60.0, back_to) == pytest.approx(between, abs=5.0)
    assert line.place(98.0, back_to) - line.place(60.0, back_to) == pytest.approx(380.0, abs=3.0)
    places = [line.place(back_to + i * 0.7, back_to) for i in range(100)]
    assert places == sorted(places)


def test_another_number_of_nodes_scales_it() -> None:
    sample, census = Sample([i * 1e-2 for i in range(3000)], 1, 1), LineEstimator()
    played(sample, census, 2)
    assert len(census._masses) < 300  # however many are there at first
    before = census.between(20.0)
    census.scale(0.5)
    census.step(sample, 0.0, 1.0, 30.0, 1.5, INTERVAL_S)
    assert census.between(20.0) == pytest.approx(0.5 * before, rel=0.01)


@pytest.mark.parametrize(("share", "newest"), [(1.0, 97.0), (0.2, 83.0)])
def test_who_may_be_a_ghost_is_not_moved_to_the_front(share: float, newest: float) -> None:
    """While many newcomers do not come back, only who is older than the longest interval is counted for good."""
    line = Line(capacity=10_000, clock=0.0, young_s=17.0, nodes=4)
    for i in range(1000):
        line.expect(i * 0.1, 110.0, is_first=False)
    line.tick(100.0, 100.0)
    line.showup.share = share
    line.survey(1.0, 1.0, INTERVAL_S, 100.0, 0.25)
    assert newest - 2.0 < line._census.newest <= newest


def test_the_interval_is_wide_while_nobody_knows_who_comes_back() -> None:
    """A newcomer behind people of whom most did not come back is told a wider P90 than who is older than those."""
    gate = Gate(GateSettings(admissions_per_second=10.0, nodes=4), now=0.0)
    now = 0.0
    while now < 40.0:  # twenty arrive every second, and nobody comes back
        for i in range(2):
            gate.decide(now + i * 0.05, now + i * 0.05, 0.5)
        now += 0.1
        gate.tick(now)

    def share(first_seen: float) -> float:
        verdict = gate.decide(first_seen, now, 0.5)
        assert isinstance(verdict, Wait)
        assert verdict.eta_p50_s is not None
        assert verdict.eta_p90_s is not None
        return (verdict.eta_p90_s - verdict.eta_p50_s) / verdict.eta_p50_s

    gate._line.showup.share = 0.2
    gate._law.threshold = 1.0
    for first_seen in [5.0 + i * 0.01 for i in range(3000)]:
        gate._line.book.add(first_seen, now + 30.0)
    gate._line.book.refresh()
    assert share(39.0) > share(20.0) + 0.3


def test_who_is_back_counts_no_sooner_than_who_is_lost() -> None:
    """Where a line has just begun to come back, those who are back are known at once and those who are not later."""
    returns = TrafficShare(4)
    returns.be_sure(counts_from=0.0)
    for step in range(20):
        for _ in range(40):
            returns.back += 1
        returns.missed([step + i * 1e-3 for i in range(120)], clock=step * 0.1)
        assert returns.share == 0.25
