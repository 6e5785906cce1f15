"""The lease book agrees with a plain dictionary."""

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.line.leases import NO_LEASE, LeaseBook

#: Few visitors and times, so that leases are moved, moved back, and given anew after they have ended.
LEASES = st.lists(
    st.tuples(
        st.one_of(st.floats(0.0, 100.0), st.integers(0, 9).map(float)),
        st.one_of(st.floats(0.0, 50.0), st.integers(0, 9).map(float)),
        st.sampled_from(["add", "add", "remove", "expire"]),
    ),
    max_size=200,
)


@given(LEASES)
@example([(1.0, 3.0, "add"), (1.0, 7.0, "add"), (1.0, 3.0, "add"), (9.0, 5.0, "expire")])
@settings(max_examples=150)
def test_the_book_agrees_with_a_dictionary(calls: list[tuple[float, float, str]]) -> None:
    """Rank, nth and length are those of the sorted first_seen of the leases that still run."""
    book = LeaseBook(0.0)
    model: dict[float, int] = {}
    clock = 0.0
    for first_seen, due, what in calls:
        if what == "add":
            book.add(first_seen, max(due, clock))
            model[first_seen] = max(int(max(due, clock) / 0.1), int(clock / 0.1))
        elif what == "remove":
            assert book.remove(first_seen) == (model.pop(first_seen, None) is not None)
        else:
            clock = max(clock, due)
            gone = sorted(f for f, number in model.items() if number < int(clock / 0.1))
            assert book.overdue(clock) == len(gone)
            assert sorted(book.expire(clock)) == gone
            for first_seen in gone:
                del model[first_seen]
        book.refresh()
        line = sorted(model)
        assert len(book) == len(line)
        for i, f in enumerate(line):
            assert book.rank(f) == i
            assert book.nth(i) == f
        assert book.nth(len(line)) is None


def test_resampling_keeps_the_shape_of_the_line() -> None:
    """A node that now sees twice or half of the line counts twice or half as many before every visitor."""
    for ratio in (0.5, 2.0, 8.0 / 3.0):
        book = LeaseBook(0.0)
        for i in range(1000):
            book.add(float(i), 10.0)
        book.resample(ratio)
        assert len(book) == pytest.approx(1000 * ratio, rel=0.01)
        assert book.rank(500.0) == pytest.approx(500 * ratio, rel=0.01)


def test_a_long_book_agrees_with_a_sorted_list() -> None:
    """Beyond LONG leases the chunks are longer, and ranks stay exact."""
    book = LeaseBook(0.0)
    line = [i * 1e-3 for i in range(150_000)]
    for first_seen in line[::2] + line[1::2]:
        book.add(first_seen, 5.0 + first_seen % 10)
    book.refresh()
    assert len(book) == len(line)
    assert [book.rank(line[i]) for i in range(0, 150_000, 9_999)] == list(range(0, 150_000, 9_999))
    assert [book.nth(i) for i in range(0, 150_000, 9_999)] == line[::9_999]


def test_a_rank_asked_after_a_search_allows_for_what_changed_since() -> None:
    """The book remembers where it found a lease only as long as nothing has moved."""
    book = LeaseBook(0.0)
    for first_seen in (1.0, 2.0, 3.0):
        book.add(first_seen, 5.0)
    book.refresh()
    assert book.find(3.0) != NO_LEASE
    book.add(1.5, 5.0)
    assert book.rank(3.0) == 3
    book.find(3.0)
    book.remove(1.0)
    assert book.rank(3.0) == 2


def test_a_lease_of_a_long_line_takes_less_than_48_bytes() -> None:
    tracemalloc.start()
    try:
        book = LeaseBook(0.0)
        for i in range(150_000):
            book.add(i * 1e-3, 5.0 + i % 100 / 10)
        for i in range(0, 150_000, 2):
            book.add(i * 1e-3, 15.0 + i % 100 / 10)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / 150_000 < 48
