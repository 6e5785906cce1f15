"""How late visitors come, learnt from those for whom it can be told."""

from random import Random

import pytest

from controller import Gate, GateSettings, Wait
from controller.line.poll_latency import FEW, MOST, USUAL_S, PollLatency

INTERVAL_S = 15.0


def asked_and_came(lateness: PollLatency, late: list[float]) -> None:
    clock = 1000.0
    for k, late_s in enumerate(late):
        clock += 0.1
        lateness.asked(float(k), clock + INTERVAL_S)
        lateness.came(float(k), clock + INTERVAL_S + late_s, INTERVAL_S)


def test_it_is_the_mean_of_what_is_seen():
    draws, lateness = Random(1), PollLatency()
    assert not lateness.is_known
    asked_and_came(lateness, [draws.uniform(0.5, 1.5) for _ in range(2000)])
    assert lateness.is_known
    assert lateness.mean_s == pytest.approx(1.0, abs=0.15)
    assert lateness.extra_s == pytest.approx(lateness.mean_s - USUAL_S)


def test_it_follows():
    lateness = PollLatency()
    asked_and_came(lateness, [1.0] * 300)
    asked_and_came(lateness, [0.05] * 400)
    assert lateness.mean_s == pytest.approx(0.05, abs=0.01)
    assert lateness.extra_s == 0.0


def test_who_sleeps_or_hurries_tells_nothing_of_the_others():
    lateness = PollLatency()
    asked_and_came(lateness, [60.0, -10.0, 5.0] * 100)
    assert lateness.mean_s == USUAL_S
    assert not lateness.is_known


def test_few_do_not_count_as_knowing():
    lateness = PollLatency()
    asked_and_came(lateness, [1.0] * (FEW - 1))
    assert not lateness.is_known


def test_those_who_never_come_are_forgotten():
    lateness = PollLatency()
    for k in range(5000):
        lateness.asked(float(k), k * 0.1 + INTERVAL_S)
        lateness.tick(k * 0.1, INTERVAL_S)
    lateness.asked(-1.0, 600.0)
    lateness.came(-1.0, 600.5, INTERVAL_S)
    assert lateness.mean_s > USUAL_S


def test_nobody_is_expected_before_their_appointment() -> None:
    """Chance may make the first few seem to come early; a lease that ended before it is due would lose everybody."""
    gate = Gate(GateSettings(admissions_per_second=1.0), now=0.0)
    gate._lateness.mean_s = -1.0
    gate.tick(0.1)
    assert gate._foresight.grace_s > USUAL_S


def line_of(visitors: int, gate: Gate, now: float) -> None:
    for i in range(visitors):
        gate._line.book.add(i * 1e-3, now + INTERVAL_S)
    gate._line.book.refresh()
    gate._law.threshold = -1.0
    gate._retune()


def test_who_may_have_been_elsewhere_in_between_is_not_watched() -> None:
    """Who is 20 s from the front is back in 15 s, elsewhere, and here a few seconds later: that is not late."""
    gate = Gate(GateSettings(admissions_per_second=12.5, nodes=4), now=0.0)
    line_of(2000, gate, 100.0)
    near, far = 260e-3, 600e-3
    for first_seen in (near, far):
        verdict = gate.decide(first_seen, 100.0, 0.5)
        assert isinstance(verdict, Wait)
        assert verdict.poll_after_s == INTERVAL_S
    assert set(gate._lateness.watched) == {far}


def test_a_node_that_has_just_joined_watches_nobody() -> None:
    """It asks everybody back sooner than in the longest interval, so they were not late when they are not."""
    gate = Gate(GateSettings(admissions_per_second=12.5, nodes=4), now=100.0, resume={})
    line_of(2000, gate, 100.0)
    verdict = gate.decide(600e-3, 103.0, 0.5)
    assert isinstance(verdict, Wait)
    assert verdict.poll_after_s < INTERVAL_S
    assert not gate._lateness.watched


def test_there_is_room_to_watch_again_as_soon_as_one_of_them_comes_or_all_are_swept() -> None:
    """Whoever asks for room is told at once, without counting."""
    lateness = PollLatency()
    for i in range(MOST + 1):
        lateness.asked(float(i), 15.0)
    assert not lateness.has_room
    lateness.came(0.0, 15.0, 15.0)
    assert lateness.has_room
    for i in range(2):
        lateness.asked(-1.0 - i, 15.0)
    assert not lateness.has_room
    lateness.tick(100.0, 15.0)
    assert lateness.has_room
    assert not lateness.watched
