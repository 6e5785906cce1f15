"""A node's part in the fleet: five times a second it tells the others what they should know, and learns what they told.

    worker --summary--> supervisor --> the other workers of this machine
                              '------> Redis --> the other machines' supervisors --> their workers

What a summary says and what follows from it is the gate's business (`controller/fleet/summary.py`); here it only travels. All
of it is soft: news that is lost or late makes the line less exact, never wrong, and whoever hears nothing for some
seconds goes on alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from controller import HEARTBEAT_S, TTL_S, Summary
from edge.rooms.table import RoomTable

__all__ = ["HEARTBEAT_S", "Heartbeat"]

#: News that is kept between two heartbeats; far more than a fleet sends in one.
MAX_NEWS = 10_000


class Heartbeat:
    """node: this node's name, unique in the fleet. send(room, summary): publishes to everybody else.

    needs_bus: the fleet spans machines. is_connected: they can be heard. While they cannot, this machine's nodes do not
    join each other either: together they would take the other machines' part of the capacity for free.
    """

    def __init__(self, node: str, send: Callable[[str, Mapping[str, Any]], None]) -> None:
        self.needs_bus = False
        self.is_connected = False
        self._node = node
        self._send = send
        self._news: dict[str, list[Summary]] = {}
        self._last_beat = 0
        self._heard_at: dict[str, float] = {}
        self._connected_since: float | None = None

    def hear(self, room: str, summary: Mapping[str, Any]) -> None:
        """News of another node, as it was sent."""
        waiting = self._news.setdefault(room, [])
        if len(waiting) < MAX_NEWS:
            waiting.append(parse_summary(summary))

    def beat(self, rooms: RoomTable, now: float) -> None:
        """Publish and learn, once a heartbeat however often it is called. now: wall clock."""
        beat = int(now / HEARTBEAT_S)
        if beat == self._last_beat:
            return
        self._last_beat = beat
        news, self._news = self._news, {}
        is_alone = self.needs_bus and not self.is_connected
        for room in rooms.rooms:
            own = room.gate.summary(self._node, beat, now)
            self._send(room.name, asdict(own))
            if not is_alone:
                room.gate.observe(self._node, [*news.get(room.name, ()), own], now)
        if self.needs_bus:
            self._count_nodes(rooms, news, now, is_alone=is_alone)

    def _count_nodes(self, rooms: RoomTable, news: Mapping[str, list[Summary]], now: float, *, is_alone: bool) -> None:
        """Remember how many nodes there are: alone, this one goes on with its even part of the capacity among them."""
        if is_alone:
            self._connected_since = None
            return
        if self._connected_since is None:
            self._connected_since = now
            self._heard_at = dict.fromkeys(self._heard_at, now)  # silence while nobody could be heard is no absence
        for summaries in news.values():
            self._heard_at.update((summary.node, now) for summary in summaries)
        self._heard_at[self._node] = now
        self._heard_at = {node: at for node, at in self._heard_at.items() if 0 <= now - at < TTL_S}
        if now - self._connected_since >= TTL_S:
            for room in rooms.rooms:
                room.share_among(len(self._heard_at), now)


def parse_summary(sent: Mapping[str, Any]) -> Summary:
    """A summary out of JSON. Raises KeyError, TypeError or ValueError when it is none."""
    return Summary(
        node=str(sent["node"]),
        beat=int(sent["beat"]),
        at=float(sent["at"]),
        polls_per_s=float(sent["polls_per_s"]),
        level=float(sent["level"]),
        rate=float(sent["rate"]),
        waiting=float(sent["waiting"]),
        leases=tuple(
            (float(first_seen), float(due_s), bool(is_first)) for first_seen, due_s, is_first in sent["leases"]
        ),
        gone=tuple(float(first_seen) for first_seen in sent["gone"]),
        profile=tuple(float(first_seen) for first_seen in sent["profile"]),
        integral=float(sent.get("integral", 0.0)),
    )
