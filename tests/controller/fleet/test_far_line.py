"""The merged lists of all nodes are the line."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fleet.far_line import FarLine
from controller.line.line import KNOTS

LISTS = st.lists(st.lists(st.floats(0.0, 1e3), min_size=1, max_size=300, unique=True), min_size=1, max_size=5)


@given(LISTS, st.floats(0.0, 1e3))
def test_merged_lists_know_each_position_to_half_a_knot_a_node(nodes: list[list[float]], x: float) -> None:
    """Whatever the lists are, the count before any x is that of the whole line."""
    lists_of = []
    for visitors in nodes:
        line = sorted(visitors)
        n = min(KNOTS, len(line))
        lists_of.append((float(len(line)), tuple(line[int(len(line) * (k + 0.5) / n)] for k in range(n))))
    far = FarLine()
    far.merge(lists_of)
    truth = sum(bisect_left(sorted(visitors), x) for visitors in nodes)
    knots = sum(waiting / len(knots) for waiting, knots in lists_of)
    assert far.ahead(x) == pytest.approx(truth, abs=knots + len(nodes))
