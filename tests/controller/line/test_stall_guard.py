"""When nobody can poll, nobody has left: after a cut or a stall no visitor far behind is admitted early."""

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
def test_no_visitor_far_behind_is_admitted_first(what: tuple[Event, ...], is_joined: bool) -> None:
    """All appointments fall into the outage. The first visitor to be back is not the next in line."""
    nodes = 2 if is_joined else 1
    sale = replace(SALE, events=what[:nodes], joined=is_joined, nodes=nodes)
    run = play(sale, 1, real_gate)
    early_s = ideal.fifo(run.people, sale.plan()) - run.admitted_s
    assert np.nanmax(early_s) < 15.0  # of a line of 100 s; more than half of it if the line were taken for gone


def crowded(people: int) -> LeaseBook:
    """Return the leases of `people` visitors, one due at each tenth of a second."""
    book = LeaseBook(0.0)
    for k in range(people):
        book.add(k, 0.1 * k)
    return book


def after(guard: StallGuard, book: LeaseBook, since_s: float, until_s: float, polls: int = 0) -> list[bool]:
    """Return what each control step of a tenth of a second says."""
    found = []
    for tick in range(round(10 * since_s), round(10 * until_s)):
        found.append(guard.step(0.1, polls, book, 0.1 * tick))
        book.expire(0.1 * tick - guard.behind_s)
    return found


def test_a_pause_that_chance_explains_is_no_stall() -> None:
    guard, book = StallGuard(), crowded(7)
    assert not any(after(guard, book, 0.0, 20.0))
    assert not book
    guard, book = StallGuard(), crowded(40)
    assert any(after(guard, book, 0.0, 2.0))
    assert len(book) > 20


def test_no_visitor_is_missed_before_their_appointment() -> None:
    """A crowd polled at once and was asked back in ten seconds: silence in between means nothing."""
    guard, book = StallGuard(), LeaseBook(0.0)
    for k in range(1000):
        book.add(k, 10.0)
    after(guard, book, 0.0, 0.1, polls=1000)
    assert not any(after(guard, book, 0.1, 10.0))
    assert any(after(guard, book, 10.0, 10.5))
    assert len(book) == 1000


def test_a_stall_ends_with_the_next_poll_and_is_made_up_for() -> None:
    guard, book = StallGuard(), crowded(400)
    after(guard, book, 0.0, 5.0)
    assert 3.5 < guard.behind_s < 4.5
    assert not any(after(guard, book, 5.0, 30.0, polls=1))
    assert guard.behind_s == 0.0


def test_a_clock_set_forward_by_years_costs_no_time() -> None:
    """The expiry bins of thirty years are not visited one by one."""
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


def test_a_stall_does_not_keep_leases_for_ever() -> None:
    guard, book = StallGuard(), crowded(400)
    after(guard, book, 0.0, 100.0)
    assert guard.behind_s == MOST_S
    assert not book


def test_a_node_that_sees_a_sample_keeps_no_lease_longer() -> None:
    """A visitor that does not poll it may have polled another node."""
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
