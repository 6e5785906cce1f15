"""The budget of guests: requests without a place that are no visits (`edge/decision/visits.py`).

While nobody waits, a guest reaches the shop like any visitor and takes nothing: no token, no vacancy, no place. So that
a flood of them is no way around the capacity, a room lets through a tenth of its capacity, and at least one a second:

    allowance = min(depth, allowance + rate * dt)       rate = max(1, capacity / 10), depth = rate

The others are answered as if there was a line. All times are wall clock, in seconds.
"""

__all__ = ["GuestBudget"]

#: The part of the capacity that guests may add, and the least rate in requests a second.
SHARE = 0.1
LEAST = 1.0


class GuestBudget:
    """One room's at one node. capacity: the node's admissions a second."""

    __slots__ = ("_allowance", "_at", "_rate")

    def __init__(self, capacity: float) -> None:
        self._rate = max(LEAST, SHARE * capacity)
        self._allowance = self._rate
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<GuestBudget {self._allowance:.1f} of {self._rate:g}>"

    def spend(self, now: float) -> bool:
        """Return whether one more guest may reach the shop now, and count them."""
        self._allowance = min(self._rate, self._allowance + self._rate * max(0.0, now - self._at))
        self._at = now
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True
