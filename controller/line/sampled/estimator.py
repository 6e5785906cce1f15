"""The far line of a node that shares nothing: how many visitors stand between two first arrivals, counted repeatedly.

A node's leases are a sample of the line (one visitor in `nodes`), and two things spoil a single count of them:

    noise         a sample of n is known to sqrt(n): a tenth of a position of 100 leases
    length bias   a node that sets longer appointments than the others holds more leases, takes the line for longer
                  and sets still longer ones; nodes that share nothing then drift apart

So the line is cut into bins of equal numbers of visitors. A bin is counted once a second while it is so far away that
all nodes ask everybody in it back after the same, longest interval; there a count is fair. Every interval the visitors
are dealt out to the nodes anew, so k intervals are k samples, and their mean has 1/sqrt(k) of the noise. A bin within
`zone` of the front is counted no more and only moved along, in order.

    front            zone                                                 newest            youngest
      |--- frozen ------|--- counted every second: m += (count - m) / k -----|--- the live leases ---|

The front goes back a little now and then, and far when an old visitor wakes up. The visitors between it
and the furthest point that it has reached (`passed`) have mostly been admitted. They count as the bins have them, but
all together as no more than may have leases: there + SURELY * sqrt(there) + UNSEEN.

    E      = sum(count) / sum(m) - 1                 of the bins of one group
    v     += (LEVEL / 2)^2 * E * dt                  share that leaves in an interval (visitors that give up)
    m     *= 1 + (LEVEL * E + v) * dt                times in intervals: a critically damped observer of level and trend

So visitors that give up are seen by a group's bins together within an interval or two, while the shape is a mean over
MEMORY of them. A group is as many bins as hold SURE visitors or more, so a small sample is one group. E is trusted by
SURE: it counts n / (n + SURE) of itself. A visitor that has left keeps a lease until it is due, half an interval on
average, so counts are lowered by v / 2. Memory: some BINS bins of four floats, at most MAX_BINS.

A node with more traffic than capacity, as parts of the room's, knows that other nodes have less, and those admit
visitors out of the middle of the line. Within the zone, where every visitor polls more and more often and where nothing
is counted, this is not seen:

    taken     share of the nearest group that is admitted so in an interval: what it loses beyond the groups behind it,
              a mean over TAKEN_MEMORY intervals that begins with GUESS of the node's surplus of traffic
    here      of the nearest group, of which the zone is made, is lower by HIDDEN * taken
    m        *= 1 - THINS * taken * dt                in the zone, where more polls are more chances to be admitted

(Fitted: one node in four with a twentieth of the traffic. Of HIDDEN, 1 is that a visitor that stays has polled another
node than the admitting one, so leases stand for fewer.) Without a surplus an excess is noise.
"""

from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from math import inf, sqrt
from typing import Final, Protocol

from controller.line.view import ZONE_S

STEP_S: Final = 1.0
MEMORY: Final = 6.0  # intervals: 90 s of the usual 15
LEVEL: Final = 3.0
BINS: Final = 128
MAX_BINS: Final = 1024
BIN_S: Final = 0.5  # of the flow: no bin is smaller,
LEAST: Final = 2.0  # nor holds fewer leases
PASSED: Final = 16  # bins kept behind the front, because a threshold goes back a little
SURELY: Final = 2.0
UNSEEN: Final = 2.0
SURE: Final = 1000.0  # from this many leases on their sum is worth more than its noise
GROUPS: Final = 8  # at most
GUESS: Final = 0.1
TAKEN_MEMORY: Final = 12.0
HIDDEN: Final = 1.25
THINS: Final = 3.0


class Counted(Protocol):
    """The node's own leases: `Line`, or a test's."""

    def ahead(self, first_seen: float) -> float: ...
    def nth(self, count: float) -> float | None: ...


