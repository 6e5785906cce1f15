"""The line as one node's own polls show it: the leases that it gave, and which visitors came back.

    waiting      leases, each newcomer's counted with the return rate
    ahead(x)     the same of the leases older than x
    nth(k)       the inverse of `ahead`

A *newcomer* has polled once; their lease is in `book` and in `fresh`. A *proven* visitor has come back at least once.
While other nodes see parts of the same line, all of this is a sample of it (one visitor in `nodes`). A line view
(`controller/line/view.py`) says what follows for the whole line.
"""

from math import inf
from typing import Final

from controller.line.leases import EARLY_S, NO_LEASE, LeaseBook, Leases
from controller.line.overfull import Overfull, OverfullBook, sampling_hash
from controller.line.return_rate import ReturnRate
from controller.line.traffic_share import TrafficShare

YOUNG_S: Final = 2.0  # beyond the longest interval: latency and stretch
PROBED: Final = 24  # first leases that must have come due before newcomers get long appointments
SETTLED_S: Final = 1.0
HASTY_S: Final = 60.0  # a visitor that polled faster than asked is remembered this long at most
KNOTS: Final = 32  # quantiles in which the list is published


def expected_nth(book: Leases, fresh: Leases, count: float, return_rate: float) -> float | None:
    """Return the first_seen with `count` expected visitors before it, or None beyond the end.

    Newcomers are counted with the return rate:  rank(x) - (1 - p) * fresh rank(x) = count.
    """
    at = book.nth(int(count))
    for _ in range(4):
        if at is None:
            return None
        short = count - book.rank(at) + (1.0 - return_rate) * fresh.rank(at)
        if short < 1.0:
            return at
        at = book.nth(int(book.rank(at) + short))
    return at


