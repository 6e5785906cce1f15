"""Random bytes of the system, fetched for hundreds of tickets at once.

A system call for each ticket would cost as much as its signature. No byte is given out twice. A process that forks must
make a new `Entropy`, because both would give out the same bytes.
"""

from collections.abc import Callable

__all__ = ["Entropy"]


class Entropy:
    """A call returns `count` random bytes, at most `block`. source(n) returns n random bytes, as `os.urandom` does."""

    __slots__ = ("_at", "_block", "_bytes", "_source")

    def __init__(self, source: Callable[[int], bytes], block: int = 4096) -> None:
        self._source = source
        self._block = block
        self._bytes = b""
        self._at = 0

    def __call__(self, count: int) -> bytes:
        at = self._at
        end = at + count
        if end > len(self._bytes):
            self._bytes = self._source(self._block)
            at, end = 0, count
        self._at = end
        return self._bytes[at:end]
