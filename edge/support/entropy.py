"""Random bytes of the system, fetched for hundreds of tickets at once: a system call for each would cost as much as
signing it. No byte is given twice; a process that forks must make a new one."""

from collections.abc import Callable

__all__ = ["Entropy"]


class Entropy:
    """source(n): n random bytes, e.g. `os.urandom`. Calling it gives so many bytes, at most `block`."""

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
