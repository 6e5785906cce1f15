"""Availability: quick, shared, at most a second old, and never back from sold out by old news."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.availability import FRESH_S, Availability
from checkout.values import Stock


class Store:
    """Numbers that a test sets, read only when the test opens the gate."""

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


async def test_a_crowd_is_one_read() -> None:
    """However many ask at once, the store is asked once; while that is fresh, not at all."""
    store = Store(Stock(3, 0, 0, 1))
    cache = store.cache()
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(cache.get("s")) for _ in range(100)]
        tasks.create_task(cache.get("other"))
        await asyncio.sleep(0)
        store.gate.set()
    assert {task.result() for task in asking} == {Stock(3, 0, 0, 1)}
    for _ in range(899):
        await cache.get("s")
    assert store.reads == 2
    snapshot = cache.snapshot()
    assert (snapshot.hits, snapshot.reads, snapshot.shared) == (899, 2, 99)


async def test_never_older_than_promised() -> None:
    """What was asked for `fresh_s` ago is asked for again, counted from the question, not from the answer."""
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


async def test_sold_out_is_not_taken_back_by_old_news() -> None:
    """A read that began before this node saw the last unit go does not bring it back; what happened later
    does.
    """
    store = Store(Stock(1, 0, 0, 4))
    cache = store.cache()
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(cache.get("s"))
        await asyncio.sleep(0)
        cache.seen("s", Stock(0, 1, 0, 5))
        store.gate.set()
    assert slow.result() == Stock(0, 1, 0, 5)
    cache.seen("s", Stock(1, 0, 0, 4))
    assert await cache.get("s") == Stock(0, 1, 0, 5)
    cache.seen("s", Stock(1, 0, 0, 6))
    assert await cache.get("s") == Stock(1, 0, 0, 6)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), max_size=20))
def test_newest_version_wins_in_any_order(news: list[tuple[int, int]]) -> None:
    """In whatever order news arrive, the highest version is what is known."""

    async def play() -> None:
        cache = Store(None).cache()
        for version, _ in news:
            cache.seen("s", Stock(version % 3, 0, 0, version))
        known = await cache.get("s")
        assert known == (Stock(max(news)[0] % 3, 0, 0, max(news)[0]) if news else None)

    asyncio.run(play())


async def test_failed_read_is_nobodys_answer() -> None:
    """When the store is away everybody who waits hears it, and the next one asks again."""
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
async def test_unknown_sale_is_none(sale: str) -> None:
    """A name without a sale has no numbers, and is asked for each time."""
    store = Store(None)
    assert await store.cache().get(sale) is None
