"""The lease book: which visitors are expected back, and when. It names nobody.

A lease says "a visitor who first arrived at `first_seen` was asked to poll again by `due`". It is all that a node
remembers of a visitor, for the few seconds until they poll or do not. The book answers, in O(log n): how many waiting
visitors are older than this one (`rank`), and what is the first_seen at position k (`nth`).

    first_seen  ---->  |.....|......|....|........|      sorted, in chunks of at most 2 * CHUNK
    due         ---->  wheel of expiry bins of BIN_S; a bin that is over takes its leases with it

A lease ends when its time has come, whether or not the visitor polled *here*: with several nodes they mostly poll
elsewhere. At any moment each present visitor thus has one lease, on the node that they polled last, and the book of
every node is an unbiased sample of the line. (A poll seen with interval T stands for T seconds of one visitor's
presence: the Horvitz-Thompson weight. It holds because the lease lives for just T.)

Memory: at most `capacity` leases, about 150 bytes each. A full book forgets every other lease and counts each of the
rest twice (`weight` doubles), and so on. It fills up again when the line is short.
"""

from array import array
from bisect import bisect_left
from itertools import accumulate, filterfalse
from typing import Final

BIN_S: Final = 0.1  # resolution of due times
#: A poll this much before its lease ends is too early: a page's jitter is 0.25 s at most, grace and rounding 0.2 s.
EARLY_S: Final = 0.7
CHUNK: Final = 256  # sqrt of the usual 65,000 leases

# Compiled code looks up an imported name in the module at each call, a final one not.
_left: Final = bisect_left


class ExpiryBin:
    """The leases that end in the same BIN_S.

    They share one object: a number for each of a hundred thousand would lie somewhere else in memory, and a poll would
    wait for it (up to a fifth of `Gate.decide`).
    """

    __slots__ = ("appointed", "left", "number", "starts_at")

    def __init__(self, number: int) -> None:
        self.number = number
        self.starts_at = number * BIN_S  # and ends BIN_S later
        # first_seen of the leases that were to end in it. An array, because objects would be scattered over memory.
        self.appointed = array("d")
        # first_seen of the leases that were moved or removed. A lease that returns is once more in both.
        self.left: list[float] = []

    def __repr__(self) -> str:
        return f"<ExpiryBin {self.number} of {len(self.appointed) - len(self.left)}>"


