"""Joined nodes as one: a token for whoever comes, wherever; all know the whole line; never more than promised."""

from bisect import bisect_left
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import Gate, GateSettings
from controller.fleet.shared_bucket import SharedBucket
from controller.fleet.summary import HEARTBEAT_S, NEWS_S, Share, Summary
from controller.line.line import Line
from controller.line.profile import KNOTS, FarLine
from controller.verdicts import Admit, Wait

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
        """Heartbeats and ticks up to that time."""
        while self.now + TICK_S <= until:
            self.now += TICK_S
            self.ticks += 1
            for gate in self.gates:
                gate.tick(self.now)
            if self.ticks % TICKS_A_BEAT == 0:
                beat = self.ticks // TICKS_A_BEAT
                told = [gate.summary(str(i), beat, self.now) for i, gate in enumerate(self.gates)]
                for i, gate in enumerate(self.gates):
                    gate.observe(str(i), told, self.now)

    def poll(self, node: int, first_seen: float) -> Admit | Wait:
        verdict = self.gates[node].decide(first_seen, self.now, 0.5)
        assert isinstance(verdict, Admit | Wait)
        if isinstance(verdict, Admit):
            self.admitted.append(self.now)
        return verdict


def most_above(times: list[float], burst: float) -> float:
    """Most admissions in any window above burst + capacity x window."""
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
    """Crowds fall upon nodes as they please: all nodes together keep to the stated hard bound in every window."""
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
    """Everybody keeps their appointments ({first_seen: due}) until then; `node` picks where the k-th poll goes."""
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


def test_all_waiting_at_one_node_get_the_tokens_of_all() -> None:
    """Ten seconds' worth of people at one of four nodes are in long before the forty that its own share would take."""
    fleet = Fleet(4)
    fleet.run(3.0)
    began = fleet.now
    crowd(fleet, {began + k * 1e-4: 0.0 for k in range(int(10 * CAPACITY))}, began + 60.0, lambda _: 0)
    assert fleet.now - began < 20.0


def test_while_nobody_waits_the_burst_alone_may_come_in() -> None:
    """Cushions are for visitors called by chance to a node, not a larger burst."""
    fleet = Fleet(4)
    fleet.run(6.0)
    for k in range(200):
        fleet.poll(k % 4, fleet.now - 0.001 * k)
    assert 0.7 * CAPACITY <= len(fleet.admitted) <= CAPACITY


def test_a_node_that_nobody_waits_at_is_no_way_around_the_line() -> None:
    """Everybody waits at one of two nodes; who comes new to the other, empty one stands behind them all."""
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
    """Who asked for one admission a node at most gets that."""
    assert GateSettings(admissions_per_second=1.0, nodes=4, burst_floor=1.0).cushion_at(1.0) == 0.0


def test_a_small_burst_still_admits() -> None:
    """What is held back for stale news is never more than a part of the burst."""
    fleet = Fleet(2, burst_s=0.1)
    fleet.run(3.0)
    waiting = [3.0 + k * 1e-3 for k in range(60)]
    began = fleet.now
    while waiting and fleet.now < began + 30.0:
        fleet.run(fleet.now + HEARTBEAT_S)
        waiting = [v for k, v in enumerate(waiting) if not isinstance(fleet.poll(k % 2, v), Admit)]
    assert fleet.now - began < 12.0


lists = st.lists(st.lists(st.floats(0.0, 1e3), min_size=1, max_size=300, unique=True), min_size=1, max_size=5)


@given(lists, st.floats(0.0, 1e3))
def test_the_merged_lists_are_the_line(nodes: list[list[float]], x: float) -> None:
    """Quantiles of every node, put together, know each place to half a knot a node."""
    told = []
    for people in nodes:
        line = sorted(people)
        n = min(KNOTS, len(line))
        told.append((float(len(line)), tuple(line[int(len(line) * (k + 0.5) / n)] for k in range(n))))
    far = FarLine()
    far.merge(told)
    truth = sum(bisect_left(sorted(people), x) for people in nodes)
    knots = sum(waiting / len(knots) for waiting, knots in told)
    assert far.ahead(x) == pytest.approx(truth, abs=knots + len(nodes))


