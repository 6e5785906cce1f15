"""A dictionary of bounded size: two generations of entries.

When the young generation is full it becomes the old one, and the old one is forgotten. An entry that is looked up in
the old generation moves back to the young one. So the last `most` keys that were added or looked up are always present,
at most twice as many are kept, and a hit costs one look-up: no clock and no bookkeeping.
"""

from typing import Generic, TypeVar

__all__ = ["TwoGenerations"]

K = TypeVar("K")
V = TypeVar("V")


class TwoGenerations(Generic[K, V]):
    """Values are not None. most: how many entries a generation holds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self)} of {2 * self._most}>"

    def get(self, key: K) -> V | None:
        """Return the value of a key, or None."""
        value = self._young.get(key)
        return self._from_old(key) if value is None else value

    def put(self, key: K, value: V) -> None:
        """Set the value of a key."""
        young = self._young
        if len(young) >= self._most and key not in young:
            self._old, self._young = young, {}
            self._young[key] = value
        else:
            young[key] = value

    def _from_old(self, key: K) -> V | None:
        if key not in self._old:
            return None
        value = self._old.pop(key)
        self.put(key, value)
        return value
