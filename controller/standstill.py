"""While nobody can be admitted, the line freezes, and goes on in order: one mechanism, whatever the reason.

    reasons     the capacity is 0; the shell holds the gate (a dependency is missing, no unit is free, an operator says
                so); other joined nodes are silent or stand still (`Membership.is_awaiting`); the whole edge was away
                and the visitors next to the front are not back yet

    opening     the shell may know when the line goes on: a sale opens. Every node goes on at that moment by its own
                clock, and none waits for news of the others. Appointments lead to the opening: visitors near the front
                are parked when it comes, and those further back are spread behind it as in a line that moves

frozen      nobody is called; the bucket gains no token; the law and the rates of admissions stand still
    goes on     visitors poll, and leases end as was promised; appointments, places and margins are those of a line that
                goes on in this moment, so that every visitor is back by their turn; newcomers stand behind
    thaw        the law calls as it did before. The bucket holds what it held, and at most HALF of its depth: then
                nothing is about to overflow, and the law does not call visitors from further back to prevent it. The
                burst of a quiet time before is gone

After a restart of everything BACK of the visitors near the front must have come back, or RETURN_MOST_S have passed:
otherwise visitors would be admitted in the order in which they return.

While the capacity is 0 the gate plans with the last one, or with GUESSED_PER_S of the room if it had none.
"""

from dataclasses import replace
from math import inf
from typing import Final

from controller.checkpoint import Checkpoint
from controller.law.bucket import LeakyBucket
from controller.law.sample import Thresholds
from controller.line.view import LineView
from controller.settings import GateSettings

__all__ = ["STILL", "Freeze"]

HALF: Final = 0.5
BACK: Final = 0.9
RETURN_MOST_S: Final = 2.5
GUESSED_PER_S: Final = 20.0
#: While frozen.
STILL: Final = Thresholds(-inf, -inf)


class Freeze:
    """Of one gate. settings: those that it begins with."""

    __slots__ = ("_awaited", "_near", "_near_from", "_return_by", "is_frozen", "is_held", "opens_at", "plan")

    def __init__(self, settings: GateSettings) -> None:
        guessed = GUESSED_PER_S / settings.nodes
        self.plan = replace(settings, admissions_per_second=guessed, room_admissions_per_second=GUESSED_PER_S)
        """The settings, with the capacity that holds when the line goes on."""
        self.use(settings)
        self.is_held = False
        """The shell holds the gate."""
        self.opens_at: float | None = None
        """When the line goes on, on the axis of the wall clock; None if nobody knows."""
        self.is_frozen = False
        self._near_from = self._near = self._return_by = -inf
        self._awaited = 0.0

    def __repr__(self) -> str:
        return f"<Freeze {'frozen' if self.is_frozen else 'over'}>"

    def use(self, settings: GateSettings) -> None:
        """Plan with these settings from now on."""
        room = settings.room_rate
        if settings.admissions_per_second > 0.0:
            self.plan = settings
        elif room > 0.0:
            self.plan = replace(settings, admissions_per_second=room / settings.nodes)
        else:
            part = self.plan.room_rate / settings.nodes
            self.plan = replace(settings, admissions_per_second=part, room_admissions_per_second=self.plan.room_rate)

    def left_s(self, now: float) -> float:
        """Return the seconds until the opening; 0 if nobody knows of one. now: wall clock."""
        return 0.0 if self.opens_at is None else max(0.0, self.opens_at - now)

    def most_tokens(self, bucket: LeakyBucket, *, is_joined: bool, is_open: bool) -> float:
        """Return how many tokens the bucket may hold when the line goes on. is_open: nobody waited when it froze."""
        if not is_open:
            return max(1.0, HALF * bucket.depth)
        return 1.0 + (self.plan.cushion_at(bucket.rate) if is_joined else 0.0)

    def await_return(self, then: Checkpoint, clock: float) -> None:
        """Stand still until the visitors near the front of that time are back."""
        self._near_from, self._near, self._awaited = then.near_from, then.near, BACK * then.near_count
        self._return_by = clock + RETURN_MOST_S

    def is_returning(self, view: LineView, clock: float) -> bool:
        """Return whether visitors next to the front are still to come back."""
        if clock >= self._return_by:
            return False
        if view.ahead(self._near) - view.ahead(self._near_from) >= self._awaited:
            self._return_by = -inf
        return clock < self._return_by
