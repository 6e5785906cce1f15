"""Words: what is a word, and which one was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.catalogue.words import distance, facet, nearest, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Crème BRÛLÉE, 2er-Set", ["creme", "brulee", "2er", "set"]),
        ("snake_case's  Straße", ["snake", "case", "s", "strasse"]),
        ("腕時計 ½", ["腕時計", "1", "2"]),
        ("x" * 99, ["x" * 40]),
        (" -_' ", []),
    ],
)
def test_a_text_becomes_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_words_are_stable_and_are_never_filters(text: str) -> None:
    """The words of words are the same words, so an index and a query agree."""
    found = words(text)
    assert words(" ".join(found)) == found
    assert facet("colour", text) not in found


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("watch", "watch", 0), ("wathc", "watch", 1), ("wach", "watch", 1), ("kitten", "sitting", 3), ("a", "abcdef", 4)],
)
def test_the_distance_counts_edits(one: str, other: str, expected: int) -> None:
    assert distance(one, other, 3) == distance(other, one, 3) == expected


def test_the_nearest_word_is_near_enough() -> None:
    """One edit in a short word, two in a long one; equal ones by name."""
    assert nearest("cat", ["car", "cut", "bat"]) == "bat"
    assert nearest("shirt", ["short", "shift"]) == "shift"
    assert nearest("hxxdphones", ["headphones"]) == "headphones"
    assert nearest("sxxrt", ["shirt"]) is None
    assert nearest("any", []) is None
