"""The part of a room's polls that reaches this node, from how many of its own visitors come back to it.

    share = kept / (kept + lost)        of the proven leases that ran out here: the visitor polled here in time, or not

A node expects 1 / nodes. It believes what it sees only if that differs by over a fifth and by four standard deviations,
so noise never moves the estimate of an evenly spread line.

Until it is known how late visitors poll, the node waits longer for each and believes only two findings: that it
starves, or that it is crowded. A starving node takes the line to be short, asks no visitor back after the longest
interval, and so would never learn the one or the other. Late visitors can only make the share seem smaller. Visitors
that poll faster than asked make it seem greater until they are recognised: with one in twenty by up to two thirds.
"""

from collections import deque
from math import inf
from typing import Final

MEMORY: Final = 4000.0
EVIDENCE: Final = 100.0  # leases before which the expected share stands
LATE_S: Final = 0.5  # still in time; a poll elsewhere and one more here take the shortest interval at least
UNSURE_S: Final = 0.9  # the same while it is not known how late visitors poll
# While it is not known, a share is believed only below, or above, these multiples of the expected one.
STARVED: Final = 0.35
CROWDED: Final = 2.0


class TrafficShare:
    """Counts kept and lost visitors. Times are of the clock of `missed`, seconds."""

    __slots__ = ("_believed", "_counts_from", "_expected", "_kept", "_late", "_lost", "_waiting", "back", "is_sure")

    def __init__(self, nodes: int) -> None:
        self._expected = self._believed = 1.0 / nodes
        self.is_sure = False  # of how late visitors poll
        self._counts_from = -inf
        self._kept = 0.0
        #: Visitors that came back in time since the last control step. They count when those that did not come back do,
        #: or a growing line would look kept. The caller adds to it without a method call, because most polls do.
        self.back = 0
        self._lost = 0.0
        self._late: set[float] = set()
        self._waiting: deque[tuple[float, list[float], int]] = deque()

    def __repr__(self) -> str:
        return f"<TrafficShare {self.share:.3f}>"

    @property
    def share(self) -> float:
        """Share of the room's polls that reach this node. 1 means that its visitors always come back to it."""
        n, expected = self._kept + self._lost, self._expected
        if expected >= 1.0:
            return expected
        if n < EVIDENCE:
            return self._believed
        seen = self._kept / n
        gap = abs(seen - expected)
        if gap < 0.2 * expected or gap * gap * n < 16.0 * expected:
            return expected
        if not self.is_sure and STARVED * expected < seen < CROWDED * expected:
            return expected
        return max(seen, 1e-3)

    def surplus(self, part: float) -> float:
        """Return how far the share exceeds `part` of the capacity: other nodes get that much less than theirs."""
        return max(0.0, self.share - max(part, self._expected))

    def be_sure(self, counts_from: float) -> None:
        """It is known now how late visitors poll. What was counted before holds until there is new evidence.

        counts_from: when all leases that do not allow for lateness will be over.
        """
        self._believed = self.share
        self.is_sure = True
        self._counts_from = counts_from
        self._kept = self._lost = 0.0
        self._late.clear()
        self._waiting.clear()

    def maybe_late(self, first_seen: float) -> None:
        """Count a poll of a visitor without a lease here: they are kept if their lease ran out a moment ago."""
        if first_seen in self._late:
            self._late.discard(first_seen)
            self._kept += 1.0

    def missed(self, gone: list[float], clock: float, late_s: float = 0.0) -> None:
        """Note proven leases that ran out: visitors not back within LATE_S and half of `late_s` went elsewhere."""
        if self._expected >= 1.0:
            return
        if clock < self._counts_from:
            self.back = 0
            return
        if gone or self.back:
            self._late.update(gone)
            late_s = LATE_S + 0.5 * late_s if self.is_sure else UNSURE_S
            self._waiting.append((clock + late_s, gone, self.back))
            self.back = 0
        while self._waiting and self._waiting[0][0] <= clock:
            _, lost, kept = self._waiting.popleft()
            self._kept += kept
            still = self._late.intersection(lost)
            self._late -= still
            self._lost += len(still)
        if self._kept + self._lost > MEMORY:
            self._kept *= 0.5
            self._lost *= 0.5
