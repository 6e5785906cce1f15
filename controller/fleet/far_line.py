"""The far line of joined nodes: every node's own list in a few quantiles, put together.

Near the front the nodes share every lease (`controller/fleet/shared_front.py`). Further back nobody needs news of
single leases, and one node's own list is a sample that knows position n only to sqrt(n * nodes). So once a second each
node publishes KNOTS quantiles of its list (`Line.profile`),

    knot_k = the first_seen with W * (k + 1/2) / KNOTS expected visitors before it,   W = waiting there

and because each present visitor has one lease on one node, the sum of all lists is the line:

    ahead(x) = sum over nodes of W_i / KNOTS * (knots of i before x),     linear between the merged knots

Error: about half a knot of all nodes together, 1 / (2 * KNOTS * nodes) of the line, instead of the sample's. Memory:
KNOTS floats a node.
"""

from bisect import bisect_right
from collections.abc import Iterable
from math import inf


class FarLine:
    """The lists of all nodes, as of the last `merge`."""

    __slots__ = ("_counts", "_knots", "end")

    def __init__(self) -> None:
        self._knots: list[float] = []
        self._counts: list[float] = []
        self.end = -inf  # first_seen up to which the list of every node goes

    def __repr__(self) -> str:
        return f"<FarLine {self._counts[-1] if self._counts else 0:.0f} visitors in {len(self._knots)} knots>"

    def __bool__(self) -> bool:
        return len(self._knots) > 1

    def merge(self, lists: Iterable[tuple[float, tuple[float, ...]]]) -> None:
        """Replace the lists by (waiting, knots) of every node. Knots ascend and are in seconds since 1970."""
        weighed: list[tuple[float, float]] = []
        end = inf
        for waiting, knots in lists:
            if knots:
                each = waiting / len(knots)
                weighed += [(first_seen, each) for first_seen in knots]
                end = min(end, knots[-1])
        weighed.sort()
        self.end = end if weighed else -inf
        self._knots = [first_seen for first_seen, _ in weighed]
        total = 0.0
        self._counts = []
        for _, each in weighed:
            self._counts.append(total + 0.5 * each)
            total += each

    def ahead(self, first_seen: float) -> float:
        """Return how many expected visitors stand before this one."""
        knots, counts = self._knots, self._counts
        i = bisect_right(knots, first_seen)
        if i == 0:
            return 0.0
        if i == len(knots):
            return counts[-1]
        gap = knots[i] - knots[i - 1]
        return counts[i - 1] + (counts[i] - counts[i - 1]) * (first_seen - knots[i - 1]) / gap
