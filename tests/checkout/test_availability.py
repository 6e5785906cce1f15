"""The availability cache: shared reads, at most one second old, and never undone by older numbers."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.availability import FRESH_S, Availability
from checkout.values import Stock


class Store:
    """A store with numbers that a test sets. A read finishes when the test opens the gate."""

    def __init__(self, stock: Stock | None) -> None:
        self.stock = stock
        self.gate = asyncio.Event()
        self.gate.set()
        self.reads = 0
        self.now_s = 0.0

    async def read(self, sale: str) -> Stock | None:
        self.reads += 1
        stock = self.stock
        await self.gate.wait()
        return stock

    def cache(self) -> Availability:
        return Availability(self.read, monotonic=lambda: self.now_s)


async def test_many_readers_cause_one_read() -> None:
    """Simultaneous readers share one read. While its result is fresh, the store is not read at all."""
    store = Store(Stock(3, 0, 0, 1))
    cache = store.cache()
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(cache.get("s")) for _ in range(100)]
        tasks.create_task(cache.get("other"))
        await asyncio.sleep(0)
        store.gate.set()
    assert {task.result() for task in readers} == {Stock(3, 0, 0, 1)}
    for _ in range(899):
        await cache.get("s")
    assert store.reads == 2
    snapshot = cache.snapshot()
    assert (snapshot.hits, snapshot.reads, snapshot.shared) == (899, 2, 99)


async def test_numbers_expire_after_fresh_s() -> None:
    """Numbers are read again after `fresh_s`, counted from the start of the read."""
    store = Store(Stock(3, 0, 0, 1))
    cache = store.cache()
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(cache.get("s"))
        await asyncio.sleep(0)
        store.now_s = FRESH_S
        store.gate.set()
    store.stock = Stock(2, 1, 0, 2)
    assert await cache.get("s") == Stock(2, 1, 0, 2)


async def test_an_older_read_does_not_undo_sold_out() -> None:
    """A read that began before the last unit was taken does not bring it back. A later event does."""
    store = Store(Stock(1, 0, 0, 4))
    cache = store.cache()
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(cache.get("s"))
        await asyncio.sleep(0)
        cache.update("s", Stock(0, 1, 0, 5))
        store.gate.set()
    assert slow.result() == Stock(0, 1, 0, 5)
    cache.update("s", Stock(1, 0, 0, 4))
    assert await cache.get("s") == Stock(0, 1, 0, 5)
    cache.update("s", Stock(1, 0, 0, 6))
    assert await cache.get("s") == Stock(1, 0, 0, 6)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), max_size=20))
def test_the_highest_version_wins_in_any_order(updates: list[tuple[int, int]]) -> None:
    """Updates may arrive in any order; the numbers with the highest version are returned."""

    async def play() -> None:
        cache = Store(None).cache()
        for version, _ in updates:
            cache.update("s", Stock(version % 3, 0, 0, version))
        stock = await cache.get("s")
        assert stock == (Stock(max(updates)[0] % 3, 0, 0, max(updates)[0]) if updates else None)

    asyncio.run(play())


async def test_a_failed_read_is_not_cached() -> None:
    """If a read fails, all its readers get the error, and the next reader starts a new read."""
    fails = True

    async def read(sale: str) -> Stock | None:
        await asyncio.sleep(0)
        if fails:
            raise OSError("away")
        return Stock(1, 0, 0, 1)

    cache = Availability(read)
    results = await asyncio.gather(*(cache.get("s") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError] * 3
    fails = False
    assert await cache.get("s") == Stock(1, 0, 0, 1)
    assert await cache.get("s") == Stock(1, 0, 0, 1)


@pytest.mark.parametrize("sale", ["nothing", ""])
async def test_an_unknown_sale_is_none(sale: str) -> None:
    """A name without a sale has no numbers."""
    store = Store(None)
    assert await store.cache().get(sale) is None
