"""Requests a minute for each key, in bounded memory: the generic cell rate algorithm (ITU-T I.371), one float a key.

    tat(key)     theoretical arrival time: when the key's next request would be due if they were evenly spaced
    refused      if tat - now > burst_s - interval_s; the wait is what exceeds it
    otherwise    tat = max(tat, now) + interval_s

A key that was quiet may spend a minute's worth at once, and then one request each interval. Memory is bounded
(`edge/support/two_generations.py`): a key is forgotten only after as many other keys came, so a flood of addresses
makes the limiter lenient, never large.

Nodes that share a limit tell each other twice a second what was spent with them, and charge it as if it had been spent
with themselves. So the sum over all nodes holds in the long run; what comes in between, each node may let through once.
What a node hears of too late becomes a debt of at most DEBT_S.
"""

from heapq import nlargest
from operator import itemgetter

from edge.support.two_generations import TwoGenerations

__all__ = ["Limiter"]

#: How many keys a node tells of: those that spent most. The number bounds the message; each node limits the other keys.
MOST_SHARED = 128
#: The most that is made up for of what was spent elsewhere beyond the limit, in seconds.
DEBT_S = 30.0


class Limiter:
    """One limit. Times are of any clock, in seconds."""

    def __init__(self, per_minute: float, most: int = 65_536, *, shares: bool = False) -> None:
        """per_minute: requests a minute for each key. most: keys in a generation. shares: note what is spent."""
        self.per_minute = per_minute
        self._spent: dict[str, int] | None = {} if shares else None
        self._interval_s = 60.0 / per_minute
        self._due: TwoGenerations[str, float] = TwoGenerations(most)
        self._slack_s = max(0.0, 60.0 - self._interval_s)

    def __len__(self) -> int:
        return len(self._due)

    def __repr__(self) -> str:
        return f"<Limiter {self.per_minute} a minute, {len(self)} keys>"

    def take(self, key: str, now: float) -> float:
        """Count a request. Return 0 if it is within the limit, otherwise the seconds to wait."""
        due = self._due.get(key)
        ahead_s = 0.0 if due is None else due - now
        if ahead_s > self._slack_s + self._interval_s + 1.0 + DEBT_S:
            ahead_s = 0.0  # further than any burst leads: the clock was set back
        if ahead_s > self._slack_s + 1e-6:
            self._due.put(key, now + ahead_s)
            return ahead_s - self._slack_s
        self._due.put(key, now + max(ahead_s, 0.0) + self._interval_s)
        if self._spent is not None:
            self._spent[key] = self._spent.get(key, 0) + 1
        return 0.0

    def share(self, *, shares: bool) -> None:
        """Set whether what is spent is noted from now on."""
        if shares != (self._spent is not None):
            self._spent = {} if shares else None

    def collect(self) -> dict[str, int]:
        """Return what was spent here since the last call, by the keys that spent most."""
        if not self._spent:
            return {}
        spent, self._spent = self._spent, {}
        return dict(nlargest(MOST_SHARED, spent.items(), key=itemgetter(1)))

    def charge(self, key: str, count: int, now: float) -> None:
        """Count requests that another node let through."""
        due = self._due.get(key)
        most = now + self._slack_s + DEBT_S
        begin = due if due is not None and due <= most else 0.0
        self._due.put(key, min(max(begin, now) + count * self._interval_s, most))
