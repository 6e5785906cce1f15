"""So many a minute for each key, in bounded memory: the generic cell rate algorithm (ITU-T I.371), one float a key.

    tat(key)     the time at which the key's next request would be due, were they evenly spaced
    refused      when tat - now > burst_s - interval_s; then the wait is what is over
    else         tat = max(tat, now) + interval_s

A key that was quiet may spend a minute's worth at once, and from then on one each interval. Two generations of keys
bound the memory: when the young one is full it becomes the old one, and the old one is forgotten. Only keys in whose
place as many others came meanwhile are forgotten, so a flood of addresses makes the limiter lenient, never large.

Nodes that share a limit tell each other twice a second what was spent with them, and charge it as if it had been spent
here. So the sum over all nodes holds in the long run; what comes in between may be let through once by each. What a
node hears of too late becomes a debt, of at most DEBT_S.
"""

from heapq import nlargest
from operator import itemgetter

__all__ = ["Limiter"]

#: How many keys a node tells of: those that spent most. It bounds what travels; the others are limited by each node.
MOST_TOLD = 128
#: What was spent elsewhere beyond the limit is made up for, up to this.
DEBT_S = 30.0


class Limiter:
    """per_minute: requests a minute for each key. most: keys in a generation; twice as many are held at most."""

    def __init__(self, per_minute: float, most: int = 65_536, *, shares: bool = False) -> None:
        """shares: note what is spent, for other nodes."""
        self.per_minute = per_minute
        self._spent: dict[str, int] | None = {} if shares else None
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
            due = self._due_before(key)
        ahead_s = due - now
        if ahead_s > self._slack_s + self._interval_s + 1.0 + DEBT_S:
            ahead_s = 0.0  # further than any burst leads: the clock was set back
        if ahead_s > self._slack_s + 1e-6:
            self._young[key] = now + ahead_s
            return ahead_s - self._slack_s
        self._young[key] = now + max(ahead_s, 0.0) + self._interval_s
        if self._spent is not None:
            self._spent[key] = self._spent.get(key, 0) + 1
        return 0.0

    def share(self, *, shares: bool) -> None:
        """Whether what is spent is noted from now on."""
        if shares != (self._spent is not None):
            self._spent = {} if shares else None

    def collect(self) -> dict[str, int]:
        """What was spent here since the last time, by those who spent most."""
        if not self._spent:
            return {}
        spent, self._spent = self._spent, {}
        return dict(nlargest(MOST_TOLD, spent.items(), key=itemgetter(1)))

    def charge(self, key: str, count: int, now: float) -> None:
        """So many requests were let through elsewhere."""
        due = self._young.get(key)
        if due is None:
            due = self._due_before(key)
        most = now + self._slack_s + DEBT_S
        self._young[key] = min(max(due if due <= most else 0.0, now) + count * self._interval_s, most)

    def _due_before(self, key: str) -> float:
        """Of a key that is not among the young; makes room for it there."""
        due = self._old.get(key, 0.0)
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        return due
