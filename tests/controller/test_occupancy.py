"""The count of active visitors agrees with a list of every session."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.occupancy import CELLS, Occupancy

DURATION_S = 64.0
WIDTH_S = 1.0


def test_a_session_is_counted_until_it_ends() -> None:
    """A session counts from its beginning to its end, and at most one bin width longer."""
    row = Occupancy(DURATION_S, [0] * CELLS)
    row.begin(expires=1010.0, now=1000.0)
    row.advance(1009.9)
    assert row.total == 1
    row.advance(1010.0 + WIDTH_S)
    assert row.total == 0


def test_a_completed_session_leaves_early_and_only_once() -> None:
    """After its end has passed, a session cannot be removed again."""
    row = Occupancy(DURATION_S, [0] * CELLS)
    row.begin(1010.0, 1000.0)
    row.end(1010.0, 1001.0)
    assert row.total == 0
    row.end(1010.0, 1020.0)
    assert row.total == 0


def test_the_sum_holds_when_another_node_renews() -> None:
    """A session begun at one node and renewed at another is one session, though one total is negative."""
    here, there = Occupancy(DURATION_S, [0] * CELLS), Occupancy(DURATION_S, [0] * CELLS)
    here.begin(1010.0, 1000.0)
    there.end(1010.0, 1005.0)
    there.begin(1015.0, 1005.0)
    assert here.total + there.total == 1
    for row in (here, there):
        row.advance(1012.0)
    assert (here.total, there.total) == (0, 1)


def test_cells_outlive_the_process() -> None:
    """A successor that gets the cells goes on counting where the process before stopped."""
    cells = [0] * CELLS
    Occupancy(DURATION_S, cells).begin(1010.0, 1000.0)
    successor = Occupancy(DURATION_S, cells)
    successor.advance(1005.0)
    assert successor.total == 1
    successor.advance(1012.0)
    assert successor.total == 0


def test_a_clock_that_steps_back_loses_no_session() -> None:
    """Time that goes back changes no count, and a session begun then ends."""
    row = Occupancy(DURATION_S, [0] * CELLS)
    row.begin(1010.0, 1000.0)
    row.advance(400.0)
    assert row.total == 1
    row.begin(450.0, 400.0)
    row.advance(5000.0)
    assert row.total == 0


@pytest.mark.parametrize(("duration", "cells"), [(0.0, CELLS), (-1.0, CELLS), (60.0, CELLS - 1)])
def test_a_row_that_cannot_count_is_refused(duration: float, cells: int) -> None:
    """A wrong length or duration fails at once."""
    with pytest.raises(ValueError, match=r"duration_s|cells"):
        Occupancy(duration, [0] * cells)


class Counting(RuleBasedStateMachine):
    """The count is never below the list of sessions, and above it by those that ended within a bin width at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.rows = [Occupancy(DURATION_S, [0] * CELLS) for _ in range(2)]
        self.sessions: list[float] = []
        self.ended: list[float] = []

    @rule(node=st.integers(0, 1), lasts=st.floats(1.0, DURATION_S))
    def begin(self, node: int, lasts: float) -> None:
        self.rows[node].begin(self.now + lasts, self.now)
        self.sessions.append(self.now + lasts)

    @precondition(lambda self: self.sessions)
    @rule(node=st.integers(0, 1), at=st.integers(0, 10_000), again=st.floats(1.0, DURATION_S))
    def renew(self, node: int, at: int, again: float) -> None:
        expires = self.sessions.pop(at % len(self.sessions))
        self.rows[node].end(expires, self.now)
        self.begin(node, again)

    @precondition(lambda self: self.sessions)
    @rule(node=st.integers(0, 1), at=st.integers(0, 10_000))
    def complete(self, node: int, at: int) -> None:
        self.rows[node].end(self.sessions.pop(at % len(self.sessions)), self.now)

    @rule(by=st.floats(0.0, 2 * DURATION_S))
    def pass_time(self, by: float) -> None:
        self.now += by
        self.ended += [expires for expires in self.sessions if expires <= self.now]
        self.sessions = [expires for expires in self.sessions if expires > self.now]

    @invariant()
    def the_sum_is_the_number_of_sessions(self) -> None:
        for row in self.rows:
            row.advance(self.now)
        total = sum(row.total for row in self.rows)
        lingering = sum(self.now - expires <= WIDTH_S for expires in self.ended)
        assert len(self.sessions) <= total <= len(self.sessions) + lingering


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
