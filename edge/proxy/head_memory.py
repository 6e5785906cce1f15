"""Heads that were parsed and verified: a byte-identical repeat skips the parser and the signature, and nothing else.

A waiting browser sends the same 700 bytes at every poll. What they mean (`RequestContext`) depends on no clock and no
state, so it can be kept. What follows from it (`decide`) is worked out anew each time: expiry, stock, room, gate.

    memory[head bytes] -> ParsedHead         a hit needs the same bytes and the same peer address

One table serves all connections, rather than one head each: that costs 0.2 us more a hit (the hash of 750 bytes), but
it also finds a visitor after their connection ended, or on a connection that a proxy shares, and 10,000 idle
connections do not hold 1.7 kB more each.
"""

from typing import TypeVar

from edge.support.two_generations import TwoGenerations

__all__ = ["HeadMemory"]

T = TypeVar("T")


class HeadMemory(TwoGenerations[bytes, T]):
    """most: how many heads a generation holds; two generations take some 27 MB. longest: in bytes, of a head kept.

    most_bytes: what the heads of a generation take together. Otherwise an attacker could fill it with the longest.
    """

    def __init__(self, most: int = 8192, longest: int = 4096, most_bytes: int = 8_388_608) -> None:
        super().__init__(most)
        self._longest = longest
        self._most_bytes = most_bytes
        self._bytes = 0

    def keep(self, raw: bytes, what: T) -> None:
        """Remember a head, unless it is too long."""
        if len(raw) <= self._longest:
            self.put(raw, what)

    def put(self, key: bytes, value: T) -> None:
        if key not in self._young:
            self._bytes += len(key)
            if self._bytes > self._most_bytes:
                self._old, self._young = self._young, {}
        super().put(key, value)
        if len(self._young) == 1:  # a new generation
            self._bytes = len(key)
