"""The lease book: which visitors are expected back, and when. It names nobody.

A lease says "a visitor that first arrived at `first_seen` was asked to poll again by `due`". It is all that a node
remembers of a visitor, for the few seconds until they poll or do not. The book answers, in O(log n): how many waiting
visitors are older than this one (`rank`), and what is the first_seen at position k (`nth`).

    first_seen  ---->  |.....|......|....|........|      sorted, in chunks; beside each the number of its expiry bin
    due         ---->  wheel of expiry bins of BIN_S; a bin that is over takes its leases with it

A lease ends when its time has come, whether or not the visitor polled *here*: with several nodes they mostly poll
elsewhere. At any moment each present visitor thus has one lease, on the node that they polled last, and the book of
every node is an unbiased sample of the line. (A poll seen with interval T stands for T seconds of one visitor's
presence: the Horvitz-Thompson weight. It holds because the lease lives for just T.)

Memory: 28 to 44 bytes a lease: 12 in the chunks, 8 in its bin and 8 in the bin that it left last, and what arrays keep
free. The chunks of a book with up to LONG leases are lists, which takes twice as much and is faster while they fit the
processor's cache (64 leases: find and rank 0.3 us instead of 0.4; with 100,000 in the book 1.2 instead of 0.9). A line
of more leases than the gate keeps is counted by `controller/line/overfull.py`.
"""

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import MutableSequence
from itertools import accumulate, filterfalse
from math import nan
from typing import Final

from controller.line.expiry_bin import ExpiryBin
from controller.line.search import IS_COMPILED, left_of

BIN_S: Final = 0.1  # resolution of due times
#: A poll this much before its lease ends is too early: a page's jitter is 0.25 s at most, grace and rounding 0.2 s.
EARLY_S: Final = 0.7
CHUNK: Final = 256  # sqrt of the usual 65,000 leases
#: Of a book with more than LONG leases: a control step walks the chunks, and a poll waits for memory.
LONG_CHUNK: Final = 1024
LONG: Final = 131_072
#: What `find` returns for a visitor without a lease.
NO_LEASE: Final = -1

# Compiled code looks up an imported name in the module at each call, a final one not.
_left: Final = bisect_left


class Leases(ABC):
    """The leases of a line. All times are in seconds, on the caller's axes."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many visitors the leases stand for."""

    @abstractmethod
    def find(self, first_seen: float) -> int:
        """Return the number of the expiry bin of the visitor's lease, or NO_LEASE."""

    @abstractmethod
    def starts_at(self, number: int) -> float:
        """Return the time at which an expiry bin starts. It ends BIN_S later."""

    @abstractmethod
    def counts(self, first_seen: float) -> bool:
        """Return whether a lease of this visitor is kept."""

    @abstractmethod
    def rank(self, first_seen: float) -> int:
        """Return how many visitors older than `first_seen` the leases stand for."""

    @abstractmethod
    def nth(self, count: int) -> float | None:
        """Return the first_seen with `count` older visitors (0 = the oldest), or None beyond the end."""

    @abstractmethod
    def renew(self, first_seen: float, due: float, lease: int) -> None:
        """Do the same as `add` for a caller that has looked up the visitor's lease by `find`."""

    @abstractmethod
    def remove(self, first_seen: float) -> bool:
        """End the lease of a visitor that is admitted or known to have left. Return whether there was one."""

    @abstractmethod
    def overdue(self, now: float) -> int:
        """Return how many leases `expire` would end."""

    @abstractmethod
    def expire(self, now: float) -> list[float]:
        """End the leases that are due, and return the first_seen of each."""

    @abstractmethod
    def refresh(self) -> None:
        """Bring the counts up to date. Once a control step is enough: ranks are that old at most."""

    @abstractmethod
    def resample(self, ratio: float) -> None:
        """Forget leases, or add stand-ins: the node now sees `ratio` times the line that it saw."""

    def __contains__(self, first_seen: float) -> bool:
        return self.find(first_seen) != NO_LEASE

    def add(self, first_seen: float, due: float) -> None:
        """Expect a visitor back. The same first_seen again moves its lease."""
        self.renew(first_seen, due, self.find(first_seen))


