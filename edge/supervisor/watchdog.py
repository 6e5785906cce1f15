"""Which workers hang: alive, but their event loop turns no more, so that their visitors see nothing at all.

A worker reports twice a second. One that has not done so for `patience_s` is counted as hung (gunicorn: 30 s). When the
watch itself comes late, the whole machine stood still (a virtual machine that was moved, a lid that was closed), and
everybody's time begins anew: else all workers would be killed for what none of them did.
"""

__all__ = ["Watchdog"]

#: An interpreter that starts on a busy machine hangs no more than the machine does.
STARTING_S = 20.0


class Watchdog:
    """patience_s: seconds without a report. Times are monotonic seconds."""

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self._heard: dict[int, float] = {}
        self._looked = 0.0

    @property
    def pause_s(self) -> float:
        """How long to wait between two looks."""
        return self.patience_s / 4

    def begun(self, index: int, now: float) -> None:
        """A worker was started: until it is there to report it has STARTING_S more."""
        self._heard[index] = now + STARTING_S

    def heard(self, index: int, now: float) -> None:
        """A worker has reported."""
        self._heard[index] = now

    def forget(self, index: int) -> None:
        """A worker has ended."""
        self._heard.pop(index, None)

    def look(self, now: float) -> list[int]:
        """The workers that hang."""
        is_late, self._looked = now - self._looked > self.pause_s * 2, now
        if is_late:
            self._heard = dict.fromkeys(self._heard, now)
            return []
        return [index for index, heard in self._heard.items() if now - heard > self.patience_s]
