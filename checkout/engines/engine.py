"""The seam between the shop and its store: one way to change it, a few ways to read it.

`apply` takes commands in order and answers each; when it returns, what it answered is durable. All or
nothing of a batch happens: after an error the caller may not know which, and asks again with the same keys.
"""

from collections.abc import Sequence
from typing import Protocol

from checkout.evidence import Evidence
from checkout.values import Command, Event, Hold, Outcome, Sale, Stock


class Engine(Protocol):
    """A store of sales and holds."""

    async def apply(self, batch: Sequence[Command]) -> list[Outcome]:
        """Decide and store a batch. Raises `StoreError` when the store did not take it."""

    async def sales(self) -> list[tuple[Sale, Stock]]:
        """All sales with their numbers, oldest first."""

    async def stock(self, sale_id: str) -> Stock | None:
        """The numbers of a sale as last stored, for readers: not ordered with decisions, and nothing is
        ended.
        """

    async def hold(self, hold_id: str) -> Hold | None:
        """One hold as it is now."""

    async def holds(self, sale_id: str, user: str = "", limit: int = 1000) -> list[Hold]:
        """The holds of a sale (of one user, if named), newest first."""

    async def evidence(self, sale_id: str) -> Evidence | None:
        """All that the store knows of a sale at one instant, for the checker; None: no such sale."""

    async def events(self, sale_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        """The audit trail of a sale in order; `sale_id` empty: of all sales."""

    async def overdue(self, limit: int = 1000) -> list[str]:
        """The holds the store itself finds over (the sweep: third layer of expiry)."""

    async def claim(self, owner: str, lease_ms: int, limit: int = 100) -> list[str]:
        """Move due holds from the delay queue's ready set to `owner`'s processing set (second layer of
        expiry).

        What an owner does not end within its lease becomes ready again, so a worker may die at any moment.
        """

    async def unsettled(self, limit: int = 1000) -> list[Hold]:
        """Holds whose payment began and whose money is not accounted for."""

    async def close(self) -> None:
        """Let go of files and connections."""