class LeaseBook(Leases):
    """A set of (first_seen, due), each lease standing for one visitor."""

    __slots__ = (
        "_base", "_bins", "_chunk", "_count", "_found", "_found_chunk", "_found_index", "_keys", "_maxes", "_next_bin",
        "_prefix", "_wheel",
    )  # fmt: skip

    def __init__(self, now: float) -> None:
        self._keys: list[MutableSequence[float]] = [[]]
        self._bins: list[MutableSequence[int]] = [[]]
        self._maxes: list[float] = []  # greatest first_seen of every chunk but the last
        self._prefix: list[int] = [0]  # leases before each chunk, as of the last refresh
        self._count = 0
        self._chunk = CHUNK
        self._wheel: dict[int, ExpiryBin] = {}
        # Bins are numbered from the start of the book, so that a number fits four bytes.
        self._base = int(now / BIN_S) - 1
        self._next_bin = 1  # number of the first bin that is not over
        # What `find` looked for last, and where it is or belongs: for the rank or the change that follows.
        self._found = nan
        self._found_chunk = self._found_index = 0

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<LeaseBook of {self._count}>"

    def find(self, first_seen: float) -> int:
        c = left_of(self._maxes, first_seen) if IS_COMPILED else _left(self._maxes, first_seen)
        keys, bins = self._keys[c], self._bins[c]
        # The same twice, because compiled code reads a list in another way than an unknown sequence.
        if IS_COMPILED and isinstance(keys, list) and isinstance(bins, list):
            doubles: list[float] = keys
            i = left_of(doubles, first_seen)
            self._found, self._found_chunk, self._found_index = first_seen, c, i
            if i < len(doubles) and doubles[i] == first_seen:
                numbers: list[int] = bins
                return numbers[i]
            return NO_LEASE
        i = _left(keys, first_seen)
        self._found, self._found_chunk, self._found_index = first_seen, c, i
        if i < len(keys) and keys[i] == first_seen:
            return bins[i]
        return NO_LEASE

    def starts_at(self, number: int) -> float:
        return (self._base + number) * BIN_S

    def counts(self, first_seen: float) -> bool:  # noqa: ARG002
        return True

    def rank(self, first_seen: float) -> int:
        if first_seen == self._found:
            return self._prefix[self._found_chunk] + self._found_index
        c = left_of(self._maxes, first_seen)
        return self._prefix[c] + _left(self._keys[c], first_seen)

    def nth(self, count: int) -> float | None:
        if count < 0:
            count = 0
        if count >= self._count:
            return None
        for keys in self._keys:
            if count < len(keys):
                return keys[count]
            count -= len(keys)
        return None

    def renew(self, first_seen: float, due: float, lease: int) -> None:
        number = int(due / BIN_S) - self._base
        if number < self._next_bin:
            number = self._next_bin
        if lease == number:  # a visitor that polls faster than asked must not fill the bin
            return
        if first_seen != self._found:
            self.find(first_seen)
        if lease != NO_LEASE:
            self._wheel[lease].left.append(first_seen)
            self._bins[self._found_chunk][self._found_index] = number
        else:
            self._insert(first_seen, number)
        self._appoint(first_seen, number)

    def add_later(self, first_seen: float, due: float) -> bool:
        """Do the same as `add`, unless a later appointment is known already or this one is over."""
        number, lease = int(due / BIN_S) - self._base, self.find(first_seen)
        if number < self._next_bin or lease > number:
            return False
        self.renew(first_seen, due, lease)
        return True

    def remove(self, first_seen: float) -> bool:
        lease = self.find(first_seen)
        if lease == NO_LEASE:
            return False
        self._wheel[lease].left.append(first_seen)
        self._delete_found()
        return True

    def overdue(self, now: float) -> int:
        return sum(len(self._ending(self._wheel[number])) for number in self._over(int(now / BIN_S) - self._base))

    def expire(self, now: float) -> list[float]:
        last = int(now / BIN_S) - self._base
        gone: list[float] = []
        for number in self._over(last):
            gone += self._ending(self._wheel.pop(number))
        for first_seen in gone:
            self.find(first_seen)
            self._delete_found()
        self._next_bin = max(self._next_bin, last)
        return gone

    def refresh(self) -> None:
        self._prefix = list(accumulate(map(len, self._keys), initial=0))

    def resample(self, ratio: float) -> None:
        numbers: dict[float, int] = {}
        credit = 0.5
        for first_seen, number in self.pairs():
            credit += ratio
            copies = int(credit)
            credit -= copies
            for copy in range(min(copies, 64)):
                numbers[first_seen + copy * 1e-6] = number
        self.rebuild(sorted(numbers.items()))

    def emptied(self) -> "LeaseBook":
        """Return an empty book that numbers its bins as this one does."""
        other = LeaseBook(0.0)
        other._base, other._next_bin = self._base, self._next_bin
        return other

    def pairs(self) -> list[tuple[float, int]]:
        """Return each first_seen with the number of its expiry bin, in order."""
        chunks = zip(self._keys, self._bins, strict=True)
        return [pair for keys, bins in chunks for pair in zip(keys, bins, strict=True)]

    def rebuild(self, pairs: list[tuple[float, int]]) -> None:
        """Replace all leases. pairs: as `pairs` returns them."""
        size = LONG_CHUNK if len(pairs) > LONG else CHUNK
        chunks = [pairs[i : i + size] for i in range(0, len(pairs), size)] or [[]]
        self._keys = [[first_seen for first_seen, _ in chunk] for chunk in chunks]
        self._bins = [[number for _, number in chunk] for chunk in chunks]
        self._maxes = [keys[-1] for keys in self._keys[:-1]]
        self._chunk = CHUNK
        self._count, self._found = len(pairs), nan
        self._wheel = {}
        for first_seen, number in pairs:
            self._appoint(first_seen, number)
        if len(pairs) > LONG:
            self._become_long()
        self.refresh()

    def _become_long(self) -> None:
        """Use arrays for the chunks from now on."""
        self._chunk = LONG_CHUNK
        self._keys = [array("d", keys) for keys in self._keys]
        self._bins = [array("i", bins) for bins in self._bins]

    def _appoint(self, first_seen: float, number: int) -> None:
        expiry = self._wheel.get(number)
        if expiry is None:
            expiry = self._wheel[number] = ExpiryBin(number)
        expiry.appointed.append(first_seen)

    def _ending(self, expiry: ExpiryBin) -> list[float]:
        """Return the leases that end in this bin. To look up each of a thousand would take most of a control step."""
        ending = list(filterfalse(set(expiry.left).__contains__, expiry.appointed))
        if len(ending) + len(expiry.left) < len(expiry.appointed):  # a lease has left and come back
            return [each for each in dict.fromkeys(expiry.appointed) if self.find(each) == expiry.number]
        return ending

    def _over(self, last: int) -> list[int]:
        """Return the numbers of the bins before `last` that exist, in order of time."""
        if last - self._next_bin > len(self._wheel) + 8:  # a long stall, or a clock set forward
            return sorted(number for number in self._wheel if number < last)
        return [number for number in range(self._next_bin, last) if number in self._wheel]

    def _insert(self, first_seen: float, number: int) -> None:
        """Insert a lease where `find` has just missed it."""
        c, i = self._found_chunk, self._found_index
        keys, bins, size = self._keys[c], self._bins[c], self._chunk
        if i == len(keys) and isinstance(keys, list) and isinstance(bins, list):  # of most newcomers
            keys.append(first_seen)
            bins.append(number)
        else:
            keys.insert(i, first_seen)
            bins.insert(i, number)
        self._count += 1
        if len(keys) > 2 * size:
            self._keys[c : c + 1] = [keys[:size], keys[size:]]
            self._bins[c : c + 1] = [bins[:size], bins[size:]]
            self._maxes.insert(c, keys[size - 1])
            self._found = nan
            if size == CHUNK and self._count > LONG:
                self._become_long()
            self.refresh()

    def _delete_found(self) -> None:
        """Delete the lease that `find` has just found."""
        c, i = self._found_chunk, self._found_index
        keys = self._keys[c]
        del keys[i]
        del self._bins[c][i]
        self._count -= 1
        if not keys and len(self._keys) > 1:
            del self._keys[c]
            del self._bins[c]
            del self._maxes[min(c, len(self._maxes) - 1)]
            self._found = nan
            self.refresh()
