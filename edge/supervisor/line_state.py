"""What the line of a machine needs to go on in order after a crash of every process: the state folder's file `line`.

    reports of the workers --> checkpoints of each room and worker --once a second--> the file
    start: a file that is at most MOST_AGE_S old --> the gates wait until the visitors next to the front are back, and
                                                     go on from the threshold (`controller/standstill.py`)

The line itself is in the visitors' cookies. Without the file an edge that was killed knows no front, and would admit
visitors in the order in which they come back. The file holds a few numbers for each room and worker, and no personal
data.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from edge.supervisor.state_folder import StateFolder
from edge.supervisor.worker_handle import WorkerHandle

__all__ = ["MOST_AGE_S", "LineState"]

SAVE_S: Final = 1.0
MOST_AGE_S: Final = 300.0
NAME: Final = "line"


class LineState:
    """Of one supervisor and its workers. rooms(): the names of all rooms."""

    def __init__(
        self, folder: StateFolder, handles: Sequence[WorkerHandle], rooms: Callable[[], Sequence[str]]
    ) -> None:
        self._folder = folder
        self._handles = handles
        self._rooms = rooms

    def __repr__(self) -> str:
        return f"<LineState in {self._folder!r}>"

    def resume(self, now: float) -> None:
        """Let the workers go on from the file, unless it is too old or makes no sense. now: wall clock, seconds."""
        kept = self._folder.read(NAME) or {}
        at, rooms = kept.get("at"), kept.get("rooms")
        if not isinstance(at, float) or not -SAVE_S <= now - at <= MOST_AGE_S or not isinstance(rooms, dict):
            return
        for room, gates in rooms.items():
            checkpoints = [numbers for each in gates if (numbers := _numbers(each))] if isinstance(gates, list) else []
            for handle in self._handles if checkpoints else ():
                handle.kept[room] = checkpoints[handle.index % len(checkpoints)]

    def write(self, now: float) -> None:
        """Write the file once."""
        rooms: dict[str, list[dict[str, float]]] = {}
        for name in self._rooms():
            rooms[name] = [known for handle in self._handles if (known := handle.known(name)) is not None]
        self._folder.write(NAME, {"at": now, "rooms": rooms})

    async def run(self) -> None:
        """Write the file once a second until cancelled."""
        while True:
            await asyncio.sleep(SAVE_S)
            await asyncio.to_thread(self.write, time.time())


def _numbers(kept: object) -> dict[str, float]:
    """Return a checkpoint as it was kept, or {} if it is none."""
    if not isinstance(kept, Mapping):
        return {}
    return {str(name): value for name, value in kept.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and isfinite(value)
