"""Writes the record of every room: what the workers say of visitors, and what this process knows of the room.

    events      of the workers, twice a second (`edge/rooms/recorder.py`)
    begin       a supervisor starts to write: version, the room's settings, the nodes
    state       mode, capacity, line, stock and nodes: at each change of what decides admissions, else every 10 s
    audit       what operators did, without their addresses
    refused     requests that lists, limits, the bot score and the checks of tickets refused, every 10 s

The files are written in a thread, because a slow disk must not delay the messages of the workers. If the disk cannot
take them they are dropped and counted, and the edge goes on.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.multiprocess import MultiProcessCollector

from edge.messages.processes import Recorded
from edge.operations.audit import recent
from edge.operations.logs import facts
from edge.record.events import mark_key, place_events
from edge.record.store import Store, batch_frame, note_frame
from edge.rooms.sale_clock import phase_at
from edge.settings.model import Settings
from edge.settings.room import RoomSettings
from edge.support.build import VERSION
from edge.support.tasks import faults_are_logged

__all__ = ["Recording"]

log = logging.getLogger("edge.record")

STEP_S: Final = 1.0
#: Steps between two states that say nothing new.
STATE_STEPS: Final = 10
#: Bytes that wait for the disk at the most.
MOST_WAITING: Final = 16 * 1024 * 1024
#: An event takes so many bytes before it is compressed.
EVENT_BYTES: Final = 21
#: What decides how many are admitted: a change of it is noted at once.
DECISIVE: Final = ("mode", "opens_at", "capacity", "paused", "sold_out", "limit", "nodes", "lanes")
#: Counters of the workers, with the label that says why.
REFUSALS: Final = {
    "stanchion_shield_refusals": "reason",
    "stanchion_ticket_rejections": "reason",
    "stanchion_join_challenges": "result",
    "stanchion_suspected_requests": "reason",
}


@dataclass(frozen=True, slots=True)
class _Unmarked:
    """Events of a worker as they came."""

    base_s: float
    node: int
    noted: Sequence[tuple[int, int, float, float]]


class Recording:
    """Of one supervisor. folder: None keeps no record. machine: this machine's name.

    rooms_status(), workers(): as the API shows them. metrics_folder(): where the workers keep their metrics.
    """

    def __init__(
        self,
        folder: Path | None,
        machine: str,
        rooms_status: Callable[[], Mapping[str, Mapping[str, Any]]],
        workers: Callable[[], Sequence[Mapping[str, Any]]],
        metrics_folder: Callable[[], str],
        registry: CollectorRegistry,
    ) -> None:
        self.folder = folder
        self._machine = machine
        self._rooms_status = rooms_status
        self._workers = workers
        self._metrics_folder = metrics_folder
        self._settings: Settings | None = None
        self._key = b""
        self._store: Store | None = None
        self._writing = threading.Lock()
        """Held by the thread that writes: that of each second, or of a report."""
        self._waiting: dict[str, list[bytes | _Unmarked]] = {}
        self._waiting_bytes = 0
        self._states: dict[str, dict[str, Any]] = {}
        self._refused: dict[tuple[str, str, str], float] = {}
        self._audited_until = time.time()
        self._lost: dict[int, int] = {}
        self._has_failed = False
        self._size = Gauge("stanchion_record_bytes", "Size of the record on this machine.", registry=registry)
        self._dropped = Counter(
            "stanchion_record_dropped",
            "Parts of the record that were dropped, by reason.",
            ["reason"],
            registry=registry,
        )
        for reason in ("disk", "full"):
            self._dropped.labels(reason)

    def __repr__(self) -> str:
        return f"<Recording in {self.folder or 'nothing'}>"

    def use(self, settings: Settings, secret: bytes) -> None:
        """Follow other settings, in which operators' changes are in force from now on.

        secret: the oldest key, because a new one is put in front while visitors wait.
        """
        self._settings, self._key = settings, mark_key(secret)
        if self.folder is not None:
            self._note_states(settings, time.time(), is_due=False)
        if self._store is not None:
            self._store.most_bytes = settings.record.max_bytes

    def receive(self, message: Recorded, node: int) -> None:
        """Take in what happened to visitors at a worker."""
        if self.folder is not None:
            for room, noted in message.rooms.items():
                # Turned into bytes by the thread that writes.
                self._add(room, _Unmarked(message.base, node, noted), EVENT_BYTES * len(noted))
        new = message.lost - self._lost.get(node, 0)
        self._lost[node] = message.lost
        if new > 0:
            self._dropped.labels("full").inc(new)

    async def run(self) -> None:
        """Write what is new once a second until cancelled, and then once more."""
        if self.folder is None:
            return
        step = 0
        try:
            while True:
                await asyncio.sleep(STEP_S)
                with faults_are_logged("noting the state of the rooms for the record"):
                    self._note(time.time(), step)
                await asyncio.to_thread(self._write, self._take())
                step += 1
        finally:
            with faults_are_logged("noting the last state of the rooms for the record"):
                self._note(time.time(), 0)
            self._write(self._take())
            if self._store is not None:
                self._store.close()

    async def flush(self) -> None:
        """Write what waits now, so that a report holds it."""
        await asyncio.to_thread(self._write, self._take())

    def _note(self, now: float, step: int) -> None:
        """Note what this process knows."""
        assert self._settings is not None
        names = [room.name for room in self._settings.rooms]
        self._note_states(self._settings, now, is_due=step % STATE_STEPS == 0)
        self._note_audit(names)
        if step % STATE_STEPS == 0:
            self._note_refusals(names, now)

    def _note_states(self, settings: Settings, now: float, *, is_due: bool) -> None:
        fleet, figures = [_node(worker) for worker in self._workers()], self._rooms_status()
        for room in settings.rooms:
            self._note_state(room, figures[room.name], now, fleet, is_due=is_due)

    def _note_state(
        self, room: RoomSettings, figures: Mapping[str, Any], now: float, fleet: Sequence[list[Any]], *, is_due: bool
    ) -> None:
        name, phase = room.name, phase_at(room, now)
        before = self._states.get(name)
        state = {
            "mode": figures["mode"],
            "capacity": round(figures["admissions_per_second"], 4),
            "burst_s": room.capacity.burst_seconds,
            "limit": room.capacity.total_active_users,
            "paused": figures["paused"],
            "opens_at": phase.until if phase.name == "prequeue" else None,
            "sold_out": figures["sold_out"],
            "waiting": round(figures["waiting"]),
            "active": figures["active"],
            "stock": figures["stock"],
            "factor": 1.0 if figures["adaptive"] is None else round(figures["adaptive"]["factor"], 3),
            "shadow": figures["shadow"],
            "lanes": [[each["lane"], each["share"]] for each in figures["lanes"]],
            "nodes": fleet,
            "joined": [
                [each["node"], round(each["waiting"]), round(each["admissions_per_second"], 3)]
                for each in figures["nodes"]
            ],
        }
        if before is None:
            assert self._settings is not None
            polling = room.polling
            about = {"version": VERSION, "machine": self._machine, "machines": self._settings.cluster.machines}
            about |= {"poll_min_s": polling.min_seconds, "poll_max_s": polling.max_seconds}
            self._add(name, note_frame(now, "begin", {**about, "adaptive": room.capacity.adaptive.enabled}))
        if before is None or is_due or any(state[key] != before[key] for key in DECISIVE):
            self._states[name] = state
            self._add(name, note_frame(now, "state", state))

    def _note_audit(self, rooms: Sequence[str]) -> None:
        fresh = [entry for entry in recent() if entry["time"] > self._audited_until]
        for entry in fresh:
            self._audited_until = entry["time"]
            # An actor is "ADDRESS, NAME" or "signal HUP".
            actor = entry["actor"].rpartition(", ")[2]
            values = {key: entry[key] for key in ("action", "before", "after", "result")}
            for room in rooms:
                if entry["room"] in (None, room):
                    self._add(room, note_frame(entry["time"], "audit", {"actor": actor, **values}))

    def _note_refusals(self, rooms: Sequence[str], now: float) -> None:
        counts: dict[str, dict[str, float]] = {}
        for (name, room, why), total in _refusals(self._metrics_folder()).items():
            new = total - self._refused.get((name, room, why), 0.0)
            self._refused[name, room, why] = total
            if new > 0:
                for each in [room] if room else rooms:
                    counts.setdefault(each, {})[f"{name.removeprefix('stanchion_')}.{why}"] = new
        for room, by_reason in counts.items():
            if room in rooms:
                self._add(room, note_frame(now, "refused", by_reason))

    def _add(self, room: str, part: "bytes | _Unmarked", size: int | None = None) -> None:
        if self.folder is None:
            return
        size = len(part) if isinstance(part, bytes) else size or 0
        if self._waiting_bytes + size > MOST_WAITING:
            self._dropped.labels("disk").inc()
            return
        self._waiting_bytes += size
        self._waiting.setdefault(room, []).append(part)

    def _take(self) -> dict[str, list["bytes | _Unmarked"]]:
        waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        return waiting

    def _frame(self, part: "bytes | _Unmarked") -> bytes:
        if isinstance(part, bytes):
            return part
        return batch_frame(part.base_s, part.node, place_events(part.noted, part.base_s, self._key))

    def _write(self, waiting: "Mapping[str, Sequence[bytes | _Unmarked]]") -> None:
        if self.folder is None or not waiting:
            return
        try:
            with self._writing:
                if self._store is None:
                    assert self._settings is not None
                    self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._store = Store(self.folder, self._machine, self._settings.record.max_bytes)
                for room, parts in waiting.items():
                    self._store.append(room, [self._frame(part) for part in parts])
                self._size.set(self._store.size)
            self._has_failed = False
        except OSError as fault:
            self._dropped.labels("disk").inc()
            if not self._has_failed:
                self._has_failed = True
                log.warning("the record cannot be written: %s", fault, extra=facts(folder=str(self.folder)))


def _node(worker: Mapping[str, Any]) -> list[Any]:
    """Return what a state notes of a worker: its number, whether it serves, and how often it was restarted."""
    return [worker["node"], worker["ready"], worker["restarts"]]


def _refusals(metrics_folder: str) -> dict[tuple[str, str, str], float]:
    """Return the totals of all workers by metric, room ('' if it is of no room) and reason."""
    found: dict[tuple[str, str, str], float] = {}
    if not metrics_folder:
        return found
    collector = MultiProcessCollector(CollectorRegistry(), path=metrics_folder)  # type: ignore[no-untyped-call]
    for metric in collector.collect():  # type: ignore[no-untyped-call]
        label = REFUSALS.get(metric.name)
        if label is not None:
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    found[metric.name, sample.labels.get("room", ""), sample.labels[label]] = sample.value
    return found
