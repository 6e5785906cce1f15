"""The least rate of something that must come: a deadline that every byte moves, so that a drip is no sign of life.

    due = start + grace_s                          nothing has come yet
    due = min(due + bytes / rate, now + grace_s)   at every piece

So whoever sends at `rate` or faster is never cut, whoever is slower is cut when they are `grace_s` behind, and a burst
earns no more than `grace_s` of silence. One float a body, no timer: the connection's deadline is set to it.
(Apache's mod_reqtimeout, `body=20,MinRate=500`, is the same without the upper bound.)
"""

__all__ = ["MinimumRate"]


class MinimumRate:
    """rate: bytes a second. grace_s: how far behind the rate is allowed, seconds. now: any monotonic clock, seconds."""

    __slots__ = ("_grace_s", "_left_s", "_rate", "due")

    def __init__(self, rate: float, grace_s: float, now: float) -> None:
        self._rate = rate
        self._grace_s = grace_s
        self._left_s = grace_s
        self.due = now + grace_s
        """When it is too late, on the clock of `now`."""

    def came(self, count: int, now: float) -> float:
        """So many bytes came; returns `due`."""
        self.due = min(self.due + count / self._rate, now + self._grace_s)
        return self.due

    def stop(self, now: float) -> None:
        """Nothing can come from now on, and the sender is not to blame."""
        self._left_s = self.due - now

    def go_on(self, now: float) -> float:
        """The sender may send again, with the time that was left; returns `due`."""
        self.due = now + self._left_s
        return self.due
