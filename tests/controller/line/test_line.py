"""What a node learns from the visitors that poll it."""

import pytest

from controller.line.line import Line


def test_nth_is_the_inverse_of_ahead() -> None:
    """Also when most newcomers are ghosts: they are counted with the return rate."""
    line = Line(capacity=10_000, clock=0.0, young_s=17.0, nodes=1)
    for i in range(500):
        line.expect(float(i), 10.0, is_first=i % 2 == 0)
    line.tick(0.1, 0.1)
    line.return_rate.share = 0.2
    for count in (10.0, 100.0, 250.0):
        at = line.nth(count)
        assert at is not None
        assert line.ahead(at) == pytest.approx(count, abs=2.0, rel=0.02)


def test_polls_faster_than_asked_say_nothing_about_the_line() -> None:
    """They count neither as kept appointments nor as newcomers that came back."""
    line = Line(capacity=1000, clock=0.0, young_s=17.0, nodes=4)
    for i in range(1000):
        line.expect(float(i % 10), 15.0, is_first=False)
        line.visit(float(i % 10), 5.0, line.book.find(float(i % 10)))
    assert line.traffic.share == 0.25
    assert line.return_rate.settle() == 1.0


def test_a_newcomer_asked_back_after_a_stretched_interval_is_no_ghost() -> None:
    """The longest interval may be shorter again by then, and the visitor no longer young."""
    line = Line(capacity=1000, clock=0.0, young_s=32.0, nodes=1)
    for i in range(100):
        line.expect(i * 1e-3, 30.0, is_first=True)
    line.tick(29.9, 29.9)
    line.lengthen(15.0)
    for i in range(100):
        line.visit(i * 1e-3, 29.9, line.book.find(i * 1e-3))
    line.tick(31.0, 31.0)
    assert line.return_rate.share == 1.0


def test_after_a_resampling_no_visitor_counts_as_back_for_one_interval() -> None:
    """Stand-ins keep no appointments, so the visitors that do prove nothing."""
    line = Line(capacity=1000, clock=0.0, young_s=17.0, nodes=4)
    for i in range(100):
        line.expect(-50.0 - i, 1.0, is_first=False)
    line.tick(0.9, 0.9)
    line.resample(2.0, nodes=2)
    for i in range(100):
        line.visit(-50.0 - i, 50.0, line.book.find(-50.0 - i))
    assert line.traffic.back == 0
    line.tick(30.0, 30.0)
    for i in range(100):
        line.expect(-50.0 - i, 30.5, is_first=False)
        line.visit(-50.0 - i, 80.0, line.book.find(-50.0 - i))
    assert line.traffic.back == 100


def test_a_line_that_learns_how_late_visitors_poll_counts_only_leases_from_then_on() -> None:
    """Open leases last for one longest interval. Leases of visitors that poll elsewhere count after that."""
    line = Line(1000, 0.0, 17.0, nodes=4)
    line.tick(0.0, 0.0, is_latency_known=True)
    shares = []
    for step in range(1, 300):
        now = step / 10
        for i in range(3):
            line.expect(-now - i * 1e-3, now, False)
        line.tick(now + 0.1, now + 0.1, is_latency_known=True)
        shares.append(line.traffic.share)
    assert set(shares[:170]) == {0.25}
    assert shares[-1] < 0.01


def test_a_visitor_in_time_is_not_hasty_though_leases_were_longer_before() -> None:
    """A lease allows for how late visitors poll.

    When they poll less late, a visitor with a lease from before is back long before it ends, and is kept all the same.
    """
    line = Line(1000, 0.0, 17.0, nodes=4)
    line.tick(0.0, 0.0, late_s=2.0)
    line.expect(-50.0, 17.1, False)  # back in 15 s, and late
    line.tick(15.0, 15.0)
    line.visit(-50.0, 65.0, line.book.find(-50.0))
    assert -50.0 not in line.hasty
    assert line.traffic.back == 1
    for step in range(160, 200):
        line.tick(step / 10, step / 10)
    line.expect(-50.0, 37.1, False)  # by now all open leases are shorter
    line.visit(-50.0, 70.0, line.book.find(-50.0))
    assert -50.0 in line.hasty
