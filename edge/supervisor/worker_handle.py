"""The supervisor's side of one worker: what outlives the processes that serve there, one after the other.

Its sockets, so that a visitor in the backlog is not refused when a worker dies; its last report, from which the next
process resumes and which operators see; what the state folder had of it; how often it was restarted.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.messages.channel import Channel, supervisor_end
from edge.messages.processes import Drain, Report, RoomReport, ToSupervisor, ToWorker
from edge.support.errors import InternalError

__all__ = ["QUICK_GRACE_S", "WorkerHandle"]

#: Seconds that a quick stop (INT) leaves requests to finish.
QUICK_GRACE_S = 1.0
#: Seconds in which idle connections may send what is on its way while workers are replaced, which is not urgent.
REPLACE_LAST_WORD_S = 4.0


@dataclass
class WorkerHandle:
    index: int
    sockets: list[socket.socket]
    plugin_sockets: list[socket.socket] = field(default_factory=list)
    pid: int | None = None
    is_ready: bool = False
    is_replaced: bool = False
    """The worker was told to end so that a fresh one takes its place."""
    serves: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)
    restarts: int = 0
    reports: dict[str, RoomReport] = field(default_factory=dict)
    """The last report of each room, by its name."""
    kept: dict[str, dict[str, float]] = field(default_factory=dict)
    """Checkpoints of each room from before this supervisor started (`edge/supervisor/line_state.py`)."""
    reported_at: float = 0.0
    _channel: Channel[ToSupervisor, ToWorker] | None = None

    def __repr__(self) -> str:
        state = "ready" if self.is_ready else "ended" if self.pid is None else "starting"
        return f"<WorkerHandle {self.index} {state}, pid {self.pid}, {self.restarts} restarts>"

    @property
    def all_sockets(self) -> list[socket.socket]:
        """The sockets of visitors and those of load balancers."""
        return [*self.sockets, *self.plugin_sockets]

    async def start(self, counters: int, workers: int, metrics_folder: str) -> asyncio.subprocess.Process:
        """Start a worker. counters: the descriptor of the shared counters.

        Raises OSError if the system has no memory, process or descriptor left.
        """
        ours, theirs = socket.socketpair()
        try:
            descriptors = [theirs.fileno(), counters, *(each.fileno() for each in self.all_sockets)]
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge.worker",
                "--index", str(self.index), "--workers", str(workers),
                "--channel", str(theirs.fileno()), "--counters", str(counters),
                "--listen", *(str(listening.fileno()) for listening in self.sockets),
                "--plugin-listen", *(str(listening.fileno()) for listening in self.plugin_sockets),
                pass_fds=descriptors, env=_environment(metrics_folder),
                # Only the supervisor gets the signals that a terminal or `kill -- -PID` sends to the whole group.
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid, self._channel = process.pid, await supervisor_end(ours)
        self.has_ended.clear()
        return process

    def messages(self) -> AsyncIterator[ToSupervisor]:
        """Return the messages of the worker that was started, until it is gone."""
        if self._channel is None:
            raise InternalError(f"no worker was started: {self!r}")
        return self._channel.messages()

    def note_ready(self) -> None:
        """The worker serves by the newest settings."""
        self.is_ready = True
        self.serves.set()

    def note_ended(self) -> None:
        """The worker has ended."""
        self.serves.clear()
        self.has_ended.set()
        self.is_ready, self.pid = False, None
        if self._channel is not None:
            self._channel.close()

    def send(self, message: ToWorker) -> None:
        """Send a message to the worker. If there is none, drop it."""
        if self._channel is not None:
            self._channel.send(message)

    def replace(self, *, quick: bool) -> None:
        """Tell the worker to end so that a fresh one takes its place."""
        self.is_replaced = True
        self.drain(quick=quick)

    def drain(self, *, quick: bool) -> None:
        """Tell the worker to finish what is under way. quick: within QUICK_GRACE_S; can follow a slow one."""
        self.send(
            Drain(
                grace_s=QUICK_GRACE_S if quick else None,
                last_word_s=REPLACE_LAST_WORD_S if self.is_replaced else None,
            )
        )

    def receive_report(self, report: Report) -> None:
        """Keep a report. A quiet room is not in every report: its last one stays."""
        self.reports |= report.rooms
        self.reported_at = time.time()

    def known(self, room: str) -> dict[str, float] | None:
        """Return the last checkpoint of a room, from before this supervisor started if there is none since."""
        report = self.reports.get(room)
        return self.kept.get(room) if report is None else report.checkpoint

    def checkpoints(self, rooms: Iterable[str], now: float) -> dict[str, dict[str, float]]:
        """Return what a worker resumes from, by room.

        The bucket is empty: one that had filled while no worker served would be a second burst.
        """
        found = {}
        for room in rooms:
            report = self.reports.get(room)
            if report is None and room in self.kept:
                found[room] = {**self.kept[room], "level": 0.0, "at": now, "returning": 1.0}
            elif self.restarts or report is not None:
                checkpoint = {} if report is None else report.checkpoint
                found[room] = {"open": 1.0, **checkpoint, "level": 0.0, "at": now}
        return found

    def status(self, now: float) -> dict[str, Any]:
        """Return the process's state for operators, as JSON values."""
        return {
            "node": self.index,
            "pid": self.pid,
            "ready": self.is_ready,
            "restarts": self.restarts,
            "report_age_seconds": round(now - self.reported_at, 2) if self.reported_at else None,
        }


def _environment(metrics_folder: str) -> dict[str, str]:
    """Return the environment of a worker: it runs the code of its supervisor, wherever that was imported from."""
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PROMETHEUS_MULTIPROC_DIR": metrics_folder}
