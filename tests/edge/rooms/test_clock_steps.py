"""What a credential is worth after the clock was set."""

import pytest

from edge.rooms.clock_steps import ClockSteps
from waiting_room.ticket import Pass, Ticket

SKEW_S = 5.0


class Clocks:
    """Both clocks in hand. A worker looks at them ten times a second."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_000_000.0, 50.0
        self.steps = ClockSteps(wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds
        self.steps.look()

    def carried(self, credential: Ticket | Pass) -> Ticket | Pass | None:
        return self.steps.carried(credential, self.wall, SKEW_S)


def a_ticket(first_seen: float, seen: float) -> Ticket:
    return Ticket("i" * 22, "sale", first_seen, seen)


def test_a_place_from_before_the_clock_was_set_back_is_as_old_as_it_was() -> None:
    clocks = Clocks()
    ticket = a_ticket(clocks.wall - 300.0, clocks.wall - 20.0)
    clocks.pass_time(10.0)
    clocks.wall -= 3600.0
    clocks.pass_time(4.0)
    carried = clocks.carried(ticket)
    assert isinstance(carried, Ticket)
    assert clocks.wall - carried.first_seen == pytest.approx(314.0)
    assert carried.needs_renewal(clocks.wall)


def test_a_ticket_of_the_future_is_not_carried_without_a_step() -> None:
    clocks = Clocks()
    clocks.pass_time(100.0)
    assert clocks.carried(a_ticket(clocks.wall + 3600.0, clocks.wall + 3600.0)) is None


def test_a_ticket_that_lies_further_ahead_than_the_step_is_not_carried() -> None:
    clocks = Clocks()
    clocks.wall -= 600.0
    clocks.steps.look()
    assert clocks.carried(a_ticket(clocks.wall + 700.0, clocks.wall + 700.0)) is None


def test_a_clock_that_is_set_back_twice_is_followed_twice() -> None:
    clocks = Clocks()
    ticket = a_ticket(clocks.wall - 60.0, clocks.wall)
    for _ in range(2):
        clocks.wall -= 1000.0
        clocks.steps.look()
    carried = clocks.carried(ticket)
    assert carried is not None
    assert clocks.wall - carried.first_seen == pytest.approx(60.0)


@pytest.mark.parametrize("by_s", [-3600.0, 3600.0])
def test_a_pass_lasts_as_long_as_it_would_have(by_s: float) -> None:
    clocks = Clocks()
    given = Pass("i" * 22, "sale", clocks.wall - 60.0, clocks.wall, clocks.wall + 600.0)
    clocks.pass_time(100.0)
    clocks.wall += by_s
    clocks.steps.look()
    carried = clocks.carried(given)
    assert isinstance(carried, Pass)
    assert carried.expires - clocks.wall == pytest.approx(500.0)
    clocks.pass_time(501.0)
    assert clocks.carried(given) is None or by_s < 0.0


def test_a_pass_given_after_the_clock_was_set_forward_ends_when_it_says() -> None:
    clocks = Clocks()
    clocks.wall += 3600.0
    clocks.steps.look()
    given = Pass("i" * 22, "sale", clocks.wall - 60.0, clocks.wall, clocks.wall + 600.0)
    clocks.pass_time(601.0)
    assert clocks.carried(given) is None


@pytest.mark.parametrize("by_s", [-3600.0, 3600.0])
def test_a_step_that_no_look_has_noted_yet_is_seen_by_the_time_alone(by_s: float) -> None:
    """A request may come between the step and the next look. It is off by the time since the last look."""
    clocks = Clocks()
    given = Pass("i" * 22, "sale", clocks.wall - 60.0, clocks.wall, clocks.wall + 600.0)
    clocks.pass_time(100.0)
    clocks.wall += by_s + 0.1
    carried = clocks.carried(given)
    assert isinstance(carried, Pass)
    assert carried.expires - clocks.wall == pytest.approx(500.0)
    assert clocks.steps.steps == []


def test_the_times_of_a_stalled_loop_are_no_step() -> None:
    """A worker that stands still for ten seconds looks late; nothing was set."""
    clocks = Clocks()
    ended = Pass("i" * 22, "sale", clocks.wall - 600.0, clocks.wall - 595.0, clocks.wall + 5.0)
    clocks.wall += 10.0
    clocks.monotonic += 10.0
    assert clocks.carried(ended) is None


def test_a_process_that_started_after_the_step_is_told_of_it() -> None:
    clocks = Clocks()
    ticket = a_ticket(clocks.wall - 300.0, clocks.wall)
    clocks.wall -= 3600.0
    clocks.steps.look()
    since = ClockSteps(clocks.steps.steps, wall=lambda: clocks.wall, monotonic=lambda: clocks.monotonic)
    assert since.carried(ticket, clocks.wall, SKEW_S) == clocks.carried(ticket) is not None


def test_drift_is_no_step() -> None:
    clocks = Clocks()
    for _ in range(100):
        clocks.pass_time(1.0)
        clocks.wall -= 0.1
        assert clocks.steps.look() is None
