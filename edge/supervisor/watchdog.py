"""Finds workers that hang: the process lives, but its event loop has stopped, so its visitors get no answer.

    hangs = now - last report > patience_s        a worker reports every 0.5 s; gunicorn's time limit is 30 s

If the watchdog itself is late, the whole machine stood still (a virtual machine that was moved, a laptop that slept).
Then every worker's time starts anew, or all workers would be killed for a fault that none of them has.
"""

__all__ = ["Watchdog"]

#: Extra seconds for a worker that starts: an interpreter that starts on a busy machine does not hang.
STARTING_S = 20.0


class Watchdog:
    """patience_s: seconds without a report. Times are monotonic seconds."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._reported: dict[int, float] = {}
        self._looked = 0.0

    def __repr__(self) -> str:
        return f"<Watchdog of {len(self._reported)} workers, patience {self._patience_s:g} s>"

    @property
    def pause_s(self) -> float:
        """Seconds to wait between two looks."""
        return self._patience_s / 4

    def set_patience(self, patience_s: float) -> None:
        """Use another patience from the next look on."""
        self._patience_s = patience_s

    def note_started(self, index: int, now: float) -> None:
        """A worker was started: until its first report it has STARTING_S more."""
        self._reported[index] = now + STARTING_S

    def note_report(self, index: int, now: float) -> None:
        """A worker has reported."""
        self._reported[index] = now

    def forget(self, index: int) -> None:
        """A worker has ended."""
        self._reported.pop(index, None)

    def look(self, now: float) -> list[int]:
        """Return the indexes of the workers that hang."""
        is_late, self._looked = now - self._looked > self.pause_s * 2, now
        if is_late:
            self._reported = dict.fromkeys(self._reported, now)
            return []
        return [index for index, reported in self._reported.items() if now - reported > self._patience_s]
