"""The line as one node sees it: how many of those who will really come stand before a given first arrival.

Three views, all of this node's sample of the line (one visitor in `nodes`):

    ahead(x)    leases older than x, each newcomer's counted with the share of newcomers who come back at all
    place(x)    the same without length bias: what lies between the front and the `edge`, ZONE_S away from it, is counted
                at the moment the edge passes over it, while everybody there still polls at the longest interval
    nth(k)      the inverse of `ahead`

Why `place`: a node that sets longer appointments than the others holds more leases, takes the line for longer and sets
still longer ones; nodes that share nothing then drift apart. Far from the front all nodes give the same interval,
so a lease count is fair there, and what was fairly counted at the edge is only moved along afterwards.

    front                              edge                                            youngest
      |---- frozen counts, in order -----|---- live leases, fair because all T equal -----|
"""

from bisect import bisect_right

from controller.leases import LeaseBook
from controller.showup import SelfReturns, ShowUp

YOUNG_S = 2.0  # beyond the longest interval: latency and stretch
PROBED = 24  # first leases that must have come due before newcomers are trusted with long appointments

SETTLED_S = 1.0


class Line:
    """Everything the node knows about who waits; `clock` is a time that never goes back."""

    __slots__ = (
        "_edges",
        "_fresh",
        "_masses",
        "_probed_s",
        "_ticked_at",
        "book",
        "returns",
        "showup",
        "young_s",
    )

    def __init__(self, capacity: int, clock: float, young_s: float, nodes: int) -> None:
        self.book = LeaseBook(capacity, clock)
        self._fresh = LeaseBook(capacity, clock)
        self.showup = ShowUp()
        self.returns = SelfReturns(nodes)
        self.young_s = young_s
        self._probed_s = 0.0  # time since enough first leases have come due
        self._ticked_at = clock
        self._edges: list[float] = []  # first_seen, ascending; the frozen profile
        self._masses: list[float] = []  # cumulative visitors up to each edge

    def __len__(self) -> int:
        return len(self.book)

    def __repr__(self) -> str:
        return f"<Line {self.book!r} {self.showup!r} {self.returns!r}>"

    @property
    def is_probed(self) -> bool:
        """Whether it is known what share of the newcomers comes back."""
        return self._probed_s > SETTLED_S

    def waiting(self) -> float:
        """Visitors who wait and will come back, on this node's list."""
        return len(self.book) - (1.0 - self.showup.share) * len(self._fresh)

    def visit(self, first_seen: float, age_s: float) -> None:
        """Somebody who is not new polls: a lease kept, here or elsewhere."""
        young = age_s < self.young_s
        if young:
            self.showup.visit()
        if first_seen in self._fresh:
            self._fresh.remove(first_seen)
            self.showup.due(1, 0)
        elif first_seen in self.book:
            self.returns.kept()
            if young:
                self.showup.due(0, 1)
        else:
            self.returns.maybe_late(first_seen)

    def expect(self, first_seen: float, due: float, is_first: bool) -> None:
        """They were told to come back by `due`."""
        self.book.add(first_seen, due)
        if is_first:
            self._fresh.add(first_seen, due)

    def leave(self, first_seen: float) -> None:
        """They are in."""
        self.book.remove(first_seen)
        self._fresh.remove(first_seen)

    def tick(self, clock: float, wall: float) -> None:
        """Let the leases run out whose time has come."""
        ghosts = self._fresh.expire(clock)
        gone = self.book.expire(clock)
        fresh = set(ghosts)
        proven = [first_seen for first_seen in gone if first_seen not in fresh]
        since = wall - self.young_s
        self.showup.due(len(ghosts), sum(first_seen > since for first_seen in proven))
        self.showup.settle()
        self.returns.missed(proven, clock)
        if self.showup.known >= PROBED:
            self._probed_s += clock - self._ticked_at
        self._ticked_at = clock
        self.book.refresh()
        self._fresh.refresh()

    def resample(self, ratio: float, nodes: int) -> None:
        """The number of nodes has changed: this node now sees `ratio` times the share it saw."""
        self.book.resample(ratio)
        self._fresh.resample(ratio)
        self._masses = [mass * ratio for mass in self._masses]
        self.returns = SelfReturns(nodes)

    def ahead(self, first_seen: float) -> float:
        fresh = self._fresh.rank(first_seen)
        ahead = self.book.rank(first_seen)
        return ahead - (1.0 - self.showup.share) * fresh if fresh else float(ahead)

    def nth(self, place: float) -> float | None:
        """first_seen of who has `place` expected visitors before them; None beyond the end."""
        if place <= 0.0:
            return self.book.nth(0)
        at = self.book.nth(int(place))
        share = self.showup.share
        for _ in range(4):
            if at is None:
                return None
            short = place - self.ahead(at)
            if short < 1.0 or share >= 1.0:
                return at
            at = self.book.nth(int(self.book.rank(at) + short))
        return at

    def place(self, first_seen: float, front: float) -> float:
        """Expected visitors between `front` and `first_seen`, without length bias."""
        edges = self._edges
        if not edges:
            return self.ahead(first_seen) - self.ahead(front)
        edge = edges[-1]
        if first_seen <= edge:
            return self._mass(first_seen) - self._mass(front)
        if front >= edge:
            return self.ahead(first_seen) - self.ahead(front)
        return self._masses[-1] - self._mass(front) + self.ahead(first_seen) - self.ahead(edge)

    def freeze(self, front: float, zone: float, youngest: float) -> None:
        """Move the edge to where `zone` visitors stand before it, but never over anybody younger than `youngest`."""
        edges, masses = self._edges, self._masses
        start = edges[-1] if edges else front
        missing = zone - (masses[-1] - self._mass(front) if edges else 0.0)
        if missing < 1.0:
            return
        base = self.ahead(start)
        at = self.nth(base + missing)
        edge = youngest if at is None else min(at, youngest)
        if edge <= start:
            return
        if not edges:
            edges.append(start)
            masses.append(0.0)
        edges.append(edge)
        masses.append(masses[-1] + max(0.0, self.ahead(edge) - base))
        passed = bisect_right(edges, front) - 2
        if passed > 64:
            del edges[:passed]
            del masses[:passed]

    def _mass(self, first_seen: float) -> float:
        edges, masses = self._edges, self._masses
        i = bisect_right(edges, first_seen)
        if i == 0:
            return masses[0]
        if i == len(edges):
            return masses[-1]
        return masses[i - 1] + (masses[i] - masses[i - 1]) * (first_seen - edges[i - 1]) / (edges[i] - edges[i - 1])
