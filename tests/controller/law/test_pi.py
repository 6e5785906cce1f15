"""The PI controller: anti-windup, independence of the step, bounds."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.law.pi import Gains, PiController


def test_the_integral_stands_still_while_clamped() -> None:
    """After any time at the limit, an error of the other sign takes effect at once."""
    pi = PiController(Gains(kp=1.0, ki=1.0, low=-1.0, high=1.0))
    for _ in range(1000):
        pi.step(5.0, 0.1)
    assert pi.terms.output == 1.0
    assert pi.step(-1.0, 0.1) < 0.5


@given(st.floats(-1.0, 1.0), st.integers(1, 50))
def test_the_integral_is_independent_of_the_step(error: float, parts: int) -> None:
    """One second in one step or in fifty integrates the same."""
    one = PiController(Gains(kp=0.0, ki=0.5))
    many = PiController(Gains(kp=0.0, ki=0.5))
    one.step(error, 1.0)
    for _ in range(parts):
        many.step(error, 1.0 / parts)
    assert many.terms.output == pytest.approx(one.terms.output, abs=1e-9)


def test_the_integral_can_be_shifted_within_its_bounds() -> None:
    """The shift comes from other nodes, so it may be any number."""
    pi = PiController(Gains(kp=0.0, ki=1.0, low=-1.0, high=1.0))
    for by, expected in ((0.5, 0.5), (-0.25, 0.25), (2.0, 0.25), (nan, 0.25), (-inf, 0.25)):
        pi.shift(by)
        assert pi.step(0.0, 0.1) == expected
