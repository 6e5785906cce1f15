"""The leaky bucket keeps its promise whatever the clock does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.law.bucket import LeakyBucket


def test_a_jump_ahead_and_back_mints_no_tokens() -> None:
    """A clock that jumps and returns grants one bucket at most, and takes the time of it back."""
    bucket = LeakyBucket(rate=10.0, depth=10.0, now=0.0, level=0.0)
    taken = 0
    for _ in range(5):
        for now in (1000.0, 0.0):
            while bucket.take(now):
                taken += 1
    assert taken <= 50
    assert bucket.level(0.5) == pytest.approx(0.0)
    assert bucket.level(2.0) > 0.0  # one bucket's worth of time later it goes on


@given(st.lists(st.tuples(st.floats(-5.0, 5.0), st.booleans()), max_size=60), st.floats(0.1, 50.0))
def test_the_level_stays_within_the_depth(steps: list[tuple[float, bool]], rate: float) -> None:
    """The level is within 0..depth whatever the clock does."""
    bucket = LeakyBucket(rate, depth=max(1.0, rate), now=0.0)
    now = 0.0
    for step, takes in steps:
        now += step
        if takes:
            bucket.take(now, reserve=2.0)
        assert 0.0 <= bucket.level(now) <= bucket.depth
