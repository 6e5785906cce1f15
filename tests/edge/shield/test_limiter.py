"""So many a minute, whatever the pattern, in memory that does not grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.shield.limiter import DEBT_S, MOST_SHARED, Limiter


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


def hammered(nodes: int, per_minute: float, seconds: float, per_second: float, beat_s: float) -> int:
    """How many requests of one key are let through by nodes that tell each other, asked in turn."""
    limiters = [Limiter(per_minute, shares=nodes > 1) for _ in range(nodes)]
    passed, now, told_at = 0, 1000.0, 1000.0
    for count in range(int(seconds * per_second)):
        now = 1000.0 + count / per_second
        passed += limiters[count % nodes].take("a", now) == 0.0
        if now - told_at >= beat_s:
            told_at = now
            spent = [limiter.collect() for limiter in limiters]
            for at, limiter in enumerate(limiters):
                for other, keys in enumerate(spent):
                    if other != at:
                        limiter.charge("a", keys.get("a", 0), now)
    return passed


@pytest.mark.parametrize("nodes", [1, 2, 8])
@pytest.mark.parametrize("per_minute", [30, 100])
def test_what_nodes_let_through_together_is_the_limit(nodes, per_minute):
    """Ten minutes of hammering: a minute's worth at once (at worst once for each node), and the rate from then on."""
    passed = hammered(nodes, per_minute, 600.0, per_second=50.0, beat_s=0.5)
    assert per_minute * 10 * 0.9 <= passed <= per_minute * (10 + nodes)


def test_a_charge_is_bounded_and_forgotten_in_time():
    limiter = Limiter(60, shares=True)
    limiter.charge("a", 1_000_000, 1000.0)
    assert 0.0 < limiter.take("a", 1000.0) <= DEBT_S
    assert limiter.take("a", 1000.0 + DEBT_S + 1.0) == 0.0
    limiter.charge("b", 1, 1e9)  # another node's clock, or this one's before it was set back
    limiter.charge("b", 1, 1000.0)
    assert limiter.take("b", 1000.0) == 0.0


def test_those_who_spend_most_are_told_of():
    limiter = Limiter(1000, shares=True)
    for at in range(MOST_SHARED * 2):
        for _ in range(1 + (at < 10)):
            limiter.take(str(at), 1000.0)
    spent = limiter.collect()
    assert len(spent) == MOST_SHARED
    assert {str(at) for at in range(10)} <= spent.keys()
    assert limiter.collect() == {}
    assert Limiter(10).collect() == {}
