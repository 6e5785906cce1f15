"""What a supervisor notes in the records of several rooms, each of which is a file of its own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from edge.messages.processes import Recorded
from edge.operations.audit import audit
from edge.record.events import ARRIVED
from edge.record.store import Batch, Note, read_segment, rooms_in, segments_of
from edge.settings.loading import parse_settings
from edge.supervisor.recording import Recording
from tests.edge.running import wait_until

SETTINGS = parse_settings(
    "secret_keys_env: K\nupstream: {url: 'http://127.0.0.1:9'}\nrooms:\n"
    "- {name: lists, match: {paths: ['/a']}, capacity: {admissions_per_second: 5}}\n"
    "- {name: checkout, match: {paths: ['/b']}, capacity: {admissions_per_second: 5}}\n"
)
FIGURES: dict[str, Any] = {
    "mode": "open", "admissions_per_second": 5.0, "paused": [], "sold_out": False, "waiting": 0.0, "active": 0,
    "stock": None, "adaptive": None, "shadow": None, "lanes": [], "nodes": [],
}  # fmt: skip


@contextlib.asynccontextmanager
async def recording_in(folder: Path) -> AsyncIterator[Recording]:
    figures = {room.name: FIGURES for room in SETTINGS.rooms}
    recording = Recording(folder, "machine", lambda: figures, list, str, CollectorRegistry())
    recording.use(SETTINGS, b"a secret")
    running = asyncio.ensure_future(recording.run())
    try:
        yield recording
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def frames(folder: Path, room: str) -> list[Batch | Note]:
    return [frame for path in segments_of(folder, room) for frame in read_segment(path)]


def actions(folder: Path, room: str) -> list[str]:
    found = frames(folder, room)
    return [frame.values["action"] for frame in found if isinstance(frame, Note) and frame.kind == "audit"]


async def test_a_change_stands_in_the_record_of_its_room_and_one_of_the_edge_in_all(tmp_path: Path) -> None:
    async with recording_in(tmp_path):
        audit("127.0.0.1, ann", "add sale drop to checkout", "done", room="checkout")
        audit("127.0.0.1, ann", "PATCH /v1/rooms/..", "refused: no such room", room="..")
        audit("127.0.0.1, ann", "change lists", "done")

        async def is_noted() -> bool:
            return "change lists" in actions(tmp_path, "checkout") and "change lists" in actions(tmp_path, "lists")

        await wait_until(is_noted, "the last change is noted")
    assert actions(tmp_path, "checkout") == ["add sale drop to checkout", "change lists"]
    assert actions(tmp_path, "lists") == ["change lists"]
    assert rooms_in(tmp_path) == ["checkout", "lists"]
    assert not list(tmp_path.parent.glob("*.rec"))


async def test_reports_at_the_same_moment_write_every_event_once(tmp_path: Path) -> None:
    """Each report writes what waits, in a thread of its own."""
    async with recording_in(tmp_path) as recording:
        for number in range(200):
            now = time.time()
            recording.receive(Recorded(now, {"checkout": [(ARRIVED, number << 30, now, 0.0)]}, 0), node=0)
            if number % 10 == 9:
                await asyncio.gather(*(recording.flush() for _ in range(3)))
    batches = [frame for frame in frames(tmp_path, "checkout") if isinstance(frame, Batch)]
    assert len({batch.content for batch in batches}) == len(batches) == 200
