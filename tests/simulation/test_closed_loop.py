"""The closed loop settles where the shop can follow, stays there without swinging, and gives everything back."""

import math
from statistics import fmean

import pytest

from tests.simulation.closed_loop import CAPACITY, REQUESTS, SERVICE_S, TARGET_S, Trouble, play


@pytest.mark.parametrize("servers", [4, 8, 12])
@pytest.mark.parametrize("seed", [1, 2])
def test_it_finds_what_a_shop_in_trouble_can_take_and_stays_there(servers: int, seed: int) -> None:
    """From 100 s after the trouble began: nearly all of what the shop can still do is used, answers are about as fast
    as the target says, nothing fails, and the factor keeps within a quarter of that level nearly all of the time."""
    trouble = Trouble(begin_s=60.0, end_s=400.0, servers=servers)
    played = play(trouble, trouble.end_s, seed=seed)
    can_take = min(1.0, servers / SERVICE_S / (CAPACITY * REQUESTS))
    factor = played.between(played.factor, 160.0, 400.0)
    assert 0.85 * can_take < fmean(factor) <= 1.1 * can_take
    within = [abs(each - can_take) < 0.25 * can_take for each in factor]
    assert fmean(within) > 0.85, fmean(within)
    assert min(factor) > 0.4 * can_take, "it swings"
    latency_s = [each for each in played.between(played.latency_s, 160.0, 400.0) if math.isfinite(each)]
    assert fmean(latency_s) < 1.3 * TARGET_S
    assert played.failed == 0


def test_it_gives_everything_back_without_a_step_down() -> None:
    trouble = Trouble(begin_s=60.0, end_s=240.0)
    played = play(trouble, 520.0)
    back = played.between(played.factor, 260.0, 520.0)
    assert back == sorted(back)
    assert back[-1] == 1.0


def test_a_shop_that_is_slow_at_any_load_is_left_nearly_alone_and_found_again() -> None:
    """Less load makes it no faster: the floor is what remains, and enough to notice that it is well again."""
    trouble = Trouble(begin_s=30.0, end_s=330.0, servers=40, slower=10.0)
    played = play(trouble, 700.0)
    assert played.between(played.factor, 200.0, 330.0)[-1] == 0.1
    assert played.factor[-1] == 1.0


def test_a_shop_that_hangs_is_noticed_before_anybody_has_waited_in_vain() -> None:
    """It answers nothing at all; requests fail after ten seconds, the factor is under a half before that."""
    trouble = Trouble(begin_s=60.0, end_s=120.0, servers=0)
    played = play(trouble, 600.0)
    assert played.between(played.factor, 60.0, 69.0)[-1] < 0.5
    assert played.between(played.factor, 110.0, 120.0)[-1] < 0.3
    assert played.factor[-1] == 1.0


def test_a_shop_that_is_well_notices_nothing() -> None:
    played = play(Trouble(begin_s=1e9, end_s=1e9), 200.0)
    assert set(played.factor) == {1.0}


def test_without_the_loop_the_same_shop_fails() -> None:
    """What it is for."""
    trouble = Trouble(begin_s=60.0, end_s=400.0)
    assert play(trouble, trouble.end_s, has_loop=False).failed > 1000
