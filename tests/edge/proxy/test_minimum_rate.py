"""The minimum rate: a sender that keeps it is never cut; a slower one is cut when they are the grace time behind."""

from hypothesis import given
from hypothesis import strategies as st

from edge.proxy.minimum_rate import MinimumRate


def test_a_trickle_hardly_moves_the_deadline():
    rate = MinimumRate(1000.0, 10.0, 0.0)
    for second in range(1, 10):
        rate.came(1, float(second))
    assert 10.0 < rate.due < 10.01


def test_a_burst_earns_no_more_than_the_grace():
    rate = MinimumRate(1000.0, 10.0, 0.0)
    assert rate.came(1_000_000, 1.0) == 11.0


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(1.0, 4.0)), max_size=50))
def test_a_sender_that_keeps_the_rate_is_never_cut(pieces):
    now, rate = 0.0, MinimumRate(1000.0, 10.0, 0.0)
    for gap_s, factor in pieces:
        now += gap_s
        assert now <= rate.due
        rate.came(int(gap_s * 1000 * factor) + 1, now)


@given(st.floats(0.0, 9.0), st.floats(0.0, 1000.0))
def test_time_in_which_nothing_could_come_does_not_count(before_s, stopped_s):
    rate = MinimumRate(1000.0, 10.0, 0.0)
    rate.stop(before_s)
    assert abs(rate.resume(before_s + stopped_s) - (10.0 + stopped_s)) < 1e-6