class LineEstimator:
    """Bins of first_seen with their visitors, in leases of this node's sample."""

    __slots__ = (
        "_edges", "_front", "_masses", "_part", "_passed", "_skipped", "_stepped_at", "_sums", "_taken", "_trends",
        "_weights", "newest",
    )  # fmt: skip

    def __init__(self) -> None:
        self._edges: list[float] = []  # one more than bins
        self._masses: list[float] = []
        self._weights: list[float] = []  # intervals that each mass rests on
        self._trends: list[float] = []  # of the group that each bin was in last
        self._sums: list[float] = []  # visitors before each edge
        self._front = 0.0
        self._passed = -inf
        self._part = 1.0  # share of the visitors between the front and `_passed` that are there
        self._skipped = 0.0  # number of the others
        self._taken: float | None = None  # None: there is no surplus of traffic
        self._stepped_at = -inf
        self.newest = -inf  # first_seen up to which bins go

    def __repr__(self) -> str:
        trend = self._trends[-1] if self._trends else 0.0
        return f"<LineEstimator of {self._sums[-1] if self._sums else 0:.0f} in {len(self._masses)} bins, {trend:+.3f}>"

    def __len__(self) -> int:
        return len(self._masses)

    def clear(self) -> None:
        """Start anew."""
        self._edges, self._masses, self._weights, self._trends, self._sums = [], [], [], [], []
        self._front = 0.0
        self._part, self._skipped = 1.0, 0.0
        self._taken = None
        self.newest = self._passed = -inf

    def scale(self, ratio: float) -> None:
        """Use another sample: the node now sees `ratio` times the share of the line that it saw."""
        self._masses = [mass * ratio for mass in self._masses]
        self._sum()

    def between(self, first_seen: float) -> float:
        """Return how many visitors stand between the front of the last `step` and `first_seen`, at most `newest`."""
        if first_seen < self._passed:
            return self._part * (self._before(first_seen) - self._front)
        return self._before(first_seen) - self._front - self._skipped

    def step(
        self,
        line: Counted,
        front: float,
        flow: float,
        youngest: float,
        clock: float,
        interval_s: float,
        surplus: float = 0.0,
    ) -> None:
        """Bring the bins up to date. Call it once a control step.

        flow: this node's leases that pass the front in a second. youngest: bins end there. interval_s: the longest
        interval, after which far visitors poll. surplus: this node's polls beyond its capacity, as parts of the room's.
        """
        if not self._edges or self.newest <= front:
            self.clear()
            self._edges, self._sums, self.newest, self._stepped_at = [front], [0.0], front, clock
        self._passed = max(self._passed, front)
        since = clock - self._stepped_at
        if since >= STEP_S:
            self._stepped_at = clock
            self._forget(front)
            zone_end = self._before(self._passed) + (interval_s + ZONE_S) * flow
            self._count(line, zone_end, min(since / interval_s, 1.0), surplus)
        self._grow(line, youngest, max(BIN_S * flow, LEAST))
        if not self._masses:  # nobody to count yet
            self.clear()
        self._front = self._before(front)
        self._skip(line, front)

    def _skip(self, line: Counted, front: float) -> None:
        """Find how many visitors before the furthest front are still there, if the front went back."""
        self._part, self._skipped = 1.0, 0.0
        if front < self._passed:
            counted = self._before(self._passed) - self._front
            there = max(0.0, line.ahead(self._passed) - line.ahead(front))
            most = there + SURELY * sqrt(there) + UNSEEN
            if counted > most:
                self._part, self._skipped = most / counted, counted - most

    def _count(self, line: Counted, zone_end: float, dt: float, surplus: float) -> None:
        """Count the bins beyond the zone once more. dt is in intervals."""
        first = min(bisect_left(self._sums, zone_end), len(self._masses))
        taken = self._thin(first, dt, surplus)
        total = self._sums[-1] - self._sums[first]
        if total <= 0.0:
            return
        counts = [b - a if b > a else 0.0 for a, b in pairwise([line.ahead(edge) for edge in self._edges[first:]])]
        groups = max(1, min(GROUPS, int(total / SURE)))
        start, last = first, len(self._masses)
        trends: list[tuple[float, float]] = []  # of each group, with its visitors
        for group in range(1, groups + 1):
            end = last if group == groups else bisect_left(self._sums, self._sums[first] + total * group / groups)
            visitors = self._sums[end] - self._sums[start]
            if visitors > 0.0:
                hidden = 0.0 if trends else HIDDEN * taken
                trends.append((self._observe(start, end, counts[start - first : end - first], dt, hidden), visitors))
            start = end
        self._notice(trends, min(1.0, dt / TAKEN_MEMORY))
        self._sum()

    def _thin(self, first: int, dt: float, surplus: float) -> float:
        """Lower the zone (the bins before `first`) by the visitors admitted out of it elsewhere, and return `taken`."""
        if surplus <= 0.0:
            self._taken = None
            return 0.0
        if self._taken is None:
            self._taken = GUESS * surplus
        taken = max(0.0, self._taken)
        keep = max(0.0, 1.0 - THINS * taken * dt)
        for i in range(first):
            self._masses[i] *= keep
        self._sum()
        return taken

    def _observe(self, start: int, end: int, counts: list[float], dt: float, hidden: float) -> float:
        """Bring the bins of one group up to date and return its trend.

        hidden: share of the counts that stands for nobody, beyond the visitors that have left.
        """
        masses, weights, trends = self._masses, self._weights, self._trends
        expected = sum(masses[start:end])
        trend = sum(trends[start:end]) / (end - start)
        here = max(0.0, 1.0 + 0.5 * max(min(trend, 0.0), -1.0) - hidden)
        error = min(max(here * sum(counts) / expected - 1.0, -0.5), 0.5) * expected / (expected + SURE)
        trend += (0.5 * LEVEL) ** 2 * error * dt
        factor = 1.0 + (LEVEL * error + trend) * dt
        trends[start:end] = [trend] * len(counts)
        for i, count in enumerate(counts, start):
            weight = weights[i] + dt
            if weight > MEMORY:
                weight = MEMORY
            weights[i] = weight
            mass = masses[i] * factor
            mass += (here * count - mass) * dt / weight
            masses[i] = mass if mass > 0.0 else 0.0
        return trend

    def _notice(self, trends: list[tuple[float, float]], share: float) -> None:
        """Learn how much more the nearest group loses than the others, as a mean that follows by `share`."""
        if self._taken is None:
            return
        near, others = trends[0][0], trends[1:]
        lost = visitors = 0.0
        for trend, count in others:
            lost += trend * count
            visitors += count
        excess = lost / visitors - near if others else 0.0
        self._taken += (excess - self._taken) * share

    def _grow(self, line: Counted, youngest: float, least: float) -> None:
        """Add bins for visitors that have arrived, of `least` of them and as many as make BINS of the whole line."""
        base = line.ahead(self.newest)
        least = max(least, (self._sums[-1] + line.ahead(youngest) - base) / BINS)
        while len(self._masses) < MAX_BINS:
            edge = line.nth(base + least)
            if edge is None or edge > youngest or edge <= self.newest:
                return
            reached = line.ahead(edge)
            mass = max(0.0, reached - base)
            self._edges.append(edge)
            self._masses.append(mass)
            self._weights.append(1.0)
            self._trends.append(self._trends[-1] if self._trends else 0.0)
            self._sums.append(self._sums[-1] + mass)
            self.newest, base = edge, reached

    def _forget(self, front: float) -> None:
        passed = bisect_right(self._edges, front) - 1 - PASSED
        if passed > 0:
            del self._edges[:passed], self._masses[:passed], self._weights[:passed], self._trends[:passed]
            self._sum()

    def _sum(self) -> None:
        self._sums = list(accumulate(self._masses, initial=0.0))

    def _before(self, first_seen: float) -> float:
        edges, sums = self._edges, self._sums
        i = bisect_right(edges, first_seen)
        if i == 0:
            return 0.0
        if i == len(edges):
            return sums[-1]
        last, edge = sums[i - 1], edges[i - 1]
        return last + (sums[i] - last) * (first_seen - edge) / (edges[i] - edge)
