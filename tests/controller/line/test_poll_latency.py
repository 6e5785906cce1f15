"""How much later than asked visitors poll, learnt from the visitors of which it is known."""

from random import Random

import pytest

from controller import Gate, GateSettings, Wait
from controller.law.sample import Thresholds
from controller.line.alone import AloneView
from controller.line.forecast import Forecast
from controller.line.line import Line
from controller.line.poll_latency import FEW, MOST, USUAL_S, PollLatency

INTERVAL_S = 15.0


def ask_and_come(latency: PollLatency, late: list[float]) -> None:
    """Each visitor polls that much later than asked."""
    clock = 1000.0
    for k, late_s in enumerate(late):
        clock += 0.1
        latency.asked(float(k), clock + INTERVAL_S)
        latency.came(float(k), clock + INTERVAL_S + late_s, INTERVAL_S)


def test_the_latency_is_the_mean_of_the_polls_seen() -> None:
    chance, latency = Random(1), PollLatency()
    assert not latency.is_known
    ask_and_come(latency, [chance.uniform(0.5, 1.5) for _ in range(2000)])
    assert latency.is_known
    assert latency.mean_s == pytest.approx(1.0, abs=0.15)
    assert latency.extra_s == pytest.approx(latency.mean_s - USUAL_S)


def test_the_latency_follows_a_change() -> None:
    latency = PollLatency()
    ask_and_come(latency, [1.0] * 300)
    ask_and_come(latency, [0.05] * 400)
    assert latency.mean_s == pytest.approx(0.05, abs=0.01)
    assert latency.extra_s == 0.0


def test_visitors_that_sleep_or_hurry_do_not_count() -> None:
    latency = PollLatency()
    ask_and_come(latency, [60.0, -10.0, 5.0] * 100)
    assert latency.mean_s == USUAL_S
    assert not latency.is_known


def test_a_few_polls_are_no_knowledge() -> None:
    latency = PollLatency()
    ask_and_come(latency, [1.0] * (FEW - 1))
    assert not latency.is_known


def test_visitors_that_never_poll_are_forgotten() -> None:
    latency = PollLatency()
    for k in range(5000):
        latency.asked(float(k), k * 0.1 + INTERVAL_S)
        latency.tick(k * 0.1, INTERVAL_S)
    latency.asked(-1.0, 600.0)
    latency.came(-1.0, 600.5, INTERVAL_S)
    assert latency.mean_s > USUAL_S


def test_nobody_is_expected_before_their_appointment() -> None:
    """Chance may make the first few seem early; leases that end before they are due would lose every visitor."""
    latency, forecast = PollLatency(), Forecast()
    latency.mean_s = -1.0
    forecast.renew(GateSettings(admissions_per_second=1.0), AloneView(Line(1024, 0.0, 17.0, 1)), 15.0, latency, False)
    assert forecast.grace_s > USUAL_S


def line_of(visitors: int, gate: Gate, now: float) -> None:
    """Put visitors in line that are not called."""
    for i in range(visitors):
        gate._line.book.add(i * 1e-3, now + INTERVAL_S)
    gate._line.book.refresh()
    gate._thresholds = Thresholds(-1.0, -1.0)
    gate._renew()


def test_a_visitor_that_may_have_polled_elsewhere_in_between_is_not_watched() -> None:
    """20 s from the front they are back in 15 s, elsewhere, and here a few seconds later: that is not late."""
    gate = Gate(GateSettings(admissions_per_second=12.5, nodes=4), now=0.0)
    line_of(2000, gate, 100.0)
    near, far = 260e-3, 600e-3
    for first_seen in (near, far):
        verdict = gate.decide(first_seen, 100.0, 0.5)
        assert isinstance(verdict, Wait)
        assert verdict.poll_after_s == INTERVAL_S
    assert set(gate._latency.watched) == {far}


def test_a_node_that_has_just_joined_watches_nobody() -> None:
    """It asks visitors back sooner than after the longest interval, so what it saw would not be late polls."""
    gate = Gate(GateSettings(admissions_per_second=12.5, nodes=4), now=100.0, resume={})
    line_of(2000, gate, 100.0)
    verdict = gate.decide(600e-3, 103.0, 0.5)
    assert isinstance(verdict, Wait)
    assert verdict.poll_after_s < INTERVAL_S
    assert not gate._latency.watched


def test_there_is_room_to_watch_again_after_a_poll_and_after_a_sweep() -> None:
    """`has_space` is up to date without a count."""
    latency = PollLatency()
    for i in range(MOST + 1):
        latency.asked(float(i), 15.0)
    assert not latency.has_space
    latency.came(0.0, 15.0, 15.0)
    assert latency.has_space
    for i in range(2):
        latency.asked(-1.0 - i, 15.0)
    assert not latency.has_space
    latency.tick(100.0, 15.0)
    assert latency.has_space
    assert not latency.watched
