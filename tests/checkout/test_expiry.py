"""Expiry has three layers. Each is sufficient alone, and all three together end a hold once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from checkout.audit import audit
from checkout.engines.sqlite import SqliteEngine
from checkout.expiry import sweep, work_queue
from checkout.inventory import Inventory
from checkout.tasks import background
from checkout.values import Done, Reason, Refused
from checkout.writer import Writer
from tests.checkout.engines.contract import HOLD_MS, ManualClock, sale_of


@asynccontextmanager
async def shop(clock: ManualClock, *, lazy: bool) -> AsyncIterator[Inventory]:
    """Yield the inventory of a shop with one unit, which a visitor holds and does not pay for."""
    engine = await SqliteEngine.open(":memory:", clock=clock, lazy_expiry=lazy)
    writer = Writer(engine)
    try:
        async with background(writer.run()):
            inventory = Inventory(engine, writer)
            await inventory.open(sale_of(1, 1, "s"))
            assert isinstance(await inventory.reserve("s", "ada", "h1"), Done)
            yield inventory
    finally:
        await engine.close()


async def nothing(inventory: Inventory) -> None:
    """The first layer needs no call: the store ends due holds by itself."""


LAYERS: dict[str, tuple[bool, Callable[[Inventory], Awaitable[object]]]] = {
    "ttl": (True, nothing),
    "queue": (False, lambda inventory: work_queue(inventory, "w1")),
    "sweep": (False, sweep),
}


@pytest.mark.parametrize("layer", LAYERS)
async def test_one_layer_is_sufficient(layer: str) -> None:
    """Each layer alone frees the unit when the hold is due, and not one millisecond earlier."""
    lazy, act = LAYERS[layer]
    clock = ManualClock()
    async with shop(clock, lazy=lazy) as inventory:
        clock.now_ms += HOLD_MS - 1
        await act(inventory)
        assert isinstance(await inventory.reserve("s", "bob", "h2"), Refused)
        clock.now_ms += 1
        await act(inventory)
        assert isinstance(await inventory.reserve("s", "bob", "h3"), Done)
        evidence = await inventory.engine.evidence("s")
        assert evidence is not None
        assert audit(evidence) == []


async def test_without_any_layer_the_unit_stays_held() -> None:
    """Without any layer the unit is never freed, so the test above can fail."""
    clock = ManualClock()
    async with shop(clock, lazy=False) as inventory:
        clock.now_ms += 100 * HOLD_MS
        refused = await inventory.reserve("s", "bob", "h2")
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.SOLD_OUT


async def test_all_layers_together_end_a_hold_once() -> None:
    """If several layers find a hold due, its trail has one end."""
    clock = ManualClock()
    async with shop(clock, lazy=True) as inventory:
        clock.now_ms += HOLD_MS
        overdue = await inventory.engine.overdue()
        claimed = await inventory.engine.claim("w1", 1000)
        assert claimed == overdue == ["h1"]
        assert await sweep(inventory) == 1
        for actor in ("w1", "sweep"):
            assert isinstance(await inventory.expire("h1", actor), Refused)
        ends = [event for event in await inventory.engine.events("s") if event.kind == "expired"]
        assert len(ends) == 1


async def test_a_dead_worker_loses_its_claim_after_the_lease() -> None:
    """The claimed holds of a dead worker become ready again when the lease ends, and not earlier."""
    clock = ManualClock()
    async with shop(clock, lazy=False) as inventory:
        clock.now_ms += HOLD_MS
        assert await inventory.engine.claim("dead", 5_000) == ["h1"]
        clock.now_ms += 4_999
        assert await work_queue(inventory, "alive") == 0
        clock.now_ms += 1
        assert await work_queue(inventory, "alive") == 1
