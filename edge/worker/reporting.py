"""What a worker tells the supervisor of its rooms, twice a second, and counts in their metrics.

A report has what the status page shows of each room whose turn it is, and a checkpoint, from which a worker that takes
the seat of a killed one goes on.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, astuple
from typing import Any

from edge.messages.channel import Channel
from edge.operations.metrics import Metrics
from edge.rooms.room import Room
from edge.worker.schedule import due_at

__all__ = ["Reporter"]


class Reporter:
    def __init__(self, metrics: Metrics, channel: Channel) -> None:
        self._metrics = metrics
        self._channel = channel
        self._reports = 0

    def start_over(self) -> None:
        """The next report tells of all rooms."""
        self._reports = 0

    def report(self, rooms: Sequence[Room], now: float, *, upstream_is_down: bool) -> None:
        """now: wall clock, seconds."""
        told: dict[str, Any] = {}
        checkpoints: dict[str, Any] = {}
        for room in due_at(rooms, self._reports) if self._reports else rooms:
            seen = room.gate.snapshot(now)
            room.occupancy.advance(now)
            self._metrics.waiting.labels(room.name).set(seen.waiting)
            self._metrics.active.labels(room.name).set(room.occupancy.total)
            self._metrics.capacity.labels(room.name).set(seen.admissions_per_second)
            self._metrics.bucket_level.labels(room.name).set(seen.bucket_level)
            self._metrics.parked_polls.labels(room.name).set(room.door.parked_count)
            self._metrics.lag.labels(room.name).set(seen.lag_s)
            fairness = room.fairness.snapshot()
            self._metrics.overtaken.labels(room.name).set(fairness.kendall)
            self._metrics.overtaken_seconds.labels(room.name).set(fairness.overtaken_max_s)
            told[room.name] = {
                **asdict(seen),
                "fairness": asdict(fairness),
                "active": room.occupancy.total,
                "stock": room.stock.free,
                "held": room.stock.held,
                "sold_out": room.stock.is_sold_out,
                "missing": self._missing(room, upstream_is_down),
            }
            checkpoints[room.name] = room.gate.checkpoint(now)
        self._reports += 1
        # How the upstream does is for rooms whose capacity follows it.
        moment = time.monotonic()
        answered = {room.name: astuple(room.health.take(moment)) for room in rooms if room.health is not None}
        upstream = {"down": upstream_is_down, "rooms": answered}
        self._channel.send("report", rooms=told, checkpoints=checkpoints, upstream=upstream)

    def _missing(self, room: Room, upstream_is_down: bool) -> list[str]:
        """What keeps a room shut, counted as well."""
        is_down = room.holds_when_down and upstream_is_down
        missing = [*room.missing, *(["upstream"] if is_down else [])]
        for name in ("redis", "stock", "upstream"):
            self._metrics.missing.labels(room.name, name).set(name in missing)
        return missing
