"""Who of the newcomers will ever come back: the share of first requests that are followed by a second.

    p = (visits of the young - leases of proven young that came due) / first leases that came due

`young`: visitors no older than the longest interval, so that their first lease is among those that count. A
lease comes due here and the visit may happen on another node, but as many come from there as go there, so
counts of the same node compare. No visitor is told apart. Old counts are halved after every `MEMORY` first
leases; a prior of `PRIOR` visitors who all came back stands for what is known before the first lease comes
due.
"""

from collections import deque
from math import inf

MEMORY = 800.0
PRIOR = 4.0
RETURN_MEMORY = 4000.0
LATE_S = 0.5  # still on time; a visit elsewhere and one more here take poll_min at least
UNSURE_S = 0.9  # the same while nobody knows how late visitors come,
STARVED, CROWDED = 0.35, 2.0  # and then a share is believed only if it is that much smaller, or greater, than expected


class ReturnRate:
    """Counts in, a probability out."""

    __slots__ = ("_fresh_due", "_is_sampled", "_proven_due", "_visits", "share")

    def __init__(self, is_sampled: bool, share: float = 1.0) -> None:
        self._is_sampled = is_sampled
        self._fresh_due = PRIOR
        self._proven_due = 0.0
        self._visits = PRIOR * share
        self.share = share

    def __repr__(self) -> str:
        return f"<ReturnRate {self.share:.2f} of {self._fresh_due:.0f}>"

    @property
    def known(self) -> float:
        """First leases that the share rests on."""
        return self._fresh_due - PRIOR

    def visit(self) -> None:
        """A young visitor came back."""
        self._visits += 1.0

    def due(self, fresh: int, proven: int) -> None:
        """So many leases of the young came due."""
        self._fresh_due += fresh
        self._proven_due += proven

    def settle(self) -> float:
        """Fold the counts into the share; once a tick."""
        came = self._visits - self._proven_due
        if self._is_sampled:  # visits and leases are different people: give the newcomers one standard deviation
            came += (self._visits + self._proven_due) ** 0.5
        self.share = min(max(came / self._fresh_due, 0.02), 1.0)
        if self._fresh_due > MEMORY:
            self._fresh_due *= 0.5
            self._proven_due *= 0.5
            self._visits *= 0.5
        return self.share


class TrafficShare:
    """The share of this node in the traffic, from how many of its own visitors come back to it.

    Told `nodes`, the node expects 1 / nodes; it believes its eyes only if they differ by over a fifth and
    by four standard deviations, so that noise never moves the estimate of an evenly spread line. Until it is known how
    late visitors come it counts generously, and believes only that it starves (a node that few come to takes the line
    to be short, asks nobody to come back after the longest interval, and would never learn of either) or is crowded:
    who comes late can only make it seem less. Who asks all the time makes it seem more, before they are known by that:
    with one in twenty by up to two thirds.
    """

    __slots__ = ("_believed", "_counts_from", "_expected", "_kept", "_late", "_lost", "_waiting", "back", "is_sure")

    def __init__(self, nodes: int) -> None:
        self._expected = self._believed = 1.0 / nodes
        self.is_sure = False  # of how late visitors come
        self._counts_from = -inf
        self._kept = 0.0
        #: Who came back in time since the last tick; they count when those who did not do, or a growing line would
        #: look kept. Whoever sees them adds to it: it is most visits.
        self.back = 0
        self._lost = 0.0
        self._late: set[float] = set()
        self._waiting: deque[tuple[float, list[float], int]] = deque()

    def __repr__(self) -> str:
        return f"<TrafficShare {self.share:.3f}>"

    @property
    def share(self) -> float:
        """Share of the room's polls that this node gets; 1 = the line is its own (sticky clients)."""
        n, expected = self._kept + self._lost, self._expected
        if expected >= 1.0:
            return expected
        if n < 100.0:
            return self._believed
        seen = self._kept / n
        gap = abs(seen - expected)
        if gap < 0.2 * expected or gap * gap * n < 16.0 * expected:
            return expected
        if not self.is_sure and STARVED * expected < seen < CROWDED * expected:
            return expected
        return max(seen, 1e-3)

    def surplus(self, part: float) -> float:
        """What is believed of the share beyond `part` of the capacity: others have so much less than theirs."""
        return max(0.0, self.share - max(part, self._expected))

    def be_sure(self, counts_from: float) -> None:
        """It is known by now how late visitors come: what was counted without is good until there is something new.

        counts_from: when all leases will be over that do not allow for it, on the clock of `missed`.
        """
        self._believed = self.share
        self.is_sure = True
        self._counts_from = counts_from
        self._kept = self._lost = 0.0
        self._late.clear()
        self._waiting.clear()

    def maybe_late(self, first_seen: float) -> None:
        if first_seen in self._late:
            self._late.discard(first_seen)
            self._kept += 1.0

    def missed(self, gone: list[float], clock: float, late_s: float = 0.0) -> None:
        """These proven leases ran out; those not back within LATE_S, or half of `late_s` later, went elsewhere."""
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
        if self._kept + self._lost > RETURN_MEMORY:
            self._kept *= 0.5
            self._lost *= 0.5
