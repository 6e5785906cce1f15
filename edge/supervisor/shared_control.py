"""A change that an operator makes at one machine: in force on all machines, and kept over restarts.

    a change --> kept in the state folder --> in force: the workers are configured again --> published
                                                 ^
    what another machine publishes --------------'           everything again every PUBLISH_S

Of two changes of one thing the later one counts, so machines that were apart agree when they meet. Without Redis a
change is in force on this machine alone.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from edge.supervisor.state_folder import StateFolder
from edge.support.errors import ClientError

__all__ = ["FUTURE_S", "ChangedMeanwhile", "SharedControl", "later_than"]

#: Seconds between two messages with everything to the other machines.
PUBLISH_S = 2.0
#: Seconds between two checks whether the state in force has changed by itself.
LOOK_S = 0.2
#: A change with a time further in the future than this, in seconds, is ignored: the clock of its machine is wrong.
FUTURE_S = 300.0


class ChangedMeanwhile(ClientError):
    """Another operator made a change since the version that this one is based on."""

    status = 412


class SharedControl(ABC):
    """apply(): configure the workers again. file: the name of what is kept."""

    def __init__(self, apply: Callable[[], None], folder: StateFolder, file: str) -> None:
        self._configure = apply
        self._folder = folder
        self._file = file
        self._applied: Any = None
        """What the workers were told."""

    @abstractmethod
    def _in_force(self, now: float) -> Any:
        """Return what the workers depend on at this moment, to be compared."""

    @abstractmethod
    def _content(self) -> dict[str, Any]:
        """Return what is kept, as JSON values."""

    @abstractmethod
    def _publish(self) -> None:
        """Tell all other machines everything."""

    def _turned(self, now: float) -> None:  # noqa: B027 - most have nothing to say
        """Called when what is in force has changed by itself, before it is applied."""

    async def run(self) -> None:
        """Follow what begins and ends in time, and keep other machines informed, until cancelled."""
        published_at = 0.0
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.time()
            if self._in_force(now) != self._applied:
                self._turned(now)
                self._apply()
            if time.monotonic() - published_at >= PUBLISH_S:
                published_at = time.monotonic()
                self._publish()

    def _said(self) -> None:
        """Follow a change that was made at this machine."""
        self._heard()
        self._publish()

    def _heard(self) -> None:
        """Follow a change that was made anywhere."""
        self._keep()
        self._apply()

    def _apply(self) -> None:
        self._applied = self._in_force(time.time())
        self._configure()

    def _keep(self) -> None:
        self._folder.write(self._file, self._content(), durably=True)


def later_than(before: float | None) -> float:
    """Return the time of a change: now, and later than the one before, also if the clock was set back meanwhile."""
    return time.time() if before is None else max(time.time(), before + 1e-6)
