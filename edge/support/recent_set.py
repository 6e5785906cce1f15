"""A set of bounded size that remembers what came lately."""

from typing import Generic, TypeVar

from edge.support.two_generations import TwoGenerations

__all__ = ["RecentSet"]

T = TypeVar("T")


class RecentSet(Generic[T]):
    """Remembers at least the last `most` members and at most twice as many."""

    def __init__(self, most: int) -> None:
        self._members: TwoGenerations[T, bool] = TwoGenerations(most)

    def __len__(self) -> int:
        return len(self._members)

    def note(self, member: T) -> bool:
        """Return whether this came before. From now on it has."""
        if self._members.get(member) is not None:
            return True
        self._members.put(member, True)
        return False
