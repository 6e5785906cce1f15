"""The front of the line of joined nodes: the leases of all of them, whole visitors instead of a sample.

    nth(k)      the lease x with  rank(x) - (1 - p) * fresh rank(x) = k,   p = share of newcomers who come

Every lease near the front is told to all nodes with the next heartbeat, so the front is one heartbeat old.
"""

from controller.fleet.summary import NEWS_S
from controller.line.leases import LeaseBook


def expected_nth(book: LeaseBook, fresh: LeaseBook, place: float, show_up: float) -> float | None:
    """first_seen of who has `place` visitors before them who will come, newcomers counted by `show_up`."""
    at = book.nth(int(place))
    for _ in range(4):
        if at is None:
            return None
        short = place - book.rank(at) + (1.0 - show_up) * fresh.rank(at)
        if short < 1.0:
            return at
        at = book.nth(int(book.rank(at) + short))
    return at


class SharedFront:
    """The leases of all joined nodes near the front, one heartbeat old; whole visitors, not a sample."""

    __slots__ = ("_limbo", "book", "fresh")

    def __init__(self, capacity: int, clock: float) -> None:
        self._limbo: set[float] = set()
        self.book = LeaseBook(capacity, clock)
        self.fresh = LeaseBook(capacity, clock)

    def expect(self, first_seen: float, due: float, is_first: bool) -> None:
        """News of a lease, from here or from another node; an appointment never moves to an earlier time."""
        if not self.book.add_later(first_seen, due):
            return
        self._limbo.discard(first_seen)
        if is_first:
            self.fresh.add(first_seen, due)
        else:
            self.fresh.remove(first_seen)

    def leave(self, first_seen: float) -> None:
        self.book.remove(first_seen)
        self.fresh.remove(first_seen)

    def tick(self, clock: float, threshold: float) -> None:
        """Leases run out. Whose turn had come is in, on whatever node; the others have polled elsewhere,
        still wait, and are kept until the news of their next lease must have arrived."""
        for first_seen in self.book.expire(clock):
            if first_seen in self._limbo:
                self._limbo.discard(first_seen)
            elif first_seen > threshold and first_seen not in self.fresh:
                self._limbo.add(first_seen)
                self.book.add(first_seen, clock + NEWS_S)
        self.fresh.expire(clock)
        if len(self._limbo) > self.book.capacity:
            self._limbo.clear()
        self.book.refresh()
        self.fresh.refresh()

    def ahead(self, first_seen: float, show_up: float) -> float:
        return self.book.rank(first_seen) - (1.0 - show_up) * self.fresh.rank(first_seen)

    def nth(self, place: float, show_up: float) -> float | None:
        return expected_nth(self.book, self.fresh, place, show_up)
