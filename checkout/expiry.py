"""The second and third layer of expiry. The first is in the store: it ends due holds before it decides anything.

    delay queue   every `QUEUE_EVERY_S`: claim due holds under a lease, then end them. If a worker dies, its claimed
                  holds become ready again when the lease ends.
    sweep         every `SWEEP_EVERY_S`: end every hold that the store finds due, claimed or not.

Each layer is sufficient alone. The store decides whether a hold is due, so all three together end it once.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

from checkout.errors import StoreError
from checkout.inventory import Inventory
from checkout.values import Done

LOG = logging.getLogger(__name__)
LEASE_MS = 5_000
QUEUE_EVERY_S = 0.5
SWEEP_EVERY_S = 10.0


async def work_queue(inventory: Inventory, owner: str, lease_ms: int = LEASE_MS) -> int:
    """Run one round of the delay queue and return the number of holds that it ended."""
    claimed = await inventory.engine.claim(owner, lease_ms)
    return await _end_all(inventory, claimed, f"queue:{owner}")


async def sweep(inventory: Inventory) -> int:
    """Run one sweep and return the number of holds that it ended."""
    return await _end_all(inventory, await inventory.engine.overdue(), "sweep")


def expiry_services(inventory: Inventory) -> list[Coroutine[None, None, None]]:
    """Return the two services of this module, not yet started."""
    return [
        repeat(partial(work_queue, inventory, f"pid{os.getpid()}"), QUEUE_EVERY_S),
        repeat(partial(sweep, inventory), SWEEP_EVERY_S),
    ]


async def repeat(step: Callable[[], Awaitable[object]], every_s: float) -> None:
    """Run a step for ever. A `StoreError` is logged and the step runs again, so no service ends with the store."""
    while True:
        try:
            await step()
        except StoreError as error:
            LOG.warning("the store did not answer: %s", error)
        await asyncio.sleep(every_s)


async def _end_all(inventory: Inventory, holds: list[str], actor: str) -> int:
    outcomes = await asyncio.gather(*(inventory.expire(hold, actor) for hold in holds))
    return sum(isinstance(outcome, Done) for outcome in outcomes)
