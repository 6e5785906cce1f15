"""The bus between joined nodes: each publishes a summary once a heartbeat and reads those of the others.

publish at t  --DELAY_S-->  readable from t + DELAY_S on; kept for a node that stands still until it reads
"""

from collections import deque
from math import floor
from typing import Final

from controller.fleet.summary import Summary
from controller.simulation.policy import Policy

__all__ = ["Heartbeats"]

DELAY_S: Final = 0.05
KEPT: Final = 3.0


class Heartbeats:
    """first_s: when each node publishes for the first time. start_s: when the simulation begins."""

    def __init__(self, interval_s: float, first_s: list[float], start_s: float) -> None:
        self._interval_s = interval_s
        self._next_s = first_s
        self._read_until_s = [start_s] * len(first_s)
        self._published: deque[tuple[float, Summary]] = deque()

    def beat(self, i: int, node: Policy, now: float, clock_off_s: float) -> None:
        """Let node i publish and read if its heartbeat is due. The heartbeats of a pause are left out."""
        if self._next_s[i] > now:
            return
        interval = self._interval_s
        self._next_s[i] += interval * (1 + floor((now - self._next_s[i]) / interval))
        at = now + clock_off_s
        name = str(i)
        fresh = [s for since, s in self._published if self._read_until_s[i] < since <= now]
        self._read_until_s[i] = now
        own = node.summary(name, int(at / interval), at)
        if own is not None:
            node.observe(name, [*(s for s in fresh if s.node != name), own], at)
            self._published.append((now + DELAY_S, own))

    def forget(self, now: float, nodes: int) -> None:
        """Drop summaries that every node has read."""
        read_by_all = min(now - KEPT * self._interval_s, *self._read_until_s[:nodes])
        while self._published and self._published[0][0] < read_by_all:
            self._published.popleft()
