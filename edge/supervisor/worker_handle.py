"""A worker's place under the supervisor: what outlives the processes that sit in it, one after the other.

Its sockets, so that nobody in a backlog is refused when a worker dies; its last report, which is what a successor goes
on from and what operators are shown; how often it had to be filled again.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.messages.channel import Channel, Message

__all__ = ["QUICK_GRACE_S", "WorkerHandle"]

#: What an INT leaves streams to finish.
QUICK_GRACE_S = 1.0
#: Nobody is in a hurry while workers are replaced: idle connections get that long to send what is on its way.
ROLL_LAST_WORD_S = 4.0


@dataclass
class WorkerHandle:
    index: int
    sockets: list[socket.socket]
    pid: int | None = None
    channel: Channel | None = None
    is_ready: bool = False
    is_rolled: bool = False
    """Told to end so that a fresh worker takes its place."""
    serves: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)
    restarts: int = 0
    report: dict[str, Any] = field(default_factory=dict)
    """Each room's state by its name, and under '' the rooms' checkpoints."""
    reported_at: float = 0.0

    async def fill(self, board: int, workers: int, metrics_folder: str) -> asyncio.subprocess.Process:
        """Start a worker here. board: its descriptor. Raises OSError when there is no memory, process or descriptor."""
        ours, theirs = socket.socketpair()
        try:
            descriptors = [theirs.fileno(), board, *(listening.fileno() for listening in self.sockets)]
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge.worker.worker",
                "--index", str(self.index), "--workers", str(workers),
                "--control", str(theirs.fileno()), "--board", str(board),
                "--listen", *(str(listening.fileno()) for listening in self.sockets),
                pass_fds=descriptors, env=_environment(metrics_folder),
                start_new_session=True,  # what a terminal or `kill -- -PID` says to all is for the supervisor to hear
            )  # fmt: skip
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid, self.channel = process.pid, await Channel.over(ours)
        self.has_ended.clear()
        return process

    def empty(self) -> None:
        """The worker has ended."""
        self.serves.clear()
        self.has_ended.set()
        self.is_ready, self.pid = False, None
        if self.channel is not None:
            self.channel.close()

    def send(self, kind: str, **content: object) -> None:
        """Tell the worker; nobody hears it when none sits here."""
        if self.channel is not None:
            self.channel.send(kind, **content)

    def end(self, *, quick: bool) -> None:
        """Tell the worker to finish what is under way. quick: within QUICK_GRACE_S; may be said later, too."""
        self.send(
            "drain",
            grace_s=QUICK_GRACE_S if quick else None,
            last_word_s=ROLL_LAST_WORD_S if self.is_rolled else None,
        )

    def hear_report(self, message: Message) -> None:
        """Rooms in which nothing happens are not in every report: what was last said of them holds."""
        checkpoints = self.report.get("", {}) | message["checkpoints"]
        self.report |= {**message["rooms"], "": checkpoints}
        self.reported_at = time.time()

    def checkpoints(self, rooms: Iterable[str], now: float) -> dict[str, dict[str, float]]:
        """What a worker here resumes from. A bucket that filled while nobody sat here would be a second burst."""
        reported = self.report.get("", {})
        return {
            room: {"open": 1.0, **reported.get(room, {}), "level": 0.0, "at": now}
            for room in rooms
            if self.restarts or room in reported
        }

    def status(self, now: float) -> dict[str, Any]:
        return {
            "node": self.index,
            "pid": self.pid,
            "ready": self.is_ready,
            "restarts": self.restarts,
            "report_age_seconds": round(now - self.reported_at, 2) if self.reported_at else None,
        }


def _environment(metrics_folder: str) -> dict[str, str]:
    """The worker runs the very code of its supervisor, wherever that was imported from."""
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PROMETHEUS_MULTIPROC_DIR": metrics_folder}
