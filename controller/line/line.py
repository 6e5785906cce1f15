"""The line as one node sees it: how many of those who will really come stand before a given first arrival.

Three views, all of this node's sample of the line (one visitor in `nodes`):

    ahead(x)    leases older than x, each newcomer's counted with the share of newcomers who come back at all
    place(x)    the same between the front and x, by the census: without length bias and with less noise
    nth(k)      the inverse of `ahead`

While joined, `ahead` counts whole visitors: near the front by the leases of all nodes (`controller/line/front.py`), further
back by their lists in quantiles (`controller/line/profile.py`); nobody needs a census then.

A count of newcomers who have not come back yet is a guess. While many of them do not, the census takes in nobody
younger than the longest interval: a stretch that was counted as mostly ghosts and moved to the front as such would
mislead this node about everybody behind it until it is over, and, through shorter appointments, about the stretch.
"""

from math import inf, sqrt
from typing import Final

from controller.line.estimator import LineEstimator
from controller.line.front import SharedFront, expected_nth
from controller.line.leases import EARLY_S, ExpiryBin, LeaseBook
from controller.line.profile import KNOTS, FarLine
from controller.line.return_rate import ReturnRate, TrafficShare

YOUNG_S: Final = 2.0  # beyond the longest interval: latency and stretch
PROBED: Final = 24  # first leases that must have come due before newcomers are trusted with long appointments

SETTLED_S: Final = 1.0
TRUSTED: Final = 0.9
SETTLE_S: Final = 3.0  # newcomers are counted this long after their arrival
HASTY_S: Final = 60.0  # who polled faster than asked is known that long at most
GOLDEN: Final = 2654435769  # 2^32 / golden ratio: spreads consecutive numbers evenly


