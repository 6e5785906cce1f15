"""The second and third layer of expiry. The first is the store's own: it ends what is over before it
decides anything.

    delay queue   every `every_s`: claim due holds under a lease, end them. What a dead worker had claimed
    becomes
                  ready again when its lease is over.
    sweep         every 10 s: whatever the store finds over, claimed or not.

Each layer suffices alone, and it is the store that judges whether a hold is over, so running all three ends
it once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from checkout.errors import StoreError
from checkout.inventory import Inventory
from checkout.values import Done

LOG = logging.getLogger(__name__)
LEASE_MS = 5_000
QUEUE_EVERY_S = 0.5
SWEEP_EVERY_S = 10.0


async def work_queue(inventory: Inventory, owner: str, lease_ms: int = LEASE_MS) -> int:
    """One round of the delay queue; returns how many holds it ended."""
    claimed = await inventory.engine.claim(owner, lease_ms)
    return await _end_all(inventory, claimed, f"queue:{owner}")


async def sweep(inventory: Inventory) -> int:
    """One sweep; returns how many holds it ended."""
    return await _end_all(inventory, await inventory.engine.overdue(), "sweep")


async def repeat(step: Callable[[], Awaitable[object]], every_s: float) -> None:
    """Run a step for ever. A store that is away for a moment is logged and asked again: no layer ends with
    it.
    """
    while True:
        try:
            await step()
        except StoreError as error:
            LOG.warning("the store did not answer: %s", error)
        await asyncio.sleep(every_s)


async def _end_all(inventory: Inventory, holds: list[str], actor: str) -> int:
    outcomes = await asyncio.gather(*(inventory.expire(hold, actor) for hold in holds))
    return sum(isinstance(outcome, Done) for outcome in outcomes)
