"""Heads already parsed and verified: a byte-identical repeat skips the parser and the signature, and nothing else.

A waiting browser sends the same 700 bytes at every poll. What they say (`RequestContext`) reads no clock and no state, so it can
be kept; what follows from it (`decide`) is worked out anew each time: expiry, stock, the room's state, the gate.

    memory[head bytes] -> Known(peer, facts, ...)         a hit needs the same bytes and the same peer address

One table for all connections rather than the last head of each: it costs 0.2 us more a hit (the hash of 750 bytes), but
a visitor whose connection ended, or who shares one with others behind a proxy, is found as well, and 10,000 idle
connections do not hold 1.7 kB more each.

Bounded by two generations: when the young one is full it becomes the old one, and what is asked for in the old one
moves back. No bookkeeping at a hit, no clock, and what was asked for within the last `most` new heads stays.
"""

from typing import Generic, TypeVar

__all__ = ["HeadMemory"]

T = TypeVar("T")


class HeadMemory(Generic[T]):
    """most: how many heads a generation holds; twice as many are held at most, some 27 MB in all."""

    def __init__(self, most: int = 8192, longest: int = 4096) -> None:
        self._most = most
        self._longest = longest
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}
        self.get = self._young.get

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def recall(self, raw: bytes) -> T | None:
        """Of the older generation; what is found moves to the young one. Call after `get` found nothing."""
        found = self._old.pop(raw, None)
        if found is not None:
            self.keep(raw, found)
        return found

    def keep(self, raw: bytes, what: T) -> None:
        if len(raw) > self._longest:
            return
        if len(self._young) >= self._most:
            self._old = self._young
            self._young = {}
            self.get = self._young.get
        self._young[raw] = what
