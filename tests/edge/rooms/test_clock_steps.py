"""What a cookie is worth after the clock was set."""

import pytest

from edge.rooms.clock_steps import ClockSteps
from waiting_room.ticket import Pass, Ticket

SKEW_S = 5.0


class Clocks:
    def __init__(self) -> None:
        self.wall, self.monotonic = 1_000_000.0, 50.0
        self.steps = ClockSteps(wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    def go(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def carried(self, held: Ticket | Pass) -> Ticket | Pass | None:
        return self.steps.carried(held, self.wall, SKEW_S)


def a_ticket(first_seen: float, seen: float) -> Ticket:
    return Ticket("i" * 22, "sale", first_seen, seen)


def test_a_place_from_before_the_clock_was_set_back_is_as_old_as_it_was():
    clocks = Clocks()
    ticket = a_ticket(clocks.wall - 300.0, clocks.wall - 20.0)
    clocks.go(10.0)
    clocks.wall -= 3600.0
    clocks.go(4.0)
    carried = clocks.carried(ticket)
    assert isinstance(carried, Ticket)
    assert clocks.wall - carried.first_seen == pytest.approx(314.0)
    assert carried.needs_renewal(clocks.wall)


def test_a_ticket_of_the_future_is_not_carried_without_a_step():
    clocks = Clocks()
    clocks.go(100.0)
    assert clocks.carried(a_ticket(clocks.wall + 3600.0, clocks.wall + 3600.0)) is None


def test_what_lies_further_ahead_than_the_step_is_not_carried():
    clocks = Clocks()
    clocks.wall -= 600.0
    assert clocks.carried(a_ticket(clocks.wall + 700.0, clocks.wall + 700.0)) is None


def test_the_clock_set_back_twice():
    clocks = Clocks()
    ticket = a_ticket(clocks.wall - 60.0, clocks.wall)
    for _ in range(2):
        clocks.wall -= 1000.0
        clocks.steps.look()
    carried = clocks.carried(ticket)
    assert carried is not None
    assert clocks.wall - carried.first_seen == pytest.approx(60.0)


@pytest.mark.parametrize("by_s", [-3600.0, 3600.0])
def test_a_pass_lasts_as_long_as_it_would_have(by_s: float):
    clocks = Clocks()
    given = Pass("i" * 22, "sale", clocks.wall - 60.0, clocks.wall, clocks.wall + 600.0)
    clocks.go(100.0)
    clocks.wall += by_s
    carried = clocks.carried(given)
    assert isinstance(carried, Pass)
    assert carried.expires - clocks.wall == pytest.approx(500.0)
    clocks.go(501.0)
    assert clocks.carried(given) is None or by_s < 0.0


def test_a_pass_given_after_the_clock_was_set_forward_ends_when_it_says():
    clocks = Clocks()
    clocks.wall += 3600.0
    clocks.steps.look()
    given = Pass("i" * 22, "sale", clocks.wall - 60.0, clocks.wall, clocks.wall + 600.0)
    clocks.go(601.0)
    assert clocks.carried(given) is None


def test_a_process_that_started_since_knows_from_another():
    clocks = Clocks()
    ticket = a_ticket(clocks.wall - 300.0, clocks.wall)
    clocks.wall -= 3600.0
    clocks.steps.look()
    since = ClockSteps(clocks.steps.steps, wall=lambda: clocks.wall, monotonic=lambda: clocks.monotonic)
    assert since.carried(ticket, clocks.wall, SKEW_S) == clocks.carried(ticket) is not None


def test_drift_is_no_step():
    clocks = Clocks()
    for _ in range(100):
        clocks.go(1.0)
        clocks.wall -= 0.1
        assert clocks.steps.look() is None
