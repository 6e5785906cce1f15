"""A recent set knows at least the last `most` values and holds at most twice as many."""

from hypothesis import given
from hypothesis import strategies as st

from edge.support.recent_set import RecentSet


@given(st.lists(st.integers(0, 40), max_size=200))
def test_the_last_values_are_known_and_memory_is_bounded(values: list[int]) -> None:
    seen: RecentSet[int] = RecentSet(8)
    for at, each in enumerate(values):
        was_known = seen.note(each)
        assert len(seen) <= 16
        assert not was_known or each in values[:at]
        assert was_known or each not in values[max(0, at - 8) : at]


def test_a_repeated_value_is_known_for_as_long_as_a_new_one() -> None:
    seen: RecentSet[int] = RecentSet(2)
    assert [seen.note(each) for each in (0, 1, 2, 3, 0, 4, 0)] == [False, False, False, False, True, False, True]


def test_a_value_older_than_two_generations_is_forgotten() -> None:
    seen: RecentSet[int] = RecentSet(16)
    assert not any(seen.note(each) for each in range(33))
    assert all(seen.note(each) for each in range(16, 33))
    assert not seen.note(0)
