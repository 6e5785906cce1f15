"""The share of newcomers that poll a second time."""

import pytest

from controller.line.return_rate import ReturnRate


def test_ghosts_among_newcomers_are_noticed() -> None:
    """One first poll in five is followed by a second, and the counts say so."""
    rate = ReturnRate(is_sampled=False)
    for i in range(300):
        rate.due(fresh=1, proven=1)
        rate.visit()
        if i % 5 == 0:
            rate.visit()
    assert rate.settle() == pytest.approx(0.2, abs=0.05)