class Line:
    """Everything the node knows about who waits; `clock` is a time that never goes back."""

    __slots__ = (
        "_beyond",
        "_census",
        "_end",
        "_end_far",
        "_end_own",
        "_fast_from",
        "_forget_at",
        "_fresh",
        "_guessed_until",
        "_muted_until",
        "_probed_s",
        "_proven_until",
        "_sample",
        "_seam",
        "_seam_far",
        "_seam_front",
        "_seam_own",
        "_ticked_at",
        "_were_late_s",
        "_were_late_until",
        "_zone",
        "book",
        "far",
        "freshest",
        "front",
        "guessed_from",
        "hasty",
        "knows_lateness",
        "late_s",
        "returns",
        "showup",
        "young_s",
    )

    def __init__(self, capacity: int, clock: float, young_s: float, nodes: int) -> None:
        self.book = LeaseBook(capacity, clock)
        self._fresh = LeaseBook(capacity, clock)
        self.showup = ReturnRate(is_sampled=nodes > 1)
        self.returns = TrafficShare(nodes)
        self.young_s = young_s
        self.late_s = 0.0  # visitors come so much later than usual
        self._were_late_s = 0.0  # the most of it while leases that are still open were given
        self._were_late_until = clock
        self.knows_lateness = False
        self.hasty: set[float] = set()  # they poll faster than asked
        self._fast_from = clock + EARLY_S  # whose lease ends later than that polls faster than asked
        self._forget_at = clock + HASTY_S
        self._guessed_until = -inf
        self.guessed_from = inf  # first_seen from which on nobody knows yet how many come back
        self._probed_s = 0.0  # time since enough first leases have come due
        self._ticked_at = clock
        self._muted_until = clock
        self._census = LineEstimator()
        self.front: SharedFront | None = None  # only while joined with other nodes
        self._beyond = 0.0
        self.freshest = -inf  # first_seen of the oldest newcomer, as of the last tick
        self._proven_until = -inf  # the same, and who has come since is young; -inf while muted
        self._sample = self._zone = 1.0
        self._seam = inf
        self._seam_front = self._seam_own = self._seam_far = 0.0
        self.far = FarLine()  # beyond the shared front
        self._end = -inf
        self._end_far = self._end_own = 0.0

    def __len__(self) -> int:
        return len(self.book)

    def __repr__(self) -> str:
        return f"<Line {self.book!r} {self.showup!r} {self.returns!r}>"

    @property
    def is_empty(self) -> bool:
        """Whether nobody is expected back, here or, as far as joined nodes have told, elsewhere near the front."""
        return not self.book and (self.front is None or not self.front.book)

    @property
    def is_probed(self) -> bool:
        """Whether it is known what share of the newcomers comes back."""
        return self._probed_s > SETTLED_S

    def waiting(self) -> float:
        """Visitors who wait and will come back, on this node's list."""
        return len(self.book) - (1.0 - self.showup.share) * len(self._fresh)

    def visit(self, first_seen: float, age_s: float, lease: ExpiryBin | None) -> None:
        """Somebody who is not new polls: a lease kept, here (what the book has of them) or elsewhere (None)."""
        if lease is not None and lease.starts_at > self._fast_from:
            # Faster than asked is no sign of anything: no honest client is that much too soon.
            if len(self.hasty) < self.book.capacity:
                self.hasty.add(first_seen)
            return
        if first_seen < self._proven_until and age_s >= self.young_s:  # as nearly all
            if lease is not None:
                self.returns.back += 1  # in time
            else:
                self.returns.maybe_late(first_seen)
            return
        muted = self._ticked_at < self._muted_until
        young = age_s < self.young_s and not muted
        if young:
            self.showup.visit()
        if first_seen in self._fresh.due:
            self._fresh.remove(first_seen)
            if young:
                self.showup.due(1, 0)
        elif muted:
            return
        elif lease is not None:
            self.returns.back += 1
            if young:
                self.showup.due(0, 1)
        else:
            self.returns.maybe_late(first_seen)

    def expect(self, first_seen: float, due: float, is_first: bool) -> None:
        """They were told to come back by `due`."""
        if self.hasty and first_seen in self.hasty and not self._stands_for_all(first_seen):
            self.book.remove(first_seen)
            return
        self.book.add(first_seen, due)
        if is_first:
            self._fresh.add(first_seen, due)

    def _stands_for_all(self, first_seen: float) -> bool:
        """Who polls faster than asked has a lease on every node at once: all nodes keep those of the same few."""
        share = self.returns.share
        return share >= 1.0 or (round(first_seen * 1e6) * GOLDEN & 0xFFFFFFFF) < share * 0x1_0000_0000

    def leave(self, first_seen: float) -> None:
        """They are in."""
        self.book.remove(first_seen)
        self._fresh.remove(first_seen)
        if self.front is not None:
            self.front.leave(first_seen)

    def tick(
        self, clock: float, wall: float, threshold: float = inf, behind_s: float = 0.0, owed_s: float = 0.0
    ) -> None:
        """Let the leases run out whose time has come; behind_s: those of so long ago, for nobody could come.

        owed_s: what is still owed of it. A joined node keeps those it gave itself no longer than that: whom it expected
        may come to another node, and counts there too.
        """
        own = clock - (behind_s if self.front is None else min(behind_s, owed_s))
        ghosts = self._fresh.expire(own)
        gone = self.book.expire(own)
        proven = gone
        if ghosts:
            fresh = set(ghosts)
            proven = [first_seen for first_seen in gone if first_seen not in fresh]
        if clock >= self._muted_until:
            since = wall - self.young_s
            self.showup.due(len(ghosts), len([first_seen for first_seen in proven if first_seen > since]))
            self.showup.settle()
            if self.knows_lateness and not self.returns.is_sure:
                self.returns.be_sure(clock + self.young_s)
            self.returns.missed(proven, clock, self.late_s)
        if self.showup.known >= PROBED:
            self._probed_s += clock - self._ticked_at
        self._ticked_at = clock
        if self.late_s >= self._were_late_s or clock > self._were_late_until:
            self._were_late_s, self._were_late_until = self.late_s, clock + self.young_s
        self._fast_from = clock + self._were_late_s + EARLY_S
        if clock > self._forget_at:
            self.hasty.clear()
            self._forget_at = clock + HASTY_S
        self.book.refresh()
        self._fresh.refresh()
        oldest = self._fresh.nth(0)
        self.freshest = inf if oldest is None else oldest
        self._proven_until = -inf if clock < self._muted_until else self.freshest
        if self.front is not None:
            self.front.tick(clock - behind_s, threshold)
            self._meet()

    def join(self, sample: float, zone: float) -> SharedFront:
        """Count whole visitors from now on: up to `zone` in the shared front, beyond it by the sample."""
        if self.front is None:
            self.front = SharedFront(self.book.capacity, self._ticked_at)
            self._census.clear()
        self._sample, self._zone = sample, zone
        self._meet()
        return self.front

    def part(self) -> None:
        """The others are gone: back to the node's own sample."""
        self.front = None

    def _meet(self) -> None:
        """Where the shared front ends and the sample takes over."""
        if self.front is not None:
            at = self.front.nth(self._zone, self.showup.share)
            if at is None and self.far:  # it holds fewer, and those behind it have not asked since they came near
                last = self.front.book.nth(len(self.front.book) - 1)
                at = last if last is None or last < self.far.end else None
            self._seam = inf if at is None else at
            self._seam_front = self.front.ahead(self._seam, self.showup.share)
            self._seam_own = self._own(self._seam)
            self._end = max(self.far.end, self._seam)
            self._end_own = self._own(self._end)
            self._seam_far = self._end_far = 0.0
            if self.far:
                self._seam_far = self.far.ahead(self._seam)
                self._end_far = self.far.ahead(self._end)

    def profile(self) -> tuple[float, ...]:
        """This node's list in quantiles; see `controller/line/profile.py`."""
        waiting = self.waiting()
        knots = min(KNOTS, int(waiting))
        share = self.showup.share
        found = (expected_nth(self.book, self._fresh, waiting * (k + 0.5) / knots, share) for k in range(knots))
        return tuple(first_seen for first_seen in found if first_seen is not None)

    def resample(self, ratio: float, nodes: int) -> None:
        """The number of nodes has changed: this node now sees `ratio` times the share it saw."""
        self.book.resample(ratio)
        self._fresh.resample(ratio)
        self._census.scale(ratio)
        self.returns = TrafficShare(nodes)
        self._muted_until = self._ticked_at + self.young_s  # stand-ins keep no appointments
        self._proven_until = -inf

    def ahead(self, first_seen: float) -> float:
        """Visitors before this one who will come; of this node's sample, or of all while joined."""
        if self.front is None:
            return self.book.rank(first_seen) if first_seen <= self.freshest else self._own(first_seen)
        if first_seen <= self._seam:
            return self.front.ahead(first_seen, self.showup.share)
        if first_seen <= self._end:
            return self._seam_front + self.far.ahead(first_seen) - self._seam_far
        return (
            self._seam_front + self._end_far - self._seam_far + (self._own(first_seen) - self._end_own) / self._sample
        )

    def blurred(self, first_seen: float) -> float:
        """Standard deviation of `ahead` in visitors, for what joined nodes know from their own sample only."""
        if first_seen <= self._end:
            return 0.0
        return sqrt(max(0.0, self._own(first_seen) - self._end_own)) / self._sample

    def doubted(self, first_seen: float) -> float:
        """Newcomers of this node's sample before this one who are not expected to come."""
        if first_seen <= self.freshest or self.showup.share >= 1.0:
            return 0.0
        return (1.0 - self.showup.share) * self._fresh.rank(first_seen)

    def nth(self, place: float) -> float | None:
        """first_seen of who has `place` expected visitors before them; None beyond the end."""
        share = self.showup.share
        if self.front is None:
            return expected_nth(self.book, self._fresh, place, share)
        if place <= self._seam_front:
            return self.front.nth(place, share)
        if self._seam == inf:
            return None
        own = self._seam_own + (place - self._seam_front) * self._sample
        return expected_nth(self.book, self._fresh, own, share)

    def _own(self, first_seen: float) -> float:
        ahead = self.book.rank(first_seen)
        if first_seen > self.freshest:
            share = self.showup.share
            if share < 1.0:
                return ahead - (1.0 - share) * self._fresh.rank(first_seen)
        return ahead

    def place(self, first_seen: float, front: float) -> float:
        """Expected visitors between `front`, as of the last `survey`, and `first_seen`, without length bias."""
        census = self._census
        if census.newest <= front:
            return self.ahead(first_seen) - self.ahead(front)
        if first_seen > census.newest:
            return self._beyond + self._own(first_seen)
        return census.between(first_seen)

    def survey(self, front: float, flow: float, interval_s: float, now: float, part: float) -> None:
        """Keep the census of a node that shares nothing up to date; once a tick. part: the node's, of the capacity."""
        youngest = now - SETTLE_S
        if self.showup.share < TRUSTED:
            self._guessed_until = self._ticked_at + self.young_s
        if self._ticked_at < self._guessed_until:  # newcomers are counted by guess until they have come back
            self.guessed_from = now - self.young_s
            youngest = min(youngest, self.freshest, self.guessed_from)
        else:
            self.guessed_from = inf
        census = self._census
        census.step(self, front, flow, youngest, self._ticked_at, interval_s, self.returns.surplus(part))
        self._beyond = census.between(census.newest) - self._own(census.newest)
