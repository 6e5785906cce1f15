"""So many a minute, whatever the pattern, in memory that does not grow."""

from hypothesis import given
from hypothesis import strategies as st

from edge.abuse.limiter import Limiter


@given(st.integers(1, 200), st.lists(st.floats(0.0, 30.0), min_size=1, max_size=300))
def test_no_minute_has_more_than_twice_the_limit_and_no_hour_more_than_it(per_minute, gaps_s):
    """GCRA: a minute's worth at once, and the rate from then on."""
    limiter, now, taken = Limiter(per_minute), 1000.0, []
    for gap_s in gaps_s:
        now += gap_s
        if limiter.take("a", now) == 0.0:
            taken.append(now)
    for at, start in enumerate(taken):
        for end in range(at, len(taken)):
            assert end - at + 1 <= per_minute * (1 + (taken[end] - start) / 60.0) + 1e-6 * len(taken) + 1


def test_a_minutes_worth_may_come_at_once_and_no_more():
    limiter = Limiter(50)
    assert [limiter.take("a", 0.0) for _ in range(50)] == [0.0] * 50
    wait_s = limiter.take("a", 0.0)
    assert 0.0 < wait_s < 1.21
    assert limiter.take("a", wait_s + 0.01) == 0.0
    assert limiter.take("b", 0.0) == 0.0


def test_one_a_minute_is_one_a_minute():
    limiter = Limiter(1)
    assert limiter.take("a", 0.0) == 0.0
    assert limiter.take("a", 30.0) > 29.0
    assert limiter.take("a", 60.1) == 0.0


def test_a_refusal_costs_no_more_than_itself():
    """Who keeps asking is not shut out for longer than who waits."""
    limiter = Limiter(60)
    for _ in range(1000):
        limiter.take("a", 0.0)
    assert limiter.take("a", 1.01) == 0.0


def test_a_clock_that_is_set_back_shuts_nobody_out():
    limiter = Limiter(50)
    for _ in range(50):
        limiter.take("a", 10_000.0)
    assert limiter.take("a", 10_000.0 - 3600.0) == 0.0


def test_a_million_addresses_do_not_grow_it():
    limiter = Limiter(50, most=1000)
    for at in range(1_000_000):
        limiter.take(str(at), at / 1000)
    assert len(limiter) <= 2001


def test_a_key_that_comes_back_is_not_forgotten_for_others():
    limiter = Limiter(1, most=100)
    for at in range(5000):
        limiter.take(str(at), 0.0)
        if at % 50 == 0:
            limiter.take("a", 0.0)
    assert limiter.take("a", 0.0) > 0.0
