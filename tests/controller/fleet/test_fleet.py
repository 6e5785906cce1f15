"""Joined gates as one: a token for every visitor, wherever they poll, and no more admissions than promised."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import HEARTBEAT_S, Admit, Gate, GateSettings, Wait

CAPACITY = 20.0
TICKS_A_BEAT = 2
TICK_S = HEARTBEAT_S / TICKS_A_BEAT


class Fleet:
    """Joined gates that hear each other once a heartbeat, one heartbeat late."""

    def __init__(self, nodes: int, burst_s: float = 1.0) -> None:
        s = GateSettings(admissions_per_second=CAPACITY / nodes, burst_seconds=burst_s, nodes=nodes)
        self.gates = [Gate(s, now=0.0) for _ in range(nodes)]
        self.ticks = 0
        self.now = 0.0
        self.admitted: list[float] = []

    def run(self, until: float) -> None:
        """Run heartbeats and control steps up to that time."""
        while self.now + TICK_S <= until:
            self.now += TICK_S
            self.ticks += 1
            for gate in self.gates:
                gate.tick(self.now)
            if self.ticks % TICKS_A_BEAT == 0:
                beat = self.ticks // TICKS_A_BEAT
                news = [gate.summary(str(i), beat, self.now) for i, gate in enumerate(self.gates)]
                for i, gate in enumerate(self.gates):
                    gate.observe(str(i), news, self.now)

    def poll(self, node: int, first_seen: float) -> Admit | Wait:
        verdict = self.gates[node].decide(first_seen, self.now, 0.5)
        assert isinstance(verdict, Admit | Wait)
        if isinstance(verdict, Admit):
            self.admitted.append(self.now)
        return verdict


def most_above(times: list[float], burst: float) -> float:
    """Return the most admissions in any window above burst + capacity x window."""
    return max(
        (j - i + 1 - burst - CAPACITY * (times[j] - times[i]) for i in range(len(times)) for j in range(i, len(times))),
        default=0.0,
    )


@given(
    nodes=st.integers(2, 6),
    steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60)), min_size=10, max_size=40),
)
@settings(max_examples=40, deadline=None)
def test_the_room_never_admits_more_than_burst_and_cushions(nodes: int, steps: list[tuple[int, int]]) -> None:
    """Wherever crowds arrive, all nodes together keep to the stated hard bound in every window."""
    fleet = Fleet(nodes)
    fleet.run(3.0)
    s = fleet.gates[0].settings
    for node, crowd in steps:
        fleet.run(fleet.now + HEARTBEAT_S)
        for k in range(crowd):
            fleet.poll(node % nodes, fleet.now - k * 1e-3)
    cushions = nodes * s.cushion_at(CAPACITY / nodes)  # concave: an even spread is the most
    assert most_above(fleet.admitted, CAPACITY * s.burst_seconds) <= cushions + HEARTBEAT_S * CAPACITY + 1e-6


def crowd(fleet: Fleet, waiting: dict[float, float], until: float, node: Callable[[int], int]) -> None:
    """All visitors keep their appointments ({first_seen: due}) until then. `node` picks where the k-th poll goes."""
    polls = 0
    while waiting and fleet.now < until:
        fleet.run(fleet.now + 1.01 * TICK_S)
        for first_seen in sorted(v for v, due in waiting.items() if due <= fleet.now):
            polls += 1
            verdict = fleet.poll(node(polls), first_seen)
            if isinstance(verdict, Admit):
                del waiting[first_seen]
            else:
                waiting[first_seen] = fleet.now + verdict.poll_after_s


def test_visitors_at_one_node_get_the_tokens_of_all_nodes() -> None:
    """Ten seconds' worth of visitors are admitted long before the forty that the node's own share would take."""
    fleet = Fleet(4)
    fleet.run(3.0)
    began = fleet.now
    crowd(fleet, {began + k * 1e-4: 0.0 for k in range(int(10 * CAPACITY))}, began + 60.0, lambda _: 0)
    assert fleet.now - began < 20.0


def test_while_nobody_waits_only_the_burst_is_admitted_at_once() -> None:
    """Cushions are for visitors that come to a node by chance. They are no larger burst."""
    fleet = Fleet(4)
    fleet.run(6.0)
    for k in range(200):
        fleet.poll(k % 4, fleet.now - 0.001 * k)
    assert 0.7 * CAPACITY <= len(fleet.admitted) <= CAPACITY


def test_a_node_without_a_line_is_no_way_around_the_line() -> None:
    """All visitors wait at one of two nodes; one that arrives at the other, empty one stands behind them all."""
    fleet = Fleet(2)
    fleet.run(3.0)
    began = fleet.now
    line = {began + k * 1e-4: 0.0 for k in range(int(10 * CAPACITY))}
    crowd(fleet, line, began + 4.0, lambda _: 0)
    assert len(line) > 3 * CAPACITY
    verdict = fleet.poll(1, fleet.now)
    assert isinstance(verdict, Wait)
    assert verdict.position == pytest.approx(len(line) + 1, rel=0.2)


def test_a_strict_floor_has_no_cushions() -> None:
    """With a floor of 1 a node admits one visitor at once at most."""
    assert GateSettings(admissions_per_second=1.0, nodes=4, burst_floor=1.0).cushion_at(1.0) == 0.0


def test_a_small_burst_still_admits() -> None:
    """The margin for stale news is never more than a part of the burst."""
    fleet = Fleet(2, burst_s=0.1)
    fleet.run(3.0)
    waiting = [3.0 + k * 1e-3 for k in range(60)]
    began = fleet.now
    while waiting and fleet.now < began + 30.0:
        fleet.run(fleet.now + HEARTBEAT_S)
        waiting = [v for k, v in enumerate(waiting) if not isinstance(fleet.poll(k % 2, v), Admit)]
    assert fleet.now - began < 12.0


def test_every_visitor_is_told_the_position_in_the_whole_line() -> None:
    """A node that sees one visitor in four knows how many stand before each of its own, also far from the front."""
    fleet = Fleet(4)
    fleet.run(3.0)
    began = fleet.now
    arrivals = [began + k * 1e-4 for k in range(2000)]
    chance = Random(7)
    crowd(fleet, dict.fromkeys(arrivals, 0.0), began + 8.0, lambda _: chance.randrange(4))
    gone = len(fleet.admitted)
    verdict = fleet.poll(1, arrivals[1501])
    assert isinstance(verdict, Wait)
    assert verdict.position == pytest.approx(1502 - gone, rel=0.04)


def test_a_lone_visitor_is_admitted_by_nodes_of_less_than_one_admission_each() -> None:
    """The room has a burst of twenty, and each of its forty nodes half an admission of it.

    No visitor waits in an empty room, and a second one right after, at the same node, is not the room's second burst.
    """
    fleet = Fleet(40)
    fleet.run(3.0)
    assert isinstance(fleet.poll(7, fleet.now), Admit)
    assert isinstance(fleet.poll(7, fleet.now + 1e-3), Wait)
    assert isinstance(fleet.poll(8, fleet.now + 2e-3), Admit)
