"""The view of one of several nodes that share nothing."""

from math import inf

import pytest

from controller import Gate, GateSettings, Wait
from controller.line.line import Line
from controller.line.sampled.view import SampledView

INTERVAL_S = 15.0


class Node:
    """One of four nodes that see a quarter of the line each."""

    def __init__(self, rate: float) -> None:
        self.settings = GateSettings(admissions_per_second=rate, nodes=4)
        self.line = Line(capacity=10_000, clock=0.0, young_s=17.0, nodes=4)
        self.view = SampledView(self.line)
        self.view.renew(self.settings, INTERVAL_S, 0.0, inf)

    def survey(self, front: float, now: float) -> None:
        self.view.survey(self.settings, front, INTERVAL_S, now, inf)


def thousand(rate: float) -> Node:
    """A node with a lease of every tenth of a second up to 100."""
    node = Node(rate)
    for i in range(1000):
        node.line.expect(i * 0.1, 110.0, is_first=False)
    node.line.tick(100.0, 100.0)
    return node


def test_visitors_behind_a_front_that_comes_back_are_counted_by_their_leases() -> None:
    """While every visitor was called the front was now, so no bin begins before it."""
    node = Node(1e-3)
    for i in range(20):
        node.line.expect(90.0 + i, 110.0, is_first=False)
    node.line.book.refresh()
    node.survey(100.0, 100.0)
    assert node.view.between(95.0, 105.0) == pytest.approx(10.0)


@pytest.mark.parametrize(("gone_to", "back_to", "between"), [(30.0, 5.0, 301.0), (25.0, 25.0, 350.0)])
def test_visitors_that_the_front_has_passed_are_not_counted_when_it_goes_back(
    gone_to: float, back_to: float, between: float
) -> None:
    """It goes back for a visitor that wakes up after a minute. Those in between are admitted; if not, they count."""
    node = thousand(10.0)
    node.survey(1.0, 100.0)
    for i in range(round(10 * gone_to)):
        node.line.leave(i * 0.1)
    node.line.tick(100.1, 100.1)
    node.survey(30.0, 100.1)
    view = node.view
    assert view.between(30.0, 60.0) == pytest.approx(300.0, abs=3.0)
    node.line.expect(5.0, 110.0, is_first=False)  # a visitor is back
    node.line.tick(100.2, 100.2)
    node.survey(back_to, 100.2)
    assert view.between(back_to, 60.0) == pytest.approx(between, abs=5.0)
    assert view.between(back_to, 98.0) - view.between(back_to, 60.0) == pytest.approx(380.0, abs=3.0)
    counts = [view.between(back_to, back_to + i * 0.7) for i in range(100)]
    assert counts == sorted(counts)


@pytest.mark.parametrize(("share", "newest"), [(1.0, 97.0), (0.2, 83.0)])
def test_newcomers_that_may_be_ghosts_are_not_counted_for_good(share: float, newest: float) -> None:
    """While many newcomers do not come back, only visitors older than the longest interval are."""
    node = thousand(1.0)
    node.line.return_rate.share = share
    node.survey(1.0, 100.0)
    assert newest - 2.0 < node.view.surveyed_until <= newest


def test_p90_is_wider_while_nobody_knows_how_many_come_back() -> None:
    """A newcomer behind visitors that mostly did not come back is told a wider P90 than visitors older than those."""
    gate = Gate(GateSettings(admissions_per_second=10.0, nodes=4), now=0.0)
    now = 0.0
    while now < 40.0:  # twenty arrive every second, and none comes back
        for i in range(2):
            gate.decide(now + i * 0.05, now + i * 0.05, 0.5)
        now += 0.1
        gate.tick(now)
    for first_seen in [5.0 + i * 0.01 for i in range(3000)]:  # now they all poll again, but none is admitted
        gate.decide(first_seen, now, 0.5, vacancies=0)

    def share(first_seen: float) -> float:
        verdict = gate.decide(first_seen, now, 0.5, vacancies=0)
        assert isinstance(verdict, Wait)
        assert verdict.eta_p50_s is not None
        assert verdict.eta_p90_s is not None
        return (verdict.eta_p90_s - verdict.eta_p50_s) / verdict.eta_p50_s

    assert share(39.0) > share(20.0) + 0.3
