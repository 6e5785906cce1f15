"""A progress bar over all runs. It is drawn on a terminal; elsewhere a line comes every ten seconds.

[##########----------]  52 %  flash, bucket, run 2 of 3; about 14 s left
"""

from collections.abc import Callable
from typing import TextIO

__all__ = ["Progress"]

WIDTH = 24
REDRAW_S = 0.1
#: Seconds between two lines where there is no terminal.
LINE_S = 10.0


class Progress:
    """Counts runs. clock: monotonic seconds."""

    def __init__(self, stream: TextIO, runs: int, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._runs = max(1, runs)
        self._clock = clock
        self._is_shown = stream.isatty()
        self._started_s = clock()
        self._drawn_s = float("-inf") if self._is_shown else self._started_s
        self._done = 0
        self._label = ""

    def begin(self, label: str) -> None:
        """Begin the next run."""
        self._label = label
        self._draw(0.0)

    def at(self, part: float) -> None:
        """Show that this part of the run is done, 0..1."""
        if self._clock() - self._drawn_s >= (REDRAW_S if self._is_shown else LINE_S):
            self._draw(min(max(part, 0.0), 1.0))

    def end(self) -> None:
        """End this run."""
        self._done += 1

    def clear(self) -> None:
        """Erase the bar."""
        if self._is_shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _draw(self, part: float) -> None:
        now = self._clock()
        if not self._is_shown and now - self._drawn_s < LINE_S:
            return
        self._drawn_s = now
        share = (self._done + part) / self._runs
        full = int(share * WIDTH)
        left = f"; about {(now - self._started_s) * (1.0 - share) / share:.0f} s left" if share > 0.03 else ""
        bar = "#" * full + "-" * (WIDTH - full)
        text = f"{share:4.0%}  {self._label}{left}"
        self._stream.write(f"\r\x1b[K[{bar}] {text}" if self._is_shown else f"{text.strip()}\n")
        self._stream.flush()
