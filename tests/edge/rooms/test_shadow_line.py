"""The line of shadow mode against a line that is played visitor by visitor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.rooms.shadow_line import ShadowLine


def played(gaps: list[float], rate: float, burst: float) -> list[float]:
    """Return what each visitor waits: one server a visitor, at `rate`, after `burst` free ones."""
    waits, level, now = [], 0.0, 0.0
    for gap in gaps:
        now += gap
        level = max(0.0, level - gap * rate) + 1.0
        waits.append(max(0.0, level - burst) / rate)
    return waits


def test_a_rush_waits_as_long_as_the_capacity_says():
    line = ShadowLine(10.0, 10.0, 0.0)
    waits = [line.arrive(0.0) for _ in range(110)]
    assert waits[:10] == [0.0] * 10
    assert waits[-1] == pytest.approx(10.0)
    figures = line.figures(0.0)
    assert (figures.visitors, figures.queued, figures.waiting) == (110, 100, 100)
    assert line.figures(10.0).waiting == 0.0
    assert line.figures(10.0).longest_s == pytest.approx(10.0)


def test_below_the_capacity_nobody_waits():
    line = ShadowLine(10.0, 10.0, 0.0)
    assert not any(line.arrive(at / 9.0) for at in range(1000))
    assert line.figures(112.0).queued == 0


def test_a_clock_that_is_set_back_drains_nothing():
    line = ShadowLine(10.0, 1.0, 100.0)
    for _ in range(20):
        line.arrive(100.0)
    assert line.figures(50.0).waiting == 19
    assert line.figures(51.0).waiting == 9


def test_another_capacity_counts_from_its_own_moment():
    line = ShadowLine(10.0, 1.0, 0.0)
    for _ in range(101):
        line.arrive(0.0)
    line.use(50.0, 1.0, 5.0)
    assert line.figures(5.0).waiting == 50
    assert line.figures(6.0).waiting == 0


@given(
    st.lists(st.floats(0.0, 3.0), min_size=1, max_size=200),
    st.floats(0.1, 50.0),
    st.floats(1.0, 20.0),
)
def test_it_agrees_with_a_line_that_is_played(gaps: list[float], rate: float, burst: float):
    line, now, waits = ShadowLine(rate, burst, 0.0), 0.0, []
    for gap in gaps:
        now += gap
        waits.append(line.arrive(now))
    expected = played(gaps, rate, burst)
    assert waits == pytest.approx(expected, abs=1e-6)
    assert line.figures(now).longest_s == pytest.approx(max(expected), abs=1e-6)
