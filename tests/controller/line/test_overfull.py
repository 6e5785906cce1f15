"""A line that is longer than its book is exact near the front, and unbiased behind it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import Admit, Gate, GateSettings
from controller.line.leases import LeaseBook
from controller.line.line import Line
from controller.line.overfull import Overfull, OverfullBook


def overfull(visitors: int, capacity: int) -> tuple[Overfull, OverfullBook, OverfullBook]:
    """The books of so many proven visitors, one a hundredth of a second."""
    book, fresh = LeaseBook(0.0), LeaseBook(0.0)
    for i in range(visitors):
        book.add(i * 1e-2, 5.0 + i % 50 / 10)
    book.refresh()
    boundary = book.nth(capacity // 2)
    assert boundary is not None
    rule = Overfull(boundary)
    books = OverfullBook(book, rule), OverfullBook(fresh, rule)
    rule.rebalance(*books, capacity)
    return rule, *books


def test_an_overfull_book_is_exact_up_to_the_boundary_and_unbiased_beyond() -> None:
    rule, book, _ = overfull(20_000, 2000)
    assert len(book.near) + len(book.far) <= 2 * 2000
    assert len(book) == pytest.approx(20_000, rel=0.06)
    for place in range(0, 1000, 99):
        assert book.rank(place * 1e-2) == place
        assert book.nth(place) == place * 1e-2
    assert rule.boundary == 1000 * 1e-2
    assert book.rank(150.0) == pytest.approx(15_000, rel=0.06)


def test_polling_again_and_again_does_not_lengthen_the_line() -> None:
    """Whether a far visitor is in the sample is the same at each of their polls."""
    _, book, _ = overfull(20_000, 2000)
    before = len(book)
    for turn in range(5):
        for i in range(20_000):
            book.add(i * 1e-2, 5.0 + turn + i % 50 / 10)
        book.refresh()
    assert len(book) == before


@given(st.lists(st.integers(0, 30_000), max_size=60), st.integers(1000, 4000))
@settings(max_examples=30)
def test_nth_is_the_inverse_of_rank(places: list[int], capacity: int) -> None:
    rule, book, _ = overfull(6000, capacity) if capacity < 6000 else overfull(6000, 5000)
    for place in places:
        at = book.nth(place)
        if at is None:
            assert place >= len(book) - rule.weight
        else:
            assert abs(book.rank(at) - place) <= rule.weight


def test_the_boundary_moves_on_with_the_front_until_the_line_is_exact_again() -> None:
    """Visitors are admitted from the front; the others poll on."""
    rule, book, fresh = overfull(20_000, 2000)
    now = 0.0
    for admitted in range(0, 20_000, 500):
        now += 20.0
        for i in range(admitted, admitted + 500):
            book.remove(i * 1e-2)
        for i in range(admitted + 500, 20_000):
            book.add(i * 1e-2, now + 5.0 + i % 50 / 10)
        book.expire(now)
        book.refresh()
        is_overfull = rule.rebalance(book, fresh, 2000)
        waiting = 20_000 - admitted - 500
        assert len(book) == pytest.approx(waiting, rel=0.15, abs=3)
        exact = min(900, waiting)
        assert book.rank((admitted + 500 + exact) * 1e-2) == pytest.approx(exact, abs=90)
        if waiting < 1000:
            assert not is_overfull


def test_a_line_goes_over_to_samples_and_back_by_itself() -> None:
    line = Line(1024, 0.0, 17.0, 1)
    for i in range(5000):
        line.expect(i * 1e-3, 10.0 + i % 10 / 10, False)
    line.tick(0.1, 0.1)
    assert isinstance(line.book, OverfullBook)
    assert len(line) == pytest.approx(5000, rel=0.1)
    line.tick(20.0, 20.0)
    line.tick(20.1, 20.1)
    assert isinstance(line.book, LeaseBook)
    assert len(line) == 0


def test_a_small_book_loses_no_capacity_and_no_order() -> None:
    """6,000 visitors at 100 a second, a book of 1,024: admissions stay in order, and none is lost."""
    gate = Gate(GateSettings(admissions_per_second=100.0, max_leases=1024), 0.0)
    now, due = 0.0, {i: i * 1e-3 for i in range(6000)}
    admitted: list[int] = []
    while due and now < 90.0:
        now = round(now + 0.1, 3)
        for visitor in sorted(visitor for visitor, at in due.items() if at <= now):
            verdict = gate.decide(visitor * 1e-3, now, 0.5)
            if isinstance(verdict, Admit):
                admitted.append(visitor)
                del due[visitor]
            else:
                due[visitor] = now + verdict.poll_after_s
        gate.tick(now)
    assert len(admitted) == 6000
    assert now < 63.0
    late = [abs(place - visitor) for place, visitor in enumerate(admitted)]
    assert sorted(late)[int(0.99 * len(late))] < 300
