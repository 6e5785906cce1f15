"""The limiter: requests a minute, in any pattern, in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.shield.limiter import DEBT_S, MOST_SHARED, Limiter


@given(st.integers(1, 200), st.lists(st.floats(0.0, 30.0), min_size=1, max_size=300))
def test_no_minute_has_more_than_twice_the_limit_and_no_hour_more_than_it(per_minute, gaps_s):
    """GCRA: a minute's worth at once, then the rate."""
    limiter, now, taken = Limiter(per_minute), 1000.0, []
    for gap_s in gaps_s:
        now += gap_s
        if limiter.take("a", now) == 0.0:
            taken.append(now)
    for at, start in enumerate(taken):
        for end in range(at, len(taken)):
            assert end - at + 1 <= per_minute * (1 + (taken[end] - start) / 60.0) + 1e-6 * len(taken) + 1


def test_a_minutes_worth_at_once_is_within_the_limit():
    limiter = Limiter(50)
    assert [limiter.take("a", 0.0) for _ in range(50)] == [0.0] * 50
    wait_s = limiter.take("a", 0.0)
    assert 0.0 < wait_s < 1.21
    assert limiter.take("a", wait_s + 0.01) == 0.0
    assert limiter.take("b", 0.0) == 0.0


def test_a_limit_of_one_a_minute_allows_one_a_minute():
    limiter = Limiter(1)
    assert limiter.take("a", 0.0) == 0.0
    assert limiter.take("a", 30.0) > 29.0
    assert limiter.take("a", 60.1) == 0.0


def test_a_refused_request_is_not_counted():
    """A client that keeps asking waits no longer than one that waits."""
    limiter = Limiter(60)
    for _ in range(1000):
        limiter.take("a", 0.0)
    assert limiter.take("a", 1.01) == 0.0


def test_a_clock_that_is_set_back_locks_nobody_out():
    limiter = Limiter(50)
    for _ in range(50):
        limiter.take("a", 10_000.0)
    assert limiter.take("a", 10_000.0 - 3600.0) == 0.0


def test_a_million_addresses_do_not_grow_the_limiter():
    limiter = Limiter(50, most=1000)
    for at in range(1_000_000):
        limiter.take(str(at), at / 1000)
    assert len(limiter) <= 2001


def test_a_key_in_use_is_not_forgotten():
    limiter = Limiter(1, most=100)
    for at in range(5000):
        limiter.take(str(at), 0.0)
        if at % 50 == 0:
            limiter.take("a", 0.0)
    assert limiter.take("a", 0.0) > 0.0


def hammered(nodes: int, per_minute: float, seconds: float, per_second: float, beat_s: float) -> int:
    """Return how many requests of one key are let through by nodes that share the limit and are asked in turn."""
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
def test_nodes_that_share_a_limit_keep_it_together(nodes, per_minute):
    """Ten minutes of requests: a minute's worth at once (at worst once for each node), then the rate."""
    passed = hammered(nodes, per_minute, 600.0, per_second=50.0, beat_s=0.5)
    assert per_minute * 10 * 0.9 <= passed <= per_minute * (10 + nodes)


def test_a_charge_is_bounded_and_forgotten():
    limiter = Limiter(60, shares=True)
    limiter.charge("a", 1_000_000, 1000.0)
    assert 0.0 < limiter.take("a", 1000.0) <= DEBT_S
    assert limiter.take("a", 1000.0 + DEBT_S + 1.0) == 0.0
    limiter.charge("b", 1, 1e9)  # by another node's clock, or this one's before it was set back
    limiter.charge("b", 1, 1000.0)
    assert limiter.take("b", 1000.0) == 0.0


def test_the_keys_that_spend_most_are_shared():
    limiter = Limiter(1000, shares=True)
    for at in range(MOST_SHARED * 2):
        for _ in range(1 + (at < 10)):
            limiter.take(str(at), 1000.0)
    spent = limiter.collect()
    assert len(spent) == MOST_SHARED
    assert {str(at) for at in range(10)} <= spent.keys()
    assert limiter.collect() == {}
    assert Limiter(10).collect() == {}