class LeaseBook:
    """A bounded set of (first_seen, due). All times are in seconds, on the caller's axes."""

    __slots__ = (
        "_chunks",
        "_maxes",
        "_next_bin",
        "_prefix",
        "_skip",
        "_wheel",
        "capacity",
        "due",
        "weight",
    )

    def __init__(self, capacity: int, now: float) -> None:
        self.capacity = capacity
        self._chunks: list[list[float]] = [[]]
        self._maxes: list[float] = []  # greatest first_seen of every chunk but the last
        self._prefix: list[int] = [0]  # leases before each chunk, as of the last refresh
        # first_seen -> expiry bin. Others may read it, because a method call costs more than the look-up itself.
        self.due: dict[float, ExpiryBin] = {}
        self._wheel: dict[int, ExpiryBin] = {}
        self._next_bin = int(now / BIN_S)  # number of the first bin that is not over
        self._skip = 0
        self.weight = 1  # visitors that one lease stands for

    def __len__(self) -> int:
        return len(self.due) * self.weight

    def __repr__(self) -> str:
        return f"<LeaseBook {len(self.due)} leases, each for {self.weight}>"

    def __contains__(self, first_seen: float) -> bool:
        return first_seen in self.due

    def rank(self, first_seen: float) -> int:
        """Return how many leases are older than `first_seen`."""
        c = _left(self._maxes, first_seen)
        return (self._prefix[c] + _left(self._chunks[c], first_seen)) * self.weight

    def nth(self, count: int) -> float | None:
        """Return first_seen of the lease with `count` older ones (0 = the oldest), or None beyond the end."""
        count //= self.weight
        if count < 0:
            count = 0
        for chunk in self._chunks:
            if count < len(chunk):
                return chunk[count]
            count -= len(chunk)
        return None

    def add(self, first_seen: float, due: float) -> None:
        """Expect a visitor back. The same first_seen again moves its lease."""
        self.renew(first_seen, due, self.due.get(first_seen))

    def renew(self, first_seen: float, due: float, lease: ExpiryBin | None) -> None:
        """Do the same as `add` for a caller that has looked up the visitor's entry in `due`."""
        number = int(due / BIN_S)
        if number < self._next_bin:
            number = self._next_bin
        if lease is not None:
            if lease.number == number:  # a visitor who polls faster than asked must not fill the bin
                return
            lease.left.append(first_seen)
        else:
            if self.weight > 1:  # a systematic sample: every weight-th new lease
                self._skip += 1
                if self._skip % self.weight:
                    return
            self._insert(first_seen)
        expiry = self._wheel.get(number)
        if expiry is None:
            expiry = self._wheel[number] = ExpiryBin(number)
        expiry.appointed.append(first_seen)
        self.due[first_seen] = expiry
        if lease is None and len(self.due) > self.capacity:
            self._thin()

    def add_later(self, first_seen: float, due: float) -> bool:
        """Do the same as `add`, unless a later appointment is known already or this one is over."""
        number, lease = int(due / BIN_S), self.due.get(first_seen)
        if number < self._next_bin or (lease is not None and lease.number > number):
            return False
        self.add(first_seen, due)
        return True

    def remove(self, first_seen: float) -> bool:
        """End the lease of a visitor who is admitted or known to have left. Return whether there was one."""
        lease = self.due.pop(first_seen, None)
        if lease is None:
            return False
        lease.left.append(first_seen)
        self._delete(first_seen)
        return True

    def overdue(self, now: float) -> int:
        """Return how many leases `expire` would end."""
        return sum(len(self._ending(self._wheel[number])) for number in self._over(int(now / BIN_S)))

    def expire(self, now: float) -> list[float]:
        """End the leases whose time is over, and return the first_seen of each."""
        last = int(now / BIN_S)
        gone: list[float] = []
        for number in self._over(last):
            gone += self._ending(self._wheel.pop(number))
        for first_seen in gone:
            del self.due[first_seen]
            self._delete(first_seen)
        self._next_bin = max(self._next_bin, last)
        if self.weight > 1 and len(self.due) * 4 < self.capacity:
            self._thicken()
        return gone

    def _ending(self, expiry: ExpiryBin) -> list[float]:
        """Return the leases that end in this bin.

        The bin's own lists lie together in memory. To look up each of a thousand leases in `due` would take the better
        part of a control step.
        """
        ending = list(filterfalse(set(expiry.left).__contains__, expiry.appointed))
        if len(ending) + len(expiry.left) < len(expiry.appointed):  # a lease has left and come back
            return list({first_seen: None for first_seen in expiry.appointed if self.due.get(first_seen) is expiry})
        return ending

    def _over(self, last: int) -> list[int]:
        """Return the numbers of the bins before `last` that exist, in order of time."""
        if last - self._next_bin > len(self._wheel) + 8:  # a long stall, or a clock set forward
            return sorted(number for number in self._wheel if number < last)
        return [number for number in range(self._next_bin, last) if number in self._wheel]

    def refresh(self) -> None:
        """Bring the chunk counts up to date. Once a control step is enough: ranks are that old at most."""
        self._prefix = list(accumulate(map(len, self._chunks), initial=0))

    def _insert(self, first_seen: float) -> None:
        c = _left(self._maxes, first_seen)
        chunk = self._chunks[c]
        chunk.insert(_left(chunk, first_seen), first_seen)
        if len(chunk) > 2 * CHUNK:
            self._chunks[c : c + 1] = [chunk[:CHUNK], chunk[CHUNK:]]
            self._maxes.insert(c, chunk[CHUNK - 1])
            self.refresh()

    def _delete(self, first_seen: float) -> None:
        c = _left(self._maxes, first_seen)
        chunk = self._chunks[c]
        del chunk[_left(chunk, first_seen)]
        if not chunk and len(self._chunks) > 1:
            del self._chunks[c]
            del self._maxes[min(c, len(self._maxes) - 1)]
            self.refresh()

    def _thin(self) -> None:
        """Keep every other lease and let each stand for twice as many."""
        keep = set(sorted(self.due)[::2])
        self._rebuild({f: expiry.number for f, expiry in self.due.items() if f in keep})
        self.weight *= 2

    def _thicken(self) -> None:
        """Undo one thinning: stand-ins beside each lease replace the forgotten ones."""
        twice = {f: expiry.number for f, expiry in self.due.items()}
        for first_seen, expiry in self.due.items():
            twice[first_seen + 1e-6] = expiry.number
        self._rebuild(twice)
        self.weight //= 2

    def resample(self, ratio: float) -> None:
        """Forget leases, or add stand-ins: the node now sees `ratio` times the line that it saw."""
        numbers: dict[float, int] = {}
        credit = 0.5
        for first_seen in sorted(self.due):
            credit += ratio
            copies = int(credit)
            credit -= copies
            for copy in range(min(copies, 64)):
                numbers[first_seen + copy * 1e-6] = self.due[first_seen].number
        self._rebuild(numbers)
        while len(self.due) > self.capacity:
            self._thin()

    def _rebuild(self, numbers: dict[float, int]) -> None:
        """numbers: first_seen -> number of the expiry bin."""
        self._wheel = {number: ExpiryBin(number) for number in set(numbers.values())}
        self.due = {first_seen: self._wheel[number] for first_seen, number in numbers.items()}
        for first_seen, expiry in self.due.items():
            expiry.appointed.append(first_seen)
        line = sorted(self.due)
        self._chunks = [line[i : i + CHUNK] for i in range(0, len(line), CHUNK)] or [[]]
        self._maxes = [chunk[-1] for chunk in self._chunks[:-1]]
        self.refresh()
