"""A worker's report to the supervisor, twice a second, and the gauges of its rooms.

A report holds, of each room that is due, what the status shows and a checkpoint. A worker that replaces a killed one
resumes from the last checkpoint.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import get_args

from controller import FairnessSnapshot, GateSnapshot
from edge.messages.processes import Recorded, Report, RoomReport, UpstreamSample
from edge.operations.metrics import Metrics
from edge.rooms.room import Room
from edge.rooms.sale_clock import PhaseName
from edge.rooms.upstream_health import UpstreamHealth
from edge.settings.lanes import GENERAL
from edge.settings.room import RoomMode
from edge.worker.schedule import due_at

__all__ = ["Reporter"]

#: What a room may depend on (`edge/rooms/dependencies.py`).
DEPENDENCIES = ("operator", "redis", "stock", "upstream")
MODES: tuple[str, ...] = get_args(RoomMode)
PHASES: tuple[str, ...] = get_args(PhaseName)


class Reporter:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._reports = 0

    def start_over(self) -> None:
        """Put all rooms into the next report."""
        self._reports = 0

    def report(self, rooms: Sequence[Room], now: float, *, upstream_is_down: bool) -> Report:
        """Return the report of the rooms that are due, and set the gauges. now: wall time, seconds."""
        found = due_at(rooms, self._reports) if self._reports else rooms
        due = dict.fromkeys([each for room in found for each in room.family])
        self._reports += 1
        loop_time = time.monotonic()
        return Report(
            rooms={room.key: self._room(room, now) for room in due},
            upstream_is_down=upstream_is_down,
            # For rooms with adaptive capacity.
            upstream={
                room.name: _sample(room.health, loop_time)
                for room in rooms
                if room.health is not None and not room.lane
            },
        )

    def recorded(self, rooms: Sequence[Room], now: float, *, is_last: bool = False) -> Recorded | None:
        """Return what happened to visitors since the last call; None if nothing did. is_last: the node ends."""
        recorders = {room.name: room.recorder for room in rooms if room.recorder is not None}
        events = {name: recorder.take(now, is_last=is_last) for name, recorder in recorders.items()}
        lost = sum(recorder.lost for recorder in recorders.values())
        known = {name: each for name, each in events.items() if each}
        return Recorded(now, known, lost) if known else None

    def _room(self, room: Room, now: float) -> RoomReport:
        active = room.vacancies.active(now)
        gate, fairness = room.gate.snapshot(now), room.fairness.snapshot()
        missing = (*room.missing, "upstream") if "upstream" in room.reasons() else room.missing
        if room.lanes is not None:
            self._metrics.lane_waiting.labels(room.name, room.lane or GENERAL).set(gate.waiting)
            self._metrics.lane_capacity.labels(room.name, room.lane or GENERAL).set(gate.admissions_per_second)
        if not room.lane:
            shown = gate if room.lanes is None else _all_lanes([each.gate.snapshot(now) for each in room.family])
            self._set_gauges(room, shown, fairness, missing, active, now)
        return RoomReport(
            gate=asdict(gate),
            fairness=asdict(fairness),
            active=active,
            stock=room.stock.free,
            held=room.stock.held,
            sold_out=room.stock.is_sold_out,
            missing=missing,
            paused=room.paused,
            checkpoint=room.gate.checkpoint(now),
            shadow=None if room.shadow is None else asdict(room.shadow.figures(now)),
        )

    def _set_gauges(
        self,
        room: Room,
        gate: GateSnapshot,
        fairness: FairnessSnapshot,
        missing: tuple[str, ...],
        active: int,
        now: float,
    ) -> None:
        metrics = self._metrics
        metrics.waiting.labels(room.name).set(gate.waiting)
        metrics.active.labels(room.name).set(active)
        metrics.capacity.labels(room.name).set(gate.admissions_per_second)
        metrics.bucket_level.labels(room.name).set(gate.bucket_level)
        metrics.parked_polls.labels(room.name).set(sum([each.door.parked_count for each in room.family]))
        metrics.lag.labels(room.name).set(gate.lag_s)
        metrics.overtaken.labels(room.name).set(fairness.kendall)
        metrics.overtaken_seconds.labels(room.name).set(fairness.overtaken_max_s)
        for mode in MODES:
            metrics.mode.labels(room.name, mode).set(mode == room.settings.mode)
        now_in = "outside" if room.sale is None else room.sale.phase.name
        for phase in PHASES:
            metrics.sale_phase.labels(room.name, phase).set(phase == now_in)
        metrics.shadow_waiting.labels(room.name).set(0.0 if room.shadow is None else room.shadow.figures(now).waiting)
        metrics.sold_out.labels(room.name).set(room.stock.is_sold_out)
        for name in DEPENDENCIES:
            metrics.missing.labels(room.name, name).set(name in missing)


def _all_lanes(gates: Sequence[GateSnapshot]) -> GateSnapshot:
    """Return the figures of a whole room that has lanes. gates: the general lane's first."""
    return replace(
        gates[0],
        waiting=sum([gate.waiting for gate in gates]),
        admissions_per_second=sum([gate.admissions_per_second for gate in gates]),
        bucket_level=sum([gate.bucket_level for gate in gates]),
        lag_s=max([gate.lag_s for gate in gates]),
    )


def _sample(health: UpstreamHealth, now: float) -> UpstreamSample:
    answered = health.take(now)
    return UpstreamSample(answered.count, answered.slowness, answered.failed)
