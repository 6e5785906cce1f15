"""When nobody at all comes, they have not all left: this node stood still, or the network between did.

    missing  = leases that have run out since the last poll
    still    : missing >= SURE, more than chance explains, until the next poll; or the tick is late
    behind  += dt                   while still and for as long again: clients try later and later; at most MOST_S
    behind  -= CATCH_UP * dt        otherwise
    leases run out at  clock - behind

Otherwise a node that was cut off for longer than the longest interval would take everybody for gone, and open its
doors to whoever comes back first: with intervals of up to 4 s a cut of 5 s let in fifty who were minutes too early.
Only for what sees the whole line, one node or the front that joined nodes share: whom a node among others has not heard
of for so long may have been served elsewhere.
"""

from controller.line.leases import LeaseBook

__all__ = ["StallGuard"]

SURE = 8  # visitors who should have come; by chance none does once in 3,000 times
LATE_S = 0.4  # of a tick, several times the usual tenth; of a crowd in step, no more than a slow network explains
MOST_S = 30.0
CATCH_UP = 0.5


class StallGuard:
    """One step a tick; times in seconds."""

    __slots__ = ("_missing", "_silent_s", "behind_s", "owed_s")

    def __init__(self) -> None:
        self._missing = 0
        self._silent_s = 0.0  # since the last poll
        self.owed_s = 0.0  # to those who were held up
        self.behind_s = 0.0

    def __repr__(self) -> str:
        return f"<StallGuard {self.behind_s:.1f} s behind>"

    def step(self, dt: float, polls: int, book: LeaseBook, clock: float) -> bool:
        """Whether nothing can be learnt from who comes. polls: since the last step; clock: monotone, the book's."""
        if polls:
            self._missing, self._silent_s = 0, 0.0
        else:
            self._silent_s += dt
            if self._missing < SURE:
                self._missing += book.overdue(clock - self.behind_s)
        is_still = self._missing >= SURE or (dt > LATE_S and len(book) > 0)
        self.owed_s = min(self.owed_s + dt, MOST_S) if is_still else max(0.0, self.owed_s - dt)
        if self.owed_s > 0.0:
            self.behind_s = min(self.behind_s + dt, MOST_S)
        else:
            self.behind_s = max(0.0, self.behind_s - CATCH_UP * dt)
        return is_still and self._silent_s > LATE_S

    def clear(self) -> None:
        """The line is no longer seen whole."""
        self._missing = 0
        self._silent_s = self.owed_s = self.behind_s = 0.0
