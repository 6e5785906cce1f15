"""The clock of a store that lives inside this process: wall time at the start, monotonic time afterwards.

A wall clock can jump (NTP step, operator, resumed virtual machine). A jump would end every hold at once or never, so
the wall clock is read only at the start. If the store has recorded later times than the wall clock shows, the clock
continues from the store's times.
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
