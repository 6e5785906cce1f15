"""The interface between the shop and its store: one method that changes it, a few that read it.

`apply` decides commands in order. When it returns, its outcomes are durable. A batch happens as a whole or not at all.
After an error the caller may not know which, and sends the commands again with the same keys.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from checkout.engines.epoch import Position
from checkout.evidence import Evidence
from checkout.values import Command, Event, Hold, Outcome, Sale, Stock


class Engine(Protocol):
    """A store of sales and holds."""

    async def apply(self, batch: Sequence[Command]) -> list[Outcome]:
        """Decide and store a batch. Raises `StoreError` if the store did not confirm it."""

    async def sales(self) -> list[tuple[Sale, Stock]]:
        """Return all sales with their numbers, oldest first."""

    async def stock(self, sale_id: str) -> Stock | None:
        """Return the last stored numbers of a sale. The read is not ordered with decisions and ends no hold."""

    async def hold(self, hold_id: str) -> Hold | None:
        """Return a hold in its present state."""

    async def holds(self, sale_id: str, user: str = "", limit: int = 1000) -> list[Hold]:
        """Return the holds of a sale, newest first. user: only this user's holds, unless empty."""

    async def evidence(self, sale_id: str) -> Evidence | None:
        """Return all records of a sale at one instant for the checker, or None if there is no such sale."""

    async def events(self, sale_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        """Return the audit trail of a sale in order; of all sales if `sale_id` is empty."""

    async def overdue(self, limit: int = 1000) -> list[str]:
        """Return the due holds that the store finds (for the sweep, the third layer of expiry)."""

    async def claim(self, owner: str, lease_ms: int, limit: int = 100) -> list[str]:
        """Move due holds from the delay queue to `owner` (the second layer of expiry).

        A claimed hold that is not ended within its lease becomes ready again, so a worker may die at any moment.
        """

    async def unsettled(self, limit: int = 1000) -> list[Hold]:
        """Return the holds with a payment that has begun and is not settled."""

    async def close(self) -> None:
        """Close files and connections."""


@runtime_checkable
class CopiedEngine(Protocol):
    """A store with a second copy. Its outcomes may be told only when their copy is durable: `apply` in two steps."""

    @property
    def has_copy(self) -> bool:
        """Whether outcomes wait for a copy at all."""

    async def decide(self, batch: Sequence[Command]) -> tuple[list[Outcome], Position]:
        """Decide a batch, and return its outcomes with the position that must be copied. Raises `StoreError`."""

    async def copied(self, position: Position) -> None:
        """Return when everything up to this position is durable elsewhere. Raises `StoreError`."""