class Line:
    """What this node knows of the visitors that wait. `clock` is a time that never goes back."""

    __slots__ = (
        "_fast_from", "_forget_at", "_muted_until", "_overfull", "_probed_s", "_proven_until", "_were_late_s",
        "_were_late_until",
        "book", "capacity", "fresh", "freshest", "hasty", "return_rate", "ticked_at", "traffic", "young_s",
    )  # fmt: skip

    def __init__(self, capacity: int, clock: float, young_s: float, nodes: int) -> None:
        self.capacity = capacity  # the most leases, of all visitors and of newcomers; twice as many if overfull
        self.book: Leases = LeaseBook(clock)
        self.fresh: Leases = LeaseBook(clock)
        self._overfull: Overfull | None = None
        self.return_rate = ReturnRate(is_sampled=nodes > 1)
        self.traffic = TrafficShare(nodes)
        self.young_s = young_s  # a visitor is young for this long
        self._were_late_s = 0.0  # the most by which visitors were late while leases that are still open were given
        self._were_late_until = clock
        self.hasty: set[float] = set()  # visitors that poll faster than asked
        self._fast_from = clock + EARLY_S  # a poll before a lease that ends later than that is faster than asked
        self._forget_at = clock + HASTY_S
        self._probed_s = 0.0  # time since enough first leases have come due
        self.ticked_at = clock
        self._muted_until = clock  # until then stand-ins are in the books, which keep no appointments
        self.freshest = -inf  # first_seen of the oldest newcomer, as of the last control step
        # All visitors older than it are proven. The same as `freshest`, or -inf while muted.
        self._proven_until = -inf

    def __len__(self) -> int:
        return len(self.book)

    def __repr__(self) -> str:
        return f"<Line {self.book!r} {self.return_rate!r} {self.traffic!r}>"

    @property
    def is_probed(self) -> bool:
        """Whether it is known what share of the newcomers comes back."""
        return self._probed_s > SETTLED_S

    def waiting(self) -> float:
        """Return how many visitors on this node's list are expected to come back."""
        return len(self.book) - (1.0 - self.return_rate.share) * len(self.fresh)

    def ahead(self, first_seen: float) -> float:
        """Return how many visitors on this node's list before this one are expected to come back."""
        ahead = self.book.rank(first_seen)
        if first_seen > self.freshest:
            share = self.return_rate.share
            if share < 1.0:
                return ahead - (1.0 - share) * self.fresh.rank(first_seen)
        return ahead

    def nth(self, count: float) -> float | None:
        """Return the first_seen with `count` expected visitors before it, or None beyond the end."""
        return expected_nth(self.book, self.fresh, count, self.return_rate.share)

    def doubted(self, first_seen: float) -> float:
        """Return how many newcomers on the list before this one are not expected to come back."""
        if first_seen <= self.freshest or self.return_rate.share >= 1.0:
            return 0.0
        return (1.0 - self.return_rate.share) * self.fresh.rank(first_seen)

    def profile(self) -> tuple[float, ...]:
        """Return this node's list in quantiles; see `controller/fleet/far_line.py`."""
        waiting = self.waiting()
        knots = min(KNOTS, int(waiting))
        found = (self.nth(waiting * (k + 0.5) / knots) for k in range(knots))
        return tuple(first_seen for first_seen in found if first_seen is not None)

    def visit(self, first_seen: float, age_s: float, lease: int) -> None:
        """Count the poll of a visitor that is not new. lease: what `book.find` says of them."""
        if lease != NO_LEASE and self.book.starts_at(lease) > self._fast_from:
            # A poll faster than asked is no sign of anything: no honest client is that much too soon.
            if len(self.hasty) < self.capacity:
                self.hasty.add(first_seen)
            return
        if first_seen < self._proven_until and age_s >= self.young_s:  # as nearly all
            if lease != NO_LEASE:
                self.traffic.back += 1  # in time
            else:
                self.traffic.maybe_late(first_seen)
            return
        is_muted = self.ticked_at < self._muted_until
        is_young = age_s < self.young_s and not is_muted
        if is_young and self.book.counts(first_seen):
            self.return_rate.visit()
        if first_seen in self.fresh:
            self.fresh.remove(first_seen)
            if is_young:
                self.return_rate.due(1, 0)
        elif is_muted:
            return
        elif lease != NO_LEASE:
            self.traffic.back += 1
            if is_young:
                self.return_rate.due(0, 1)
        else:
            self.traffic.maybe_late(first_seen)

    def expect(self, first_seen: float, due: float, is_first: bool) -> None:
        """Give a lease: the visitor was asked to poll again by `due`. is_first: they are a newcomer."""
        if self.hasty and first_seen in self.hasty and not self._stands_for_all(first_seen):
            self.book.remove(first_seen)
            return
        self.book.add(first_seen, due)
        if is_first:
            self.fresh.add(first_seen, due)

    def _stands_for_all(self, first_seen: float) -> bool:
        """Choose the hasty visitors that count: they have a lease on every node at once, so all nodes keep the same."""
        share = self.traffic.share
        return share >= 1.0 or sampling_hash(first_seen) < share * 0x1_0000_0000

    def leave(self, first_seen: float) -> None:
        """Take a visitor off the list: they are admitted, or gone."""
        self.book.remove(first_seen)
        self.fresh.remove(first_seen)

    def lengthen(self, longest_s: float) -> None:
        """Use another longest interval, as it is stretched now."""
        self.young_s = longest_s + YOUNG_S

    def tick(
        self, clock: float, wall: float, delayed_s: float = 0.0, late_s: float = 0.0, is_latency_known: bool = False
    ) -> None:
        """End the leases that are due, and learn from them.

        delayed_s: leases end this much later, because nobody could poll for a while (`StallGuard`). late_s: how much
        later than usual visitors poll. is_latency_known: whether that was measured.
        """
        own = clock - delayed_s
        ghosts = self.fresh.expire(own)
        gone = self.book.expire(own)
        proven = gone
        if ghosts:
            fresh = set(ghosts)
            proven = [first_seen for first_seen in gone if first_seen not in fresh]
        if clock >= self._muted_until:
            since = wall - self.young_s
            self.return_rate.due(len(ghosts), len([first_seen for first_seen in proven if first_seen > since]))
            self.return_rate.settle()
            if is_latency_known and not self.traffic.is_sure:
                self.traffic.be_sure(clock + self.young_s)
            self.traffic.missed(proven, clock, late_s)
        if self.return_rate.evidence >= PROBED:
            self._probed_s += clock - self.ticked_at
        self.ticked_at = clock
        if late_s >= self._were_late_s or clock > self._were_late_until:
            self._were_late_s, self._were_late_until = late_s, clock + self.young_s
        self._fast_from = clock + self._were_late_s + EARLY_S
        if clock > self._forget_at:
            self.hasty.clear()
            self._forget_at = clock + HASTY_S
        self.book.refresh()
        self.fresh.refresh()
        self._rebalance()
        oldest = self.fresh.nth(0)
        self.freshest = inf if oldest is None else oldest
        self._proven_until = -inf if clock < self._muted_until else self.freshest

    def _rebalance(self) -> None:
        """Sample the far line while there are more leases than the node keeps."""
        book, fresh, rule = self.book, self.fresh, self._overfull
        if rule is None and len(book) > self.capacity and isinstance(book, LeaseBook) and isinstance(fresh, LeaseBook):
            boundary = book.nth(self.capacity // 2)
            rule = self._overfull = Overfull(inf if boundary is None else boundary)
            sampled, sampled_fresh = OverfullBook(book, rule), OverfullBook(fresh, rule)
            self.book, self.fresh, book, fresh = sampled, sampled_fresh, sampled, sampled_fresh
        if rule is not None and isinstance(book, OverfullBook) and isinstance(fresh, OverfullBook):
            is_overfull = rule.rebalance(book, fresh, self.capacity)
            if not is_overfull:
                self.book, self.fresh, self._overfull = book.near, fresh.near, None

    def resample(self, ratio: float, nodes: int) -> None:
        """Use another number of nodes: this node now sees `ratio` times the share of the line that it saw."""
        self.book.resample(ratio)
        self.fresh.resample(ratio)
        self.traffic = TrafficShare(nodes)
        self._muted_until = self.ticked_at + self.young_s
        self._proven_until = -inf
