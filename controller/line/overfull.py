"""A line that is longer than the node keeps leases for: exact near the front, a sample of the rest.

    front                boundary                                        youngest
      |--- one lease a visitor ---|--- leases of one visitor in `weight` -------|
                          -> moves on with the front

Whether a visitor beyond the boundary is in the sample depends on a hash of their first_seen alone. So it is the same at
each of their polls, and a sample of one in 2w is part of the sample of one in w. A visitor's lease has weight w there
with probability 1/w, so the sum of weights is the number of visitors (Horvitz-Thompson).

When the boundary moves over a visitor, their next poll gives them a lease of weight 1. Until then the sample stands for
them. By the time they are near the front they have polled again, so all near the front are counted exactly.

    near leases > capacity                    the boundary moves back to the middle of them
    visitors before it < capacity / 2         it moves on, to 3/4 of the capacity
    leases in the sample > capacity           weight doubles; those that are no longer in the sample go
    leases in the sample < capacity / 4       weight halves; a stand-in beside each lease lasts until the lease is due

The books of all visitors and of newcomers sample the same visitors.
"""

from math import inf
from typing import Final

from controller.line.leases import NO_LEASE, LeaseBook, Leases

__all__ = ["Overfull", "OverfullBook", "sampling_hash"]

GOLDEN: Final = 2654435769  # 2^32 / golden ratio: spreads consecutive numbers evenly
STAND_IN_S: Final = 1e-6  # a stand-in is this much younger than the lease beside it


def sampling_hash(first_seen: float) -> int:
    """Return a number in 0 .. 2^32 - 1 that is the same at each poll of a visitor, and evenly spread among visitors."""
    return round(first_seen * 1e6) * GOLDEN & 0xFFFFFFFF


class Overfull:
    """The rule that both books of an overfull line follow."""

    __slots__ = ("boundary", "weight")

    def __init__(self, boundary: float) -> None:
        self.boundary = boundary
        self.weight = 2

    def __repr__(self) -> str:
        return f"<Overfull: exact up to {self.boundary:.3f}, then one in {self.weight}>"

    def is_sampled(self, first_seen: float) -> bool:
        """Return whether a visitor beyond the boundary is in the sample."""
        return sampling_hash(first_seen) * self.weight < 0x1_0000_0000

    def rebalance(self, book: "OverfullBook", fresh: "OverfullBook", capacity: int) -> bool:
        """Keep both books within the capacity, once a control step. Return False if the line is no longer overfull."""
        if len(book.near) > capacity:
            boundary = book.near.nth(capacity // 2)
            self.boundary = inf if boundary is None else boundary
            book.demote()
            fresh.demote()
        elif self.boundary < inf and book.rank(self.boundary) < capacity // 2:
            boundary = book.nth(capacity * 3 // 4)
            self.boundary = inf if boundary is None else max(boundary, self.boundary)
        while len(book.far) > capacity:
            self.weight *= 2
            book.thin()
            fresh.thin()
        if self.weight > 2 and len(book.far) * 4 < capacity:
            self.weight //= 2
            book.thicken()
            fresh.thicken()
        return len(book.far) > 0 or self.boundary < inf


class OverfullBook(Leases):
    """One of the two books: `near` has one lease a visitor, `far` the sample."""

    __slots__ = ("_rule", "far", "near")

    def __init__(self, near: LeaseBook, rule: Overfull) -> None:
        self._rule = rule
        self.near = near
        self.far = near.emptied()
        self.demote()

    def __len__(self) -> int:
        return len(self.near) + len(self.far) * self._rule.weight

    def __repr__(self) -> str:
        return f"<OverfullBook {self.near!r}, then {self.far!r}, {self._rule!r}>"

    def find(self, first_seen: float) -> int:
        lease = self.near.find(first_seen)
        return self.far.find(first_seen) if lease == NO_LEASE else lease

    def starts_at(self, number: int) -> float:
        return self.near.starts_at(number)

    def counts(self, first_seen: float) -> bool:
        return first_seen <= self._rule.boundary or self._rule.is_sampled(first_seen)

    def rank(self, first_seen: float) -> int:
        return self.near.rank(first_seen) + self.far.rank(first_seen) * self._rule.weight

    def nth(self, count: int) -> float | None:
        near, weight = self.near, self._rule.weight
        low, high = 0, len(near)
        while low < high:  # for the first near lease with at least `count` visitors before it
            middle = (low + high) // 2
            at = near.nth(middle)
            if at is not None and middle + self.far.rank(at) * weight < count:
                low = middle + 1
            else:
                high = middle
        here, there = near.nth(low), self.far.nth(max(0, count - low) // weight)
        if here is None or there is None:
            return there if here is None else here
        return min(here, there) if there > (near.nth(low - 1) if low else -inf) else here  # type: ignore[operator]

    def renew(self, first_seen: float, due: float, lease: int) -> None:
        near, far = self.near, self.far
        if first_seen <= self._rule.boundary:
            if lease != NO_LEASE:
                far.remove(first_seen)
            near.add(first_seen, due)
        elif self._rule.is_sampled(first_seen):
            far.add(first_seen, due)

    def remove(self, first_seen: float) -> bool:
        return self.near.remove(first_seen) or self.far.remove(first_seen)

    def overdue(self, now: float) -> int:
        return self.near.overdue(now) + self.far.overdue(now)

    def expire(self, now: float) -> list[float]:
        return self.near.expire(now) + self.far.expire(now)

    def refresh(self) -> None:
        self.near.refresh()
        self.far.refresh()

    def resample(self, ratio: float) -> None:
        self.near.resample(ratio)
        self.far.resample(ratio)

    def demote(self) -> None:
        """Move the near leases beyond the boundary into the sample."""
        rule, pairs = self._rule, self.near.pairs()
        beyond = [pair for pair in pairs if pair[0] > rule.boundary]
        self.near.rebuild(pairs[: len(pairs) - len(beyond)])
        sampled = dict(self.far.pairs())
        sampled.update(pair for pair in beyond if rule.is_sampled(pair[0]))
        self.far.rebuild(sorted(sampled.items()))

    def thin(self) -> None:
        """Keep the leases that are in the sample at the greater weight."""
        self.far.rebuild([pair for pair in self.far.pairs() if self._rule.is_sampled(pair[0])])

    def thicken(self) -> None:
        """Put a stand-in beside each lease at the lesser weight."""
        twice = dict(self.far.pairs())
        twice.update((first_seen + STAND_IN_S, number) for first_seen, number in self.far.pairs())
        self.far.rebuild(sorted(twice.items()))
