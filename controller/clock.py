"""The wall clock made monotone.

clock = wall + shift          never goes back; a step back of over BACKWARD_S is taken as a new axis, by a larger shift
"""

from typing import Final

__all__ = ["MonotoneClock"]

BACKWARD_S: Final = 1.0  # a wall clock that steps back by more has been set


class MonotoneClock:
    """`now` is the last reading. `Gate.decide` does the first half of `read` itself, because a call costs more."""

    __slots__ = ("now", "shift")

    def __init__(self, now: float) -> None:
        self.now = now
        self.shift = 0.0

    def __repr__(self) -> str:
        return f"<MonotoneClock {self.now:.3f}, wall {-self.shift:+.3f}>"

    def read(self, wall: float) -> float:
        """Return the time at `wall`."""
        clock = wall + self.shift
        if clock < self.now:
            if self.now - clock > BACKWARD_S:
                self.shift += self.now - clock
            return self.now
        self.now = clock
        return clock
