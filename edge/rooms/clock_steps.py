"""The wall clock was set: nobody is to lose their place or their pass by it.

    offset = wall - monotonic      constant, but for drift; it jumps by `by` when the clock is set

    back       what was signed before lies in the future. It is taken for what it would be by the new clock, and
               signed anew with the next answer. A cookie's last sign of life is known to within a minute, so steps of
               less than LEAST_S are not told apart from cookies made since
    forward    places stay: everybody's arrival is that much longer ago. A pass from before that is over by the new
               clock alone lasts as long as it would have

Machines cannot know of each other's steps: a cookie from a clock that is ahead is refused elsewhere beyond
`ticket.skew_allowance_seconds`, as it always is.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from waiting_room.ticket import SIGN_OF_LIFE_S, Pass, Ticket

__all__ = ["ClockSteps"]

#: More than what a cookie's last sign of life is known to, and a poll.
LEAST_S = 90.0
#: A smaller change between two looks is the clock's drift, or a time daemon that slews it.
DRIFT_S = 0.5
#: A clock that is set again and again tells no times.
MOST_STEPS = 8


class ClockSteps:
    """known: steps from before, oldest first; a worker is told them by its supervisor."""

    def __init__(
        self,
        known: Iterable[tuple[float, float]] = (),
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.steps = [(float(at), float(by)) for at, by in known]
        """Until when the clock went before it was set, by itself, and by how much it was set; seconds."""
        self._wall, self._monotonic = wall, monotonic
        self._offset = wall() - monotonic()

    def __repr__(self) -> str:
        return f"<ClockSteps {[by for _, by in self.steps]}>"

    def look(self) -> float | None:
        """By how much the clock was set since the last look, if it was."""
        now = self._wall()
        offset = now - self._monotonic()
        by, self._offset = offset - self._offset, offset
        if abs(by) < DRIFT_S:
            return None
        self.steps = [*self.steps, (now - by, by)][-MOST_STEPS:]
        return by

    def carried(self, held: Ticket | Pass, now: float, skew_s: float) -> Ticket | Pass | None:
        """What a cookie that does not count would be, had the clock always been right; None: no step explains it."""
        self.look()
        by = 0.0
        for at, step_s in reversed(self.steps):
            by += step_s
            if step_s <= -LEAST_S:
                signed_at = held.seen if isinstance(held, Ticket) else held.admitted_at
                if now + skew_s < signed_at and signed_at + by <= now + skew_s:
                    return _moved(held, by, now)
            elif step_s > 0.0 and isinstance(held, Pass) and held.admitted_at <= at and now < held.expires + by:
                return _moved(held, by, now)
        return None


def _moved(held: Ticket | Pass, by: float, now: float) -> Ticket | Pass:
    first_seen = held.first_seen + by
    if isinstance(held, Pass):
        return replace(held, first_seen=first_seen, admitted_at=held.admitted_at + by, expires=held.expires + by)
    return replace(held, first_seen=first_seen, seen=min(held.seen + by, now - SIGN_OF_LIFE_S))  # to be signed anew
