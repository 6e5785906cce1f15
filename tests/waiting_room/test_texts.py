"""The texts: complete in every language, and with wordings of waits that never contradict each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.texts import Texts, fill

ENGLISH = Texts.load("en")
STEPS = [s for s, _ in ENGLISH.data["waits"]["steps"]]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "not known right now"),
        (0, "a few seconds"),
        (7.9, "a few seconds"),
        (8, "about 15 seconds"),
        (21.9, "about 15 seconds"),
        (22, "about half a minute"),
        (44.9, "about half a minute"),
        (45, "about 1 minute"),
        (95, "about 2 minutes"),
        (3500, "about 1 hour"),
        (21600, "about 6 hours"),
        (90000, "more than 6 hours"),
    ],
)
def test_a_wait_has_a_wording(seconds: float | None, words: str) -> None:
    assert ENGLISH.wait(seconds) == words


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_longer_wait_is_never_worded_shorter(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert ENGLISH.wait_step(low) <= ENGLISH.wait_step(high)


@given(st.floats(45, 21600))
def test_the_wording_is_close_to_the_wait(seconds: float) -> None:
    """The wording is off by at most a third of the wait, or by 30 s."""
    assert abs(STEPS[ENGLISH.wait_step(seconds)] - seconds) <= max(30, seconds / 3)


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_the_bound_is_at_least_the_p90_and_above_the_estimate(p50_s: float, more_s: float) -> None:
    """The bound in "less than 3 minutes" is at least the 90th percentile, and longer than the estimate."""
    words = ENGLISH.within(p50_s, p50_s + more_s)
    if words is not None:
        bound = next(s for s, w in ENGLISH.data["waits"]["steps"] if words.endswith(f"than {w}"))
        assert bound >= p50_s + more_s
        assert bound > STEPS[max(0, ENGLISH.wait_step(p50_s))]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "a moment"), (3, "a few seconds"), (60, "1 minute"), (100, "2 minutes"), (1e9, "6 hours")],
)
def test_the_time_to_try_again_has_a_wording(seconds: float | None, words: str) -> None:
    assert ENGLISH.retry(seconds) == f"Please try again in {words}."


@given(st.text())
def test_values_are_not_searched_for_names(value: str) -> None:
    assert fill("<{a}|{b}>", {"a": value, "b": "{a}"}) == f"<{value}|{{a}}>"
