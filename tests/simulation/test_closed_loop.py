"""The adaptive loop settles at what the shop can take, does not oscillate, and returns to the full capacity."""

import math
from statistics import fmean

import pytest

from tests.simulation.closed_loop import CAPACITY, REQUESTS, SERVICE_S, TARGET_S, Trouble, play


@pytest.mark.parametrize("servers", [4, 8, 12])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_loop_settles_at_what_a_shop_in_trouble_can_take(servers: int, seed: int) -> None:
    """From 100 s after the trouble began, nearly all of what the shop can do is used and nothing fails.

    The latency is about the target, and the factor stays within a quarter of that level nearly all of the time.
    """
    trouble = Trouble(begin_s=60.0, end_s=400.0, servers=servers)
    played = play(trouble, trouble.end_s, seed=seed)
    sustainable = min(1.0, servers / SERVICE_S / (CAPACITY * REQUESTS))
    factor = played.between(played.factor, 160.0, 400.0)
    assert 0.85 * sustainable < fmean(factor) <= 1.1 * sustainable
    within = [abs(each - sustainable) < 0.25 * sustainable for each in factor]
    assert fmean(within) > 0.85, fmean(within)
    assert min(factor) > 0.4 * sustainable, "it oscillates"
    latency_s = [each for each in played.between(played.latency_s, 160.0, 400.0) if math.isfinite(each)]
    assert fmean(latency_s) < 1.3 * TARGET_S
    assert played.failed == 0


def test_the_factor_returns_to_one_without_a_step_down() -> None:
    trouble = Trouble(begin_s=60.0, end_s=240.0)
    played = play(trouble, 520.0)
    recovery = played.between(played.factor, 260.0, 520.0)
    assert recovery == sorted(recovery)
    assert recovery[-1] == 1.0


def test_a_shop_that_is_slow_at_any_load_gets_the_floor_until_it_recovers() -> None:
    """Less load makes it no faster. The floor is enough to notice the recovery."""
    trouble = Trouble(begin_s=30.0, end_s=330.0, servers=40, slower=10.0)
    played = play(trouble, 700.0)
    assert played.between(played.factor, 200.0, 330.0)[-1] == 0.1
    assert played.factor[-1] == 1.0


def test_a_shop_that_hangs_is_noticed_before_the_first_timeout() -> None:
    """Requests fail after ten seconds. The factor is below a half before that."""
    trouble = Trouble(begin_s=60.0, end_s=120.0, servers=0)
    played = play(trouble, 600.0)
    assert played.between(played.factor, 60.0, 69.0)[-1] < 0.5
    assert played.between(played.factor, 110.0, 120.0)[-1] < 0.3
    assert played.factor[-1] == 1.0


def test_the_loop_leaves_a_healthy_shop_alone() -> None:
    played = play(Trouble(begin_s=1e9, end_s=1e9), 200.0)
    assert set(played.factor) == {1.0}


def test_without_the_loop_the_same_shop_fails() -> None:
    trouble = Trouble(begin_s=60.0, end_s=400.0)
    assert play(trouble, trouble.end_s, has_loop=False).failed > 1000
