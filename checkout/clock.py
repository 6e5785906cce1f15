"""The store's clock of an engine that lives inside this process: wall time once, monotonic time from then on.

A wall clock that jumps (NTP step, operator, virtual machine resumed) would end every hold at once or never,
so it is read at the start only. A store that has seen later times than the wall clock shows goes on from
those.
"""

import time
from collections.abc import Callable

ClockMs = Callable[[], int]


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class AnchoredClock:
    """Milliseconds since 1970 that never jump and never run backwards."""

    def __init__(self, start_ms: int | None = None) -> None:
        self._start_ms = wall_ms() if start_ms is None else start_ms
        self._zero_ns = time.monotonic_ns()

    def __call__(self) -> int:
        return self._start_ms + (time.monotonic_ns() - self._zero_ns) // 1_000_000
