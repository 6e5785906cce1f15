"""Notices that nobody at all polls: this node stood still, or the network did. The line has not left.

    missing  = leases that have run out since the last poll
    stalled  : missing >= SURE, more than chance explains, until the next poll; or the control step is late; or joined
               nodes are silent, and their visitors cannot poll either
    behind  += dt                   while stalled and for as long again: clients try later and later; at most MOST_S
    behind  -= CATCH_UP * dt        otherwise
    leases run out at  clock - behind

Without it a node that was cut off for longer than the longest interval would take the whole line for gone, and admit
the first visitors that poll again: with intervals of up to 4 s a cut of 5 s admitted fifty visitors minutes too early.
The guard applies only where the whole line is seen: on one node, or in the shared front of joined nodes. A visitor that
one of several other nodes has not seen for that long may have polled elsewhere.
"""

from typing import Final

from controller.line.leases import Leases

__all__ = ["LATE_S", "StallGuard"]

SURE: Final = 8  # visitors that should have polled; by chance none does once in 3,000 times
#: A control step this late is a stall: several times the usual tenth of a second, and of a crowd in step no more than a
#: slow network explains.
LATE_S: Final = 0.4
MOST_S: Final = 30.0
CATCH_UP: Final = 0.5


class StallGuard:
    """Call `step` once a control step. Times are in seconds."""

    __slots__ = ("_missing", "_silent_s", "behind_s", "owed_s")

    def __init__(self) -> None:
        self._missing = 0
        self._silent_s = 0.0  # since the last poll
        self.owed_s = 0.0  # time still owed to delayed visitors
        self.behind_s = 0.0

    def __repr__(self) -> str:
        return f"<StallGuard {self.behind_s:.1f} s behind>"

    def step(self, dt: float, polls: int, book: Leases, clock: float, is_silent: bool = False) -> bool:
        """Return whether nothing can be learnt from the polls of this step.

        polls: since the last step. clock: monotone, the one of the book. is_silent: joined nodes are silent.
        """
        if polls:
            self._missing, self._silent_s = 0, 0.0
        else:
            self._silent_s += dt
            if self._missing < SURE:
                self._missing += book.overdue(clock - self.behind_s)
        is_stalled = self._missing >= SURE or is_silent or (dt > LATE_S and len(book) > 0)
        self.owed_s = min(self.owed_s + dt, MOST_S) if is_stalled else max(0.0, self.owed_s - dt)
        if self.owed_s > 0.0:
            self.behind_s = min(self.behind_s + dt, MOST_S)
        else:
            self.behind_s = max(0.0, self.behind_s - CATCH_UP * dt)
        return is_stalled and (self._silent_s > LATE_S or dt > LATE_S)

    def clear(self) -> None:
        """Forget everything: the line is no longer seen whole."""
        self._missing = 0
        self._silent_s = self.owed_s = self.behind_s = 0.0
