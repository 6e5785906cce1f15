"""A node's part in the fleet: five times a second it publishes a summary of each room and reads those of the others.

    worker --NodeSummary--> supervisor --> the other workers of this machine
                                  '------> Redis --> the other machines' supervisors --> their workers

The gate decides what a summary says and what follows from it (`controller/fleet/summary.py`). Summaries are soft state:
one that is lost or late makes the line less exact, never wrong, and a node that receives none for `TTL_S` goes on
alone. A node that ends says so, so that the others do not wait for it. A machine that notices that it is cut off goes
on alone at once, before the others take its share; rooms that hold meanwhile stay joined, to go on where they stood.
"""

from collections.abc import Callable, Mapping
from math import inf

from msgspec.structs import replace

from controller import HEARTBEAT_S, TTL_S, Summary
from edge.messages.cluster import NodeSummary
from edge.rooms.table import RoomTable

__all__ = ["HEARTBEAT_S", "Heartbeat"]

#: Summaries of one room that are kept between two heartbeats; far more than a fleet sends in one.
MAX_RECEIVED = 10_000


class Heartbeat:
    """The heartbeat of one node.

    node: this node's name, unique in the fleet. publish(summary): send it to all other nodes.

    needs_bus: the fleet spans several machines. While this machine does not hear the others (`set_connected`), its own
    nodes do not join each other either: together they would take the other machines' part of the capacity.
    """

    def __init__(
        self, node: str, publish: Callable[[NodeSummary], None], *, needs_bus: bool, is_connected: bool = False
    ) -> None:
        self._node = node
        self._publish = publish
        self._needs_bus = needs_bus
        self._is_connected = is_connected
        self._received: dict[str, list[Summary]] = {}
        self._last_beat = 0
        self._heard_at: dict[str, float] = {}
        self._connected_since: float | None = None

    def __repr__(self) -> str:
        bus = "without Redis" if not self._needs_bus else "connected" if self._is_connected else "not connected"
        return f"<Heartbeat of {self._node}, beat {self._last_beat}, {bus}>"

    def set_connected(self, is_connected: bool) -> None:
        """Note whether this machine hears the other machines."""
        self._is_connected = is_connected

    def receive(self, message: NodeSummary) -> None:
        """Keep the summary of another node for the next heartbeat."""
        waiting = self._received.setdefault(message.room, [])
        if len(waiting) < MAX_RECEIVED:
            waiting.append(message.summary())

    def beat(self, rooms: RoomTable, now: float) -> None:
        """Publish own summaries and observe the others', once a heartbeat however often it is called.

        now: wall time, seconds.
        """
        beat = int(now / HEARTBEAT_S)
        if beat == self._last_beat:
            return
        self._last_beat = beat
        received, self._received = self._received, {}
        is_cut_off = self._needs_bus and not self._is_connected
        for room in rooms.rooms:
            own = room.gate.summary(self._node, beat, now)
            self._publish(NodeSummary.of(room.key, own))
            if not is_cut_off:
                room.gate.observe(self._node, [*received.get(room.key, ()), own], now)
            elif room.settings.when_redis_down != "hold":
                room.gate.leave_fleet(now)
        if self._needs_bus:
            self._count_nodes(rooms, received, now, is_cut_off=is_cut_off)

    def end(self, rooms: RoomTable, now: float) -> None:
        """Tell the other nodes that this one ends. now: wall time, seconds."""
        for room in rooms.rooms:
            last = NodeSummary.of(room.key, room.gate.summary(self._node, int(now / HEARTBEAT_S), now))
            self._publish(replace(last, is_last=True))

    def _count_nodes(
        self, rooms: RoomTable, received: Mapping[str, list[Summary]], now: float, *, is_cut_off: bool
    ) -> None:
        """Keep the number of nodes current: a node that is alone hands out an even share of the capacity."""
        if is_cut_off:
            self._connected_since = None
            return
        if self._connected_since is None:
            self._connected_since = now
            # Nobody could be heard until now, so silence meant nothing.
            self._heard_at = dict.fromkeys(self._heard_at, now)
        for summaries in received.values():
            self._heard_at.update((summary.node, -inf if summary.is_last else now) for summary in summaries)
        self._heard_at[self._node] = now
        self._heard_at = {node: at for node, at in self._heard_at.items() if 0 <= now - at < TTL_S}
        if now - self._connected_since >= TTL_S:
            for room in rooms.rooms:
                room.share_among(len(self._heard_at), now)
