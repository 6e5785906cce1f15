"""The rate meter."""

import pytest

from controller.meter import RateMeter


def test_rates_do_not_depend_on_the_interval() -> None:
    """Ten events a second are ten a second, however often they are folded in."""
    for dt in (0.05, 0.1, 1.0):
        meter = RateMeter(3.0)
        for _ in range(int(20 / dt)):
            meter.count += round(10 * dt) if dt >= 0.1 else 1
            meter.tick(dt)
        assert meter.rate == pytest.approx(10.0 if dt >= 0.1 else 20.0, rel=0.01)
