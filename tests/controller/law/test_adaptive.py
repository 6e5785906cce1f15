"""The adaptive law: its bounds and its direction, for any sequence of responses and steps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.law.adaptive import BRAKE, MOST_SLOW, AdaptiveLaw, AdaptiveSettings, Answered

SETTINGS = AdaptiveSettings(error_share=0.05, floor=0.1, recovery_s=100.0)

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
steps = st.lists(
    st.tuples(
        st.builds(
            lambda count, slow, bad: Answered(count, count * slow, int(count * bad)),
            st.integers(0, 10_000),
            st.floats(0.0, MOST_SLOW),
            st.floats(0.0, 1.0),
        ),
        finite,
        st.booleans(),
    ),
    max_size=60,
)
settings = st.builds(AdaptiveSettings, st.floats(0.001, 1.0), st.floats(0.001, 1.0), st.floats(1.0, 86_400.0))


def played(law: AdaptiveLaw, answered: Answered, seconds: float, dt_s: float = 0.5) -> list[float]:
    """Return the factors while every step observes the same."""
    factors = []
    for _ in range(round(seconds / dt_s)):
        law.observe(answered)
        factors.append(law.step(dt_s))
    return factors


WELL = Answered(count=20, slowness=20 * 0.3)
SLOW = Answered(count=20, slowness=20 * 2.5)
FAILING = Answered(count=20, slowness=20 * 0.1, failed=5)


@given(settings, steps)
def test_the_factor_stays_between_the_floor_and_one(wanted: AdaptiveSettings, played_steps: list) -> None:
    """Whatever is observed, and whatever the steps are."""
    law = AdaptiveLaw(wanted)
    for answered, dt_s, is_paused in played_steps:
        law.observe(answered)
        assert wanted.floor <= law.step(dt_s, is_paused=is_paused) <= 1.0
        assert law.factor == law.factor  # no nan


@given(steps, st.lists(st.floats(0.0, 1.0), max_size=100), st.lists(finite, max_size=100))
def test_the_factor_never_falls_while_the_strain_is_below_one(
    before: list, slowness: list[float], dts: list[float]
) -> None:
    """It rises, step by step, however long the steps are, up to 1."""
    law = AdaptiveLaw(SETTINGS)
    for answered, dt_s, is_paused in before:
        law.observe(answered)
        law.step(dt_s, is_paused=is_paused)
    while law.strain > 1.0:
        law.step(0.5)
    law.step(0.0)  # the brake lets go
    was = law.factor
    for slow, dt_s in zip(slowness, dts, strict=False):
        law.observe(Answered(10, 10 * slow))
        assert law.step(dt_s) >= was
        was = law.factor


@given(steps)
def test_the_factor_never_rises_while_the_strain_is_above_one(before: list) -> None:
    law = AdaptiveLaw(SETTINGS)
    for answered, dt_s, is_paused in before:
        law.observe(answered)
        law.step(dt_s, is_paused=is_paused)
    played(law, SLOW, 30.0)
    factors = played(law, SLOW, 30.0)
    assert factors == sorted(factors, reverse=True)


@given(st.floats(0.01, 2.0), st.floats(0.01, 2.0))
def test_recovery_does_not_depend_on_the_step(first_s: float, second_s: float) -> None:
    """In the same time the same is recovered, in few steps and in many."""
    ends = []
    for dt_s in (first_s, second_s):
        law = AdaptiveLaw(SETTINGS)
        played(law, SLOW, 60.0)
        left_s = 20.0
        while law.strain > 0.01:
            law.step(0.1)
        began = law.factor
        while left_s > 1e-9:
            law.step(min(dt_s, left_s))
            left_s -= dt_s
        ends.append(law.factor - began)
    assert ends[0] == pytest.approx(ends[1], rel=0.05)


@pytest.mark.parametrize("trouble", [SLOW, FAILING])
def test_slow_or_failing_responses_brake_at_once_and_lower_the_integral(trouble: Answered) -> None:
    """Within seconds the factor is under a third; after minutes it is at the floor."""
    law = AdaptiveLaw(SETTINGS)
    assert played(law, trouble, 5.0)[-1] < 1.0 - 0.9 * BRAKE
    assert played(law, trouble, 300.0)[-1] == SETTINGS.floor


def test_the_brake_lets_go_when_responses_are_well_again() -> None:
    """A few slow seconds cost seconds, not the whole recovery."""
    law = AdaptiveLaw(SETTINGS)
    played(law, SLOW, 5.0)
    assert law.factor < 0.4
    assert played(law, WELL, 15.0)[-1] > 0.85


def test_after_a_long_trouble_recovery_takes_the_configured_time() -> None:
    law = AdaptiveLaw(SETTINGS)
    played(law, SLOW, 300.0)
    factors = played(law, Answered(1000, 0.0), 120.0)
    full_s = factors.index(1.0) * 0.5
    assert (1.0 - SETTINGS.floor) * SETTINGS.recovery_s <= full_s <= SETTINGS.recovery_s + 10.0


def test_the_factor_rests_at_a_strain_of_one() -> None:
    """Neither the integral nor the brake moves."""
    law = AdaptiveLaw(SETTINGS)
    played(law, SLOW, 20.0)
    at_target = Answered(2000, 2000 * 1.0015)  # the FEW responses that are counted in weigh something
    played(law, at_target, 40.0)
    rests = played(law, at_target, 40.0)
    assert max(rests) - min(rests) < 0.01


def test_one_slow_response_in_a_quiet_room_changes_nothing() -> None:
    law = AdaptiveLaw(SETTINGS)
    law.observe(Answered(1, MOST_SLOW, 0))
    assert law.step(0.5) == 1.0


def test_the_factor_stands_still_while_no_request_is_sent() -> None:
    """Nothing new is known, so the factor stays; and what was known is forgotten."""
    law = AdaptiveLaw(SETTINGS)
    played(law, FAILING, 10.0)
    was = law.factor
    assert {law.step(0.5, is_paused=True) for _ in range(200)} == {was}
    assert law.strain < 0.01
    assert law.step(0.5) > was


def test_a_stall_of_the_machine_counts_as_two_seconds() -> None:
    """An hour without a step recovers no more."""
    law = AdaptiveLaw(SETTINGS)
    played(law, SLOW, 300.0)
    while law.strain > 0.01:
        law.step(0.5)
    was = law.factor
    assert law.step(3600.0) - was == pytest.approx(2.0 / SETTINGS.recovery_s, rel=0.1)


def test_a_raised_floor_holds_at_once() -> None:
    law = AdaptiveLaw(SETTINGS)
    played(law, SLOW, 300.0)
    law.reconfigure(AdaptiveSettings(error_share=0.05, floor=0.5, recovery_s=100.0))
    assert law.factor == 0.5
    assert math.isclose(law.step(0.5), 0.5)
