"""What every room did in the last three hours, for the plots of the dashboard. In memory, of this machine.

    window      step     samples
    5 min       1 s      300
    30 min     10 s      180
    180 min    60 s      180

A coarser sample is the mean of the finer ones that it covers, and of a key that was unknown (null) in some of them, the
mean of the others. A room takes about 60 kB.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from edge.support.errors import ClientError

__all__ = ["KEYS", "WINDOWS", "History"]

#: What is kept of a room's figures.
KEYS = (
    *("waiting", "admitted_per_s", "admissions_per_second", "arrivals_per_s", "polls_per_s"),
    *("lag_s", "eta_last_s", "active", "stock"),
)
#: Minutes -> seconds of one sample.
WINDOWS = {5: 1, 30: 10, 180: 60}
STEP_S = 1.0

Sample = tuple[float | None, ...]


class History:
    """rooms(): the figures of every room now, by name."""

    def __init__(self, rooms: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        self._rooms = rooms
        self._of: dict[str, dict[int, deque[Sample]]] = {}
        self._steps = 0

    def __repr__(self) -> str:
        return f"<History of {len(self._of)} rooms, {self._steps} steps>"

    async def run(self) -> None:
        """Take a sample of every room each second until cancelled."""
        while True:
            await asyncio.sleep(STEP_S - time.time() % STEP_S)
            self.step()

    def step(self) -> None:
        """Take one sample of every room."""
        now = self._rooms()
        for gone in self._of.keys() - now.keys():
            del self._of[gone]
        self._steps += 1
        for name, figures in now.items():
            kept = self._of.setdefault(
                name, {minutes: deque(maxlen=minutes * 60 // step) for minutes, step in WINDOWS.items()}
            )
            finest = kept[5]
            finest.append(tuple(figures[key] for key in KEYS))
            for minutes, step in WINDOWS.items():
                if minutes != 5 and self._steps % step == 0:
                    kept[minutes].append(_mean(list(finest)[-step:]))

    def series(self, room: str, minutes: int) -> dict[str, Any]:
        """Return the samples of one window, oldest first, as JSON values. Raises ClientError for another window."""
        if minutes not in WINDOWS:
            raise ClientError(f"minutes: must be one of {', '.join(map(str, WINDOWS))}, got {minutes}")
        samples = self._of.get(room, {}).get(minutes, ())
        series = {key: [_rounded(sample[at]) for sample in samples] for at, key in enumerate(KEYS)}
        return {"minutes": minutes, "step_seconds": WINDOWS[minutes], "series": series}

    def recent_mean(self, room: str, key: str, seconds: int) -> float | None:
        """Return the mean of a figure over the last seconds; None if it is unknown or samples are few."""
        samples = self._of.get(room, {}).get(5)
        if samples is None or len(samples) < seconds:
            return None
        return _mean(list(samples)[-seconds:])[KEYS.index(key)]


def _mean(samples: list[Sample]) -> Sample:
    means: list[float | None] = []
    for values in zip(*samples, strict=True):
        known = [value for value in values if value is not None]
        means.append(sum(known) / len(known) if known else None)
    return tuple(means)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
