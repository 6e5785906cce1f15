"""What came before, in bounded memory: a set in two generations.

When the young one is full it becomes the old one. No bookkeeping and no clock; the last `most` are always known.
"""

from typing import Generic, TypeVar

__all__ = ["Seen"]

T = TypeVar("T")


class Seen(Generic[T]):
    """most: how many a generation holds; twice as many are held at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: set[T] = set()
        self._old: set[T] = set()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def note(self, what: T) -> bool:
        """Whether it came before; from now on it has."""
        if what in self._young:
            return True
        came = what in self._old
        if len(self._young) >= self._most:
            self._young, self._old = set(), self._young
        self._young.add(what)  # if it came before too, or it would be forgotten with those it first came among
        return came
