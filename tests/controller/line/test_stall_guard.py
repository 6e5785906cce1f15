"""When nobody can come, nobody has left: a cut or a stall lets nobody in who stands far behind."""

import signal
from dataclasses import replace

import numpy as np
import pytest

from controller import Gate, GateSettings
from controller.line.leases import LeaseBook
from controller.line.stall_guard import MOST_S, StallGuard
from controller.simulation import ideal
from controller.simulation.crowd import Crowd, crowd
from controller.simulation.scenario import Cut, Event, Scenario, Stall
from controller.simulation.world import play, real_gate


def rush(rng: np.random.Generator) -> Crowd:
    return crowd(rng.uniform(0.0, 5.0, 1000))


SALE = Scenario("rush", "1,000 within five seconds", rush, capacity=10.0, nodes=1, poll_max_s=4.0)


CUT = (Cut(30.0, 6.0),)
STALL = tuple(Stall(30.0, node, 6.0) for node in range(2))


@pytest.mark.parametrize("what", [CUT, STALL], ids=["cut", "stall"])
@pytest.mark.parametrize("is_joined", [False, True], ids=["alone", "joined"])
def test_nobody_far_behind_comes_in_first(what: tuple[Event, ...], is_joined: bool) -> None:
    """All appointments fall into the time in which nobody could come. Who is back first is not next in line."""
    nodes = 2 if is_joined else 1
    sale = replace(SALE, events=what[:nodes], joined=is_joined, nodes=nodes)
    run = play(sale, 1, real_gate)
    early_s = ideal.fifo(run.people, sale.plan()) - run.admitted_s
    assert np.nanmax(early_s) < 15.0  # of a line of 100 s; more than half of it when everybody is taken for gone


def crowded(people: int) -> LeaseBook:
    """So many, of whom one is due at each tenth of a second."""
    book = LeaseBook(4096, 0.0)
    for k in range(people):
        book.add(k, 0.1 * k)
    return book


def after(standstill: StallGuard, book: LeaseBook, since_s: float, until_s: float, polls: int = 0) -> list[bool]:
    """What each tick of a tenth of a second says."""
    said = []
    for tick in range(round(10 * since_s), round(10 * until_s)):
        said.append(standstill.step(0.1, polls, book, 0.1 * tick))
        book.expire(0.1 * tick - standstill.behind_s)
    return said


def test_a_pause_that_chance_explains_is_none() -> None:
    standstill, book = StallGuard(), crowded(7)
    assert not any(after(standstill, book, 0.0, 20.0))
    assert not book
    standstill, book = StallGuard(), crowded(40)
    assert any(after(standstill, book, 0.0, 2.0))
    assert len(book) > 20


def test_nobody_is_missed_who_was_not_to_come() -> None:
    """A crowd came at once and was asked back in ten seconds: that it is quiet meanwhile means nothing."""
    standstill, book = StallGuard(), LeaseBook(4096, 0.0)
    for k in range(1000):
        book.add(k, 10.0)
    after(standstill, book, 0.0, 0.1, polls=1000)
    assert not any(after(standstill, book, 0.1, 10.0))
    assert any(after(standstill, book, 10.0, 10.5))
    assert len(book) == 1000


def test_it_ends_with_the_next_poll_and_is_made_up_for() -> None:
    standstill, book = StallGuard(), crowded(400)
    after(standstill, book, 0.0, 5.0)
    assert 3.5 < standstill.behind_s < 4.5
    assert not any(after(standstill, book, 5.0, 30.0, polls=1))
    assert standstill.behind_s == 0.0


def test_a_clock_set_forward_by_years_costs_no_time() -> None:
    """Tenths of a second of thirty years are not looked at one by one."""
    gate = Gate(GateSettings(admissions_per_second=1.0), 0.0)
    for visitor in range(20):
        gate.decide(visitor / 1000, 1.0, 0.5)
    gate.tick(1.0)

    def hangs(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(20)
    try:
        gate.tick(30 * 365 * 86_400.0)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert gate.snapshot(30 * 365 * 86_400.0).waiting <= 20


def test_leases_are_not_kept_for_ever() -> None:
    standstill, book = StallGuard(), crowded(400)
    after(standstill, book, 0.0, 100.0)
    assert standstill.behind_s == MOST_S
    assert not book


def test_a_node_that_sees_a_sample_keeps_nobody() -> None:
    """Whom it has not heard of may have been served by its neighbours."""
    waiting = {}
    for nodes in (1, 4):
        gate = Gate(GateSettings(admissions_per_second=1.0, nodes=nodes, room_admissions_per_second=nodes), 0.0)
        for visitor in range(200):
            gate.decide(visitor / 1000, 1.0, 0.5)
        for tick in range(200):
            gate.tick(1.0 + tick / 10)
        waiting[nodes] = gate.snapshot(21.0).waiting
    assert waiting[4] == 0
    assert waiting[1] > 150
