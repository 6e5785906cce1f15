"""The minimum rate of something that must come: a deadline that every byte moves, so that a trickle does not pass.

    due = start + grace_s                          nothing has come yet
    due = min(due + bytes / rate, now + grace_s)   at every piece

A sender at `rate` or faster is never cut. A slower one is cut when they are `grace_s` behind. A burst earns no more
than `grace_s` of silence. It is one float for each body and no timer: the connection's deadline is set to it.
(Apache's mod_reqtimeout, `body=20,MinRate=500`, is the same without the upper bound.)
"""

__all__ = ["MinimumRate"]


class MinimumRate:
    """`rate`: bytes a second. `grace_s`: how many seconds a sender may be behind. `now`: any monotonic clock."""

    __slots__ = ("_grace_s", "_left_s", "_rate", "due")

    def __init__(self, rate: float, grace_s: float, now: float) -> None:
        self._rate = rate
        self._grace_s = grace_s
        self._left_s = grace_s
        self.due = now + grace_s
        """The time, on the clock of `now`, at which the sender is too slow."""

    def came(self, count: int, now: float) -> float:
        """Take note of `count` bytes; return `due`."""
        self.due = min(self.due + count / self._rate, now + self._grace_s)
        return self.due

    def stop(self, now: float) -> None:
        """Stop the time: nothing can come from now on, and the sender is not to blame."""
        self._left_s = self.due - now

    def resume(self, now: float) -> float:
        """Let the sender go on with the time that was left; return `due`."""
        self.due = now + self._left_s
        return self.due