def test_everybody_is_told_the_place_in_the_whole_line() -> None:
    """A node that saw one of four visitors knows how many stand before each of its own, also far from the front."""
    fleet = Fleet(4)
    fleet.run(3.0)
    began = fleet.now
    people = [began + k * 1e-4 for k in range(2000)]
    chance = Random(7)
    crowd(fleet, dict.fromkeys(people, 0.0), began + 8.0, lambda _: chance.randrange(4))
    gone = len(fleet.admitted)
    told = fleet.poll(1, people[1501])
    assert isinstance(told, Wait)
    assert told.position == pytest.approx(1502 - gone, rel=0.04)


def test_places_go_on_behind_a_shared_front_that_holds_few() -> None:
    """Many near the front have left, and those behind them have not asked since they came near: nobody's place, nor
    the number of those who are called, ends where what the nodes share ends."""
    line = Line(1024, 0.0, 17.0, nodes=2)
    people = [float(k) for k in range(100)]
    for first_seen in people[::2]:
        line.expect(first_seen, 90.0, is_first=False)
    front = line.join(sample=0.5, zone=60.0)
    for first_seen in people[:50]:
        front.expect(first_seen, 90.0, is_first=False)
    line.far.merge((50.0, tuple(people[start::4])) for start in (0, 2))
    line.tick(1.0, 1.0)
    assert line.ahead(100.0) == pytest.approx(100.0, abs=4.0)
    seventieth = line.nth(70.0)
    assert seventieth is not None
    assert seventieth == pytest.approx(70.0, abs=4.0)


QUARTER = CAPACITY / 4
NAMES = "abcd"


class Heard:
    """The pool of one of four nodes that hear each other."""

    def __init__(self) -> None:
        self.settings = GateSettings(admissions_per_second=QUARTER, nodes=4)
        self.pool = SharedBucket()

    def hear(self, clock: float, level: float, gone: int = 0) -> float:
        """Everybody told that level, and so many admissions; returns what this node may count on beyond its own."""
        shares = {name: Share(QUARTER, QUARTER, level) for name in NAMES}
        told = {name: Summary(name, 1, clock, 1.0, level, QUARTER, 1.0, (), (0.0,) * gone) for name in NAMES}
        self.pool.learn("a", shares, told, level, self.settings, is_idle=False)
        self.pool.work(clock)
        return self.pool.borrowed


def test_a_rush_is_taken_to_be_everybodys() -> None:
    """Between two heartbeats nobody hears of anybody. Who hands out more than usual stops before the room's tokens are
    gone four times over; the usual changes nothing, and the next heartbeats tell how it is."""
    heard = Heard()
    borrowed = heard.hear(10.0, 5.0)
    assert borrowed > 0.0
    for _ in range(2):
        heard.pool.took()
    assert heard.pool.borrowed == borrowed
    heard.pool.took()
    assert heard.pool.borrowed == pytest.approx(borrowed - (3 - QUARTER * NEWS_S) * 3)
    for _ in range(9):
        heard.pool.took()
    assert heard.pool.borrowed == -heard.settings.cushion_at(QUARTER)  # its own part of the burst alone
    heard.hear(10.2, 5.0)
    assert heard.hear(10.4, 5.0) == borrowed


def test_a_rush_that_others_told_of_is_taken_to_go_on() -> None:
    """What they told is a heartbeat old at least; an ordinary number changes nothing."""
    borrowed = Heard().hear(10.0, 8.0)
    assert Heard().hear(10.0, 8.0, gone=1) == borrowed
    assert Heard().hear(10.0, 8.0, gone=5) < borrowed - 10.0


def test_a_lone_visitor_is_let_in_by_nodes_of_less_than_one_admission_each() -> None:
    """The room has a burst of twenty and each of its forty nodes half an admission of it: nobody waits in an empty
    room, and one who comes right after, at the same node, is not the room's second burst."""
    fleet = Fleet(40)
    fleet.run(3.0)
    assert isinstance(fleet.poll(7, fleet.now), Admit)
    assert isinstance(fleet.poll(7, fleet.now + 1e-3), Wait)
    assert isinstance(fleet.poll(8, fleet.now + 2e-3), Admit)
