"""The monotone clock."""

import pytest

from controller.clock import MonotoneClock


def test_a_small_step_back_stops_the_clock_until_the_wall_clock_has_caught_up() -> None:
    clock = MonotoneClock(100.0)
    assert [clock.read(wall) for wall in (101.0, 100.5, 100.9, 101.5)] == [101.0, 101.0, 101.0, 101.5]


def test_a_clock_that_is_set_back_goes_on_from_where_it_was() -> None:
    clock = MonotoneClock(1000.0)
    assert clock.read(100.0) == 1000.0
    assert clock.read(102.5) == pytest.approx(1002.5)
