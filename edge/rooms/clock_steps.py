"""Clock steps: nobody loses their place or their pass because the wall clock was set.

    offset = wall - monotonic      constant but for drift; it jumps by `by` when the clock is set

    back       cookies signed before lie in the future. Each is read as what it would be by the new clock, and is signed
               again with the next response. A cookie's last sign of life is known to within a minute, so steps of less
               than LEAST_S cannot be told from cookies made after the step
    forward    places stay: everybody arrived that much longer ago. A pass from before the step that is over only by the
               new clock lasts as long as it would have

A step is noted by `look`, ten times a second. Between two looks a large step is seen by `now` alone: it is LEAST_S or
more away from the last look, and that is then the step, to within the tenth of a second.

Machines do not know of each other's steps. A cookie from a clock that is ahead is refused at other machines beyond
`ticket.skew_allowance_seconds`, as always.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from waiting_room.ticket import RENEW_AFTER_S, Pass, Ticket

__all__ = ["ClockSteps"]

#: More than the uncertainty of a cookie's last sign of life and a poll.
LEAST_S = 90.0
#: A smaller change between two looks is drift, or a time daemon that slews the clock.
DRIFT_S = 0.5
#: How many steps are remembered. A clock that is set more often tells no time.
MOST_STEPS = 8


class ClockSteps:
    """The steps that this process knows. before: steps noted by another process, oldest first."""

    def __init__(
        self,
        before: Iterable[tuple[float, float]] = (),
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.steps = [(float(at), float(by)) for at, by in before]
        """(at, by): the clock showed `at` when it was set, and was set by `by`, in seconds."""
        self._wall, self._monotonic = wall, monotonic
        self._looked_at = wall()
        self._offset = self._looked_at - monotonic()

    def __repr__(self) -> str:
        return f"<ClockSteps {[by for _, by in self.steps]}>"

    def look(self) -> float | None:
        """Read the clocks. Return by how much the wall clock was set since the last look, or None."""
        self._looked_at = now = self._wall()
        offset = now - self._monotonic()
        by, self._offset = offset - self._offset, offset
        if abs(by) < DRIFT_S:
            return None
        self.steps = [*self.steps, (now - by, by)][-MOST_STEPS:]
        return by

    def carried(self, credential: Ticket | Pass, now: float, skew_s: float) -> Ticket | Pass | None:
        """Return what a rejected credential would be if the clock had always been right, or None if no step explains
        the rejection."""
        by = 0.0
        for at, step_s in reversed(self._steps_until(now)):
            by += step_s
            if step_s <= -LEAST_S:
                signed_at = credential.seen if isinstance(credential, Ticket) else credential.admitted_at
                if now + skew_s < signed_at and signed_at + by <= now + skew_s:
                    return _shifted(credential, by, now)
            elif (
                step_s > 0.0
                and isinstance(credential, Pass)
                and credential.admitted_at <= at
                and now < credential.expires + by
            ):
                return _shifted(credential, by, now)
        return None

    def _steps_until(self, now: float) -> list[tuple[float, float]]:
        """The noted steps, and one made since the last look."""
        since_look_s = now - self._looked_at
        if abs(since_look_s) < LEAST_S:
            return self.steps
        return [*self.steps, (self._looked_at, since_look_s)]


def _shifted(credential: Ticket | Pass, by: float, now: float) -> Ticket | Pass:
    first_seen = credential.first_seen + by
    if isinstance(credential, Pass):
        admitted_at, expires = credential.admitted_at + by, credential.expires + by
        return replace(credential, first_seen=first_seen, admitted_at=admitted_at, expires=expires)
    seen = min(credential.seen + by, now - RENEW_AFTER_S)  # so that it is signed again
    return replace(credential, first_seen=first_seen, seen=seen)
