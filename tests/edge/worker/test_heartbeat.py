"""The heartbeat of one node, without the processes: what it publishes, when it observes, and what it counts."""

from controller import CELLS, HEARTBEAT_S, TTL_S, Gate, GateSettings, Summary
from edge.messages.cluster import NodeSummary
from edge.rooms.table import RoomTable, build_rooms
from edge.settings.loading import parse_settings
from edge.worker.heartbeat import Heartbeat
from waiting_room.assets import Assets

YAML = """
secret_keys_env: STANCHION_KEYS
upstream: {url: "http://127.0.0.1:9000"}
workers: 2
rooms:
  - name: checkout
    match: {paths: ["/checkout*"]}
    capacity: {admissions_per_second: 12}
"""
NOW = 1_795_000_000.0


def rooms() -> RoomTable:
    settings = parse_settings(YAML)
    return build_rooms(settings, Assets.load(), lambda _: [[0] * CELLS for _ in range(2)], 0, NOW, NOW)


def of_another_node(now: float, room: str = "checkout", node: str = "far/0") -> NodeSummary:
    """The message that another node sends in the heartbeat of this moment."""
    gate = Gate(GateSettings(admissions_per_second=6.0), now)
    return NodeSummary.of(room, gate.summary(node, int(now / HEARTBEAT_S), now))


class Node:
    def __init__(self, *, needs_bus: bool) -> None:
        self.published: list[NodeSummary] = []
        self.heartbeat = Heartbeat("near/0", self.published.append, needs_bus=needs_bus)
        self.rooms = rooms()
        self.now = NOW

    def beat(self, *received: NodeSummary) -> None:
        for message in received:
            self.heartbeat.receive(message)
        self.now += HEARTBEAT_S
        self.heartbeat.beat(self.rooms, self.now)

    @property
    def share(self) -> float:
        """Admissions a second that this node hands out."""
        return self.rooms.by_name["checkout"].gate.snapshot(self.now).admissions_per_second

    @property
    def nodes(self) -> int:
        return self.rooms.by_name["checkout"].gate.settings.nodes


def test_a_heartbeat_publishes_one_summary_a_room_however_often_it_is_called() -> None:
    node = Node(needs_bus=False)
    node.beat()
    for later_s in (0.01, 0.05, 0.1):
        node.heartbeat.beat(node.rooms, node.now + later_s)
    [message] = node.published
    assert (message.room, message.node, message.beat) == ("checkout", "near/0", int(node.now / HEARTBEAT_S))
    assert isinstance(message.summary(), Summary)


def test_a_node_that_observes_another_leaves_its_even_part() -> None:
    """Shares then follow the polls and the levels of the buckets; alone, the node keeps to its even part."""
    joined, alone = Node(needs_bus=False), Node(needs_bus=False)
    for _ in range(10):
        joined.beat(of_another_node(joined.now))
        alone.beat()
    assert alone.share == 6.0
    assert joined.share != 6.0


def test_a_node_that_cannot_hear_other_machines_observes_nobody() -> None:
    """Together with its neighbour on this machine it would take the other machines' part of the capacity."""
    node = Node(needs_bus=True)
    for _ in range(30):
        node.beat(of_another_node(node.now))
    assert node.share == 6.0, "the even part of two nodes"


def test_nodes_are_counted_only_after_they_could_be_heard_for_some_seconds() -> None:
    node = Node(needs_bus=True)
    node.heartbeat.set_connected(True)
    names = ("far/0", "far/1")
    beats = int(TTL_S / HEARTBEAT_S)
    for _ in range(beats - 1):
        node.beat(*(of_another_node(node.now, node=name) for name in names))
    assert node.nodes == 2, "as the settings say"
    for _ in range(3):
        node.beat(*(of_another_node(node.now, node=name) for name in names))
    assert node.nodes == 3, "as many as are heard"
    node.heartbeat.set_connected(False)
    for _ in range(2 * beats):
        node.beat()
    assert node.nodes == 3, "a machine that hears nobody keeps to the last count"
    node.heartbeat.set_connected(True)
    for _ in range(beats - 1):
        node.beat()
    assert node.nodes == 3, "silence while nobody could be heard is no absence"
    for _ in range(3):
        node.beat()
    assert node.nodes == 1


def test_a_summary_of_an_unknown_room_is_dropped() -> None:
    node = Node(needs_bus=False)
    node.beat(of_another_node(node.now, room="removed by a reload"))
    node.beat()
    assert [message.room for message in node.published] == ["checkout", "checkout"]
