"""The front of the line of joined nodes: the leases of all of them, whole visitors instead of a sample.

    nth(k)      the lease x with  rank(x) - (1 - p) * fresh rank(x) = k,   p = return rate

Every lease near the front is told to all nodes with the next heartbeat, so the front is one heartbeat old.
"""

from controller.fleet.summary import NEWS_S
from controller.line.leases import LeaseBook
from controller.line.line import expected_nth


class SharedFront:
    """The leases of all joined nodes near the front."""

    __slots__ = ("_capacity", "_limbo", "book", "fresh")

    def __init__(self, capacity: int, clock: float) -> None:
        self._capacity = capacity  # the most leases
        self._limbo: set[float] = set()  # leases that ran out here and may have been given anew elsewhere
        self.book = LeaseBook(clock)
        self.fresh = LeaseBook(clock)

    def __repr__(self) -> str:
        return f"<SharedFront {self.book!r}>"

    def expect(self, first_seen: float, due: float, is_first: bool) -> None:
        """Note a lease given here or at another node. An appointment never moves to an earlier time."""
        if len(self.book) >= self._capacity or not self.book.add_later(first_seen, due):
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
        """End the leases that are due.

        A called visitor is admitted by then, at whatever node. The others have polled elsewhere and still wait: they
        are kept until the news of their next lease must have arrived.
        """
        for first_seen in self.book.expire(clock):
            if first_seen in self._limbo:
                self._limbo.discard(first_seen)
            elif first_seen > threshold and first_seen not in self.fresh:
                self._limbo.add(first_seen)
                self.book.add(first_seen, clock + NEWS_S)
        self.fresh.expire(clock)
        if len(self._limbo) > self._capacity:
            self._limbo.clear()
        self.book.refresh()
        self.fresh.refresh()

    def ahead(self, first_seen: float, return_rate: float) -> float:
        """Return how many visitors before this one are expected to come back."""
        return self.book.rank(first_seen) - (1.0 - return_rate) * self.fresh.rank(first_seen)

    def nth(self, count: float, return_rate: float) -> float | None:
        """Return the first_seen with `count` expected visitors before it, or None beyond the end."""
        return expected_nth(self.book, self.fresh, count, return_rate)
