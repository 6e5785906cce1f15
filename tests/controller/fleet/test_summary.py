"""Joined nodes: shares that add up, and a line that survives the loss of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import Gate, GateSettings
from controller.fleet.summary import TTL_S, Summary, shares


def summary(node: str, beat: int, at: float, polls: float, level: float = 1.0, rate: float = 10.0) -> Summary:
    return Summary(node, beat, at, polls, level, rate, 0.0, (), ())


def cushion(rate: float) -> float:
    return GateSettings(admissions_per_second=1.0, nodes=2).cushion_at(rate)


NEWS = st.tuples(st.floats(0.0, 1e4), st.floats(0.0, 100.0), st.floats(0.0, 100.0))


@given(st.lists(NEWS, min_size=1, max_size=20))
def test_shares_add_up_to_the_capacity(nodes: list[tuple[float, float, float]]) -> None:
    """Whatever the nodes report, the shares are the capacity, and none is negative."""
    got = shares([summary(str(i), 0, 0.0, p, lvl, r) for i, (p, lvl, r) in enumerate(nodes)], 50.0, cushion)
    assert sum(s.rate for s in got.values()) == pytest.approx(50.0)
    assert sum(s.fair for s in got.values()) == pytest.approx(50.0)
    assert all(s.rate >= 0.0 for s in got.values())


def test_empty_buckets_without_cushions_share_evenly() -> None:
    """A strict floor keeps no cushions, and a crowd leaves no tokens: nothing may be divided by them."""
    got = shares([summary("a", 0, 0.0, 10.0, 0.0, 10.0), summary("b", 0, 0.0, 10.0, 0.0, 10.0)], 20.0, lambda _: 0.0)
    assert [share.rate for share in got.values()] == pytest.approx([10.0, 10.0])


def test_shares_follow_demand_and_tokens_follow_need() -> None:
    """A node with more polls gets more. Of two with the same polls the one with the emptier bucket gets more."""
    got = shares([summary("a", 0, 0.0, 30.0), summary("b", 0, 0.0, 10.0)], 40.0, cushion)
    assert got["a"].fair > 2.5 * got["b"].fair
    got = shares([summary("a", 0, 0.0, 10.0, level=5.0), summary("b", 0, 0.0, 10.0, level=0.0)], 20.0, cushion)
    assert got["b"].rate > got["a"].rate


def test_a_node_that_hears_nothing_goes_back_to_its_own_share() -> None:
    """After TTL_S without news the configured share is back."""
    gate = Gate(GateSettings(admissions_per_second=10.0, nodes=2), now=0.0)
    for beat in range(12):
        now = beat * 0.5
        gate.tick(now)
        others = summary("b", beat, now, polls=90.0, rate=10.0)
        gate.observe("a", [gate.summary("a", beat, now), others], now)
    assert gate.snapshot(6.0).admissions_per_second < 9.0
    for tick in range(round(10 * (TTL_S + 1.0))):
        gate.tick(6.0 + tick / 10)
    assert gate.snapshot(10.0).admissions_per_second == 10.0


def test_nodes_not_heard_yet_keep_their_even_share() -> None:
    """At the start, when two of fifty nodes were heard, the two do not take the capacity of all."""
    gate = Gate(GateSettings(admissions_per_second=1.0, nodes=50), now=0.0)
    gate.observe("a", [gate.summary("a", 0, 0.0), summary("b", 0, 0.0, polls=0.0, rate=1.0)], 0.0)
    assert gate.snapshot(0.0).admissions_per_second <= 1.5
