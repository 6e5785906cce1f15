"""The lease book agrees with a plain dictionary, and is bounded."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.line.leases import LeaseBook

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
    book = LeaseBook(capacity=10_000, now=0.0)
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


def test_a_full_book_samples_instead_of_growing() -> None:
    """Beyond its capacity the book forgets every other lease and counts the others twice."""
    book = LeaseBook(capacity=1000, now=0.0)
    for i in range(10_000):
        book.add(i * 1e-2, 5.0 + (i % 50) / 10)
    book.refresh()
    assert len(book.due) <= 1000
    assert len(book) == pytest.approx(10_000, rel=0.1)
    assert book.rank(50.0) == pytest.approx(5000, rel=0.1)


def test_resampling_keeps_the_shape_of_the_line() -> None:
    """A node that now sees twice or half of the line counts twice or half as many before every visitor."""
    for ratio in (0.5, 2.0, 8.0 / 3.0):
        book = LeaseBook(capacity=100_000, now=0.0)
        for i in range(1000):
            book.add(float(i), 10.0)
        book.resample(ratio)
        assert len(book) == pytest.approx(1000 * ratio, rel=0.01)
        assert book.rank(500.0) == pytest.approx(500 * ratio, rel=0.01)
