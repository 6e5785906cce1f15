"""The words: worded in steps that never contradict each other, complete in every language."""

from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.texts import Texts, fill

LANGUAGES = [f.name.removesuffix(".json") for f in files("waiting_room.languages").iterdir() if f.name.endswith("json")]
ENGLISH = Texts.load("en")
STEPS = [s for s, _ in ENGLISH.data["waits"]["steps"]]


def shape(value: Any) -> Any:
    """Keys, and which `{names}` each text has."""
    if isinstance(value, dict):
        return {key: shape(v) for key, v in value.items()}
    if isinstance(value, str):
        return {part.partition("}")[0] for part in value.split("{")[1:]}
    return None


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text(language: str) -> None:
    """Key for key and name for name what English has, and as many steps as it likes, in order."""
    data = Texts.load(language).data
    assert shape(data) == shape(ENGLISH.data)
    assert data["language"] == language
    assert all(low < high for (low, _), (high, _) in pairwise(data["waits"]["steps"]))


def test_there_is_english() -> None:
    assert "en" in LANGUAGES


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "not known right now"),
        (0, "less than a minute"),
        (44.9, "less than a minute"),
        (45, "about 1 minute"),
        (95, "about 2 minutes"),
        (3500, "about 1 hour"),
        (21600, "about 6 hours"),
        (90000, "more than 6 hours"),
    ],
)
def test_words_a_wait(seconds: float | None, words: str) -> None:
    assert ENGLISH.wait(seconds) == words


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_longer_wait_is_never_worded_shorter(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert ENGLISH.wait_step(low) <= ENGLISH.wait_step(high)


@given(st.floats(45, 21600))
def test_the_wording_is_near_the_truth(seconds: float) -> None:
    """Never further off than a third of what is said, or the half minute to the first step."""
    assert abs(STEPS[ENGLISH.wait_step(seconds)] - seconds) <= max(30, seconds / 3)


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_the_bound_holds_and_says_more_than_the_estimate(p50_s: float, more_s: float) -> None:
    """ "Less than 3 minutes" is at least the 90th percentile, and longer than the estimate beside it."""
    words = ENGLISH.within(p50_s, p50_s + more_s)
    if words is not None:
        bound = next(s for s, w in ENGLISH.data["waits"]["steps"] if words.endswith(f"than {w}"))
        assert bound >= p50_s + more_s
        assert bound > STEPS[max(0, ENGLISH.wait_step(p50_s))]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "a moment"), (3, "a few seconds"), (60, "1 minute"), (100, "2 minutes"), (1e9, "6 hours")],
)
def test_words_when_to_try_again(seconds: float | None, words: str) -> None:
    assert ENGLISH.retry(seconds) == f"Please try again in {words}."


@given(st.text())
def test_a_value_is_not_searched_for_names(value: str) -> None:
    assert fill("<{a}|{b}>", {"a": value, "b": "{a}"}) == f"<{value}|{{a}}>"
