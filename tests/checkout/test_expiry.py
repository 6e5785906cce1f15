"""Expiry in three layers: any one of them suffices, and all three together end a hold once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from checkout.audit import audit
from checkout.engines.sqlite import SqliteEngine
from checkout.expiry import sweep, work_queue
from checkout.inventory import Inventory
from checkout.tasks import beside
from checkout.values import Done, Reason, Refused
from checkout.writer import Writer
from tests.checkout.engines.contract import HOLD_MS, ManualClock, sale_of


@asynccontextmanager
async def shop(clock: ManualClock, *, lazy: bool) -> AsyncIterator[Inventory]:
    """A shop with one unit that a visitor holds and then forgets."""
    engine = await SqliteEngine.open(":memory:", clock=clock, lazy_expiry=lazy)
    writer = Writer(engine)
    try:
        async with beside(writer.run()):
            inventory = Inventory(engine, writer)
            await inventory.open(sale_of(1, 1, "s"))
            assert isinstance(await inventory.reserve("s", "ada", "h1"), Done)
            yield inventory
    finally:
        await engine.close()


async def nothing(inventory: Inventory) -> None:
    """The first layer needs no call: the store ends what is over by itself."""


LAYERS: dict[str, tuple[bool, Callable[[Inventory], Awaitable[object]]]] = {
    "ttl": (True, nothing),
    "queue": (False, lambda inventory: work_queue(inventory, "w1")),
    "sweep": (False, sweep),
}


@pytest.mark.parametrize("layer", LAYERS)
async def test_one_layer_suffices(layer: str) -> None:
    """With the two others switched off, a layer alone frees the unit: not a moment early, then for good."""
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
    """The proof that the test above can fail: with no layer at work nothing frees the unit."""
    clock = ManualClock()
    async with shop(clock, lazy=False) as inventory:
        clock.now_ms += 100 * HOLD_MS
        refused = await inventory.reserve("s", "bob", "h2")
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.SOLD_OUT


async def test_all_layers_together_end_it_once() -> None:
    """However many layers find a hold over, its trail has one end."""
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


async def test_dead_worker_loses_its_lease() -> None:
    """What a worker had claimed when it died is ready again when its lease is over, and not before."""
    clock = ManualClock()
    async with shop(clock, lazy=False) as inventory:
        clock.now_ms += HOLD_MS
        assert await inventory.engine.claim("dead", 5_000) == ["h1"]
        clock.now_ms += 4_999
        assert await work_queue(inventory, "alive") == 0
        clock.now_ms += 1
        assert await work_queue(inventory, "alive") == 1
