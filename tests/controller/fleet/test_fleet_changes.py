"""Joined nodes under everything that an operator, a clock and a network may do to them, in any order."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from controller import HEARTBEAT_S, TTL_S, Admit, Gate, GateSettings

NODES = 3
ALL_HEARD = 2 ** (NODES * NODES) - 1
RATES = (0.0, 0.2, 1.0, 5.0, 40.0)


def settings_at(room_rate: float, floor: float, nodes: int = NODES) -> GateSettings:
    return GateSettings(
        admissions_per_second=room_rate / nodes, nodes=nodes, burst_floor=floor, poll_min_s=0.5, poll_max_s=5.0
    )


class Fleet:
    """Gates with clocks of their own. A test says when they have heartbeats, control steps and polls."""

    def __init__(self, room_rate: float, floor: float, seed: int) -> None:
        self.chance = Random(seed)
        self.floor = floor
        self.now = 1_000.0
        self.beat = 0
        self.gates = [Gate(settings_at(room_rate, floor), self.now) for _ in range(NODES)]
        self.clocks = [0.0] * NODES
        self.most = self.tokens = self.most_at_once(room_rate)  # the test's own bucket bounds every window
        self.rate = room_rate
        self.is_torn = False

    def most_at_once(self, room_rate: float) -> float:
        """Return the hard bound of one instant: burst, a floor for each node, all cushions, a heartbeat's worth."""
        s = settings_at(room_rate, self.floor)
        depth = max(s.depth_at(room_rate), NODES * s.depth_at(room_rate / NODES))
        return depth + NODES * s.cushion_at(room_rate / NODES) + room_rate * HEARTBEAT_S + NODES

    def wait(self, seconds: float) -> None:
        """Pass time. Torn apart, nodes that hear each other divide the whole room, and the rest keep their share."""
        self.now += seconds
        self.allow(self.rate * seconds * (2.0 if self.is_torn else 1.0))

    def allow(self, admissions: float) -> None:
        self.tokens = min(self.most, self.tokens + admissions)

    def tick(self, node: int) -> None:
        self.gates[node].tick(self.at(node))

    def crowd(self, node: int, visitors: int) -> None:
        for _ in range(visitors):
            self.poll(node)

    def busy(self, beats: int) -> None:
        """Send more visitors to every node than there are tokens, heartbeat after heartbeat."""
        for _ in range(beats):
            self.heartbeat(ALL_HEARD)
            for node in range(NODES):
                self.crowd(node, 20)

    def set_clock(self, node: int, by: float) -> None:
        self.clocks[node] += by
        self.tokens += abs(by) * self.rate

    def poll(self, node: int) -> None:
        first_seen = self.at(node) - self.chance.uniform(0.0, 20.0)
        if isinstance(self.gates[node].decide(first_seen, self.at(node), self.chance.random()), Admit):
            self.tokens -= 1.0
            assert self.tokens >= 0.0

    def at(self, node: int) -> float:
        return self.now + self.clocks[node]

    def heartbeat(self, heard: int) -> None:
        """Pass a heartbeat: all nodes step and publish. `heard`: bit i * NODES + j says whether node i hears node j."""
        self.wait(HEARTBEAT_S)
        for i, gate in enumerate(self.gates):
            gate.tick(self.at(i))
        self.beat += 1
        self.is_torn = heard != ALL_HEARD
        news = [gate.summary(str(i), self.beat, self.at(i)) for i, gate in enumerate(self.gates)]
        for i, gate in enumerate(self.gates):
            gate.observe(str(i), [s for j, s in enumerate(news) if i == j or heard >> (i * NODES + j) & 1], self.at(i))

    def change(self, room_rate: float) -> None:
        """Change the capacity. The bursts of the old and the new one may both have been used."""
        for i, gate in enumerate(self.gates):
            gate.reconfigure(settings_at(room_rate, self.floor), self.at(i))
        self.rate = room_rate
        self.most = self.most_at_once(room_rate)
        self.tokens += self.most

    def restart(self, node: int) -> None:
        """Kill a worker: its successor goes on from the last checkpoint, without the tokens."""
        saved = {**self.gates[node].checkpoint(self.at(node)), "level": 0.0}
        self.gates[node] = Gate(self.gates[node].settings, self.at(node), saved)


NODE = st.integers(0, NODES - 1)
STEPS = st.one_of(
    st.tuples(st.just("wait"), st.tuples(st.sampled_from((0.0, 0.01, 0.1, HEARTBEAT_S, 1.0, TTL_S + 0.1, 30.0)))),
    st.tuples(st.just("tick"), st.tuples(NODE)),
    st.tuples(st.just("heartbeat"), st.tuples(st.one_of(st.just(ALL_HEARD), st.integers(0, ALL_HEARD)))),
    st.tuples(st.just("crowd"), st.tuples(NODE, st.integers(1, 40))),
    st.tuples(st.just("busy"), st.tuples(st.integers(1, 8))),
    st.tuples(st.just("change"), st.tuples(st.sampled_from(RATES))),
    st.tuples(st.just("set_clock"), st.tuples(NODE, st.sampled_from((-0.9, -0.05, 0.05, 0.9)))),
    st.tuples(st.just("restart"), st.tuples(NODE)),
)


@given(
    rate=st.sampled_from(RATES),
    floor=st.sampled_from((1.0, 3.0)),
    steps=st.lists(STEPS, min_size=20, max_size=80),
    seed=st.integers(0, 99),
)
@settings(max_examples=250, deadline=None)
def test_no_sequence_of_events_stops_a_node_or_admits_too_many(
    rate: float, floor: float, steps: list[tuple[str, tuple[float, ...]]], seed: int
) -> None:
    """Never an error, and in no window more than the capacities in force allow, whichever nodes heard each other."""
    fleet = Fleet(rate, floor, seed)
    for _ in range(3):
        fleet.heartbeat(ALL_HEARD)
    for what, value in steps:
        getattr(fleet, what)(*value)


def test_a_closed_room_may_open_before_the_next_heartbeat() -> None:
    """The shared bucket knows a room without capacity, and somebody waits: the next step must not divide by it."""
    fleet = Fleet(0.0, 3.0, seed=1)
    for _ in range(3):
        for i, gate in enumerate(fleet.gates):
            gate.decide(fleet.at(i) - 1.0 - i * 1e-3, fleet.at(i), 0.5)
        fleet.heartbeat(ALL_HEARD)
    fleet.change(5.0)
    for i, gate in enumerate(fleet.gates):
        gate.tick(fleet.at(i) + 0.1)
    for _ in range(10):
        fleet.heartbeat(ALL_HEARD)
    admitted = [
        isinstance(gate.decide(fleet.at(i) - 3.0, fleet.at(i), 0.5), Admit) for i, gate in enumerate(fleet.gates)
    ]
    assert any(admitted)
