"""So many a minute for each key, in bounded memory: the generic cell rate algorithm (ITU-T I.371), one float a key.

    tat(key)     the time at which the key's next request would be due, were they evenly spaced
    refused      when tat - now > burst_s - interval_s; then the wait is what is over
    else         tat = max(tat, now) + interval_s

A key that was quiet may spend a minute's worth at once, and from then on one each interval. Two generations of keys
bound the memory: when the young one is full it becomes the old one, and the old one is forgotten. Only keys in whose
place as many others came meanwhile are forgotten, so a flood of addresses makes the limiter lenient, never large.
"""

__all__ = ["Limiter"]


class Limiter:
    """per_minute: requests a minute for each key. most: keys in a generation; twice as many are held at most."""

    def __init__(self, per_minute: float, most: int = 65_536) -> None:
        self.per_minute = per_minute
        self._interval_s = 60.0 / per_minute
        self._most = most
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}
        self._slack_s = max(0.0, 60.0 - self._interval_s)

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def take(self, key: str, now: float) -> float:
        """Count a request; returns 0 when it is within the limit, else seconds to wait. now: any clock, seconds."""
        due = self._young.get(key)
        if due is None:
            due = self._old.get(key, 0.0)
            if len(self._young) >= self._most:
                self._old, self._young = self._young, {}
        ahead_s = due - now
        if ahead_s > self._slack_s + self._interval_s + 1.0:
            ahead_s = 0.0  # further than any burst leads: the clock was set back
        if ahead_s > self._slack_s + 1e-6:
            self._young[key] = now + ahead_s
            return ahead_s - self._slack_s
        self._young[key] = now + max(ahead_s, 0.0) + self._interval_s
        return 0.0
