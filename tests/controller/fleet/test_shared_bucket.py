"""The shared bucket: what a node may count in of the other nodes' tokens."""

import pytest

from controller import GateSettings
from controller.fleet.shared_bucket import SharedBucket
from controller.fleet.summary import NEWS_S, Share, Summary

QUARTER = 5.0
NAMES = "abcd"


class Node:
    """The shared bucket of one of four nodes that hear each other."""

    def __init__(self) -> None:
        self.settings = GateSettings(admissions_per_second=QUARTER, nodes=4)
        self.bucket = SharedBucket()

    def receive(self, clock: float, level: float, admitted: int = 0) -> float:
        """All nodes tell that level and as many admissions. Return the tokens that this node may borrow."""
        shares = {name: Share(QUARTER, QUARTER, level) for name in NAMES}
        latest = {name: Summary(name, 1, clock, 1.0, level, QUARTER, 1.0, (), (0.0,) * admitted) for name in NAMES}
        self.bucket.learn("a", shares, latest, level, self.settings, is_idle=False)
        self.bucket.work(clock)
        return self.bucket.borrowed


def test_a_rush_here_is_assumed_to_be_a_rush_everywhere() -> None:
    """Between two heartbeats no node hears of another.

    A node that hands out more than usual stops before the room's tokens are gone four times over. The usual number
    changes nothing, and the next heartbeats tell how it is.
    """
    node = Node()
    borrowed = node.receive(10.0, 5.0)
    assert borrowed > 0.0
    for _ in range(2):
        node.bucket.took()
    assert node.bucket.borrowed == borrowed
    node.bucket.took()
    assert node.bucket.borrowed == pytest.approx(borrowed - (3 - QUARTER * NEWS_S) * 3)
    for _ in range(9):
        node.bucket.took()
    assert node.bucket.borrowed == -node.settings.cushion_at(QUARTER)  # its own part of the burst alone
    node.receive(10.2, 5.0)
    assert node.receive(10.4, 5.0) == borrowed


def test_a_rush_that_others_told_of_is_assumed_to_go_on() -> None:
    """The news is a heartbeat old at least. An ordinary number changes nothing."""
    borrowed = Node().receive(10.0, 8.0)
    assert Node().receive(10.0, 8.0, admitted=1) == borrowed
    assert Node().receive(10.0, 8.0, admitted=5) < borrowed - 10.0
