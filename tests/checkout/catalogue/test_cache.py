"""The cache of products: shared reads, at most one second old, and a newer product is never undone by an older one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from checkout.catalogue.cache import FRESH_S, ProductCache
from checkout.catalogue.catalogue import Catalogue
from checkout.catalogue.product import Stored
from checkout.catalogue.shared_cache import SharedCache
from checkout.catalogue.sqlite_database import SqliteDatabase
from checkout.catalogue.store import ProductEvent
from checkout.clock import wall_ms
from tests.checkout.catalogue.places import index_of, product, store_of
from tests.checkout.servers import RedisServer, redis_server


def stored(version: int, name: str = "watch") -> Stored:
    return Stored(product=product(name, version), version=version, made_ms=1, changed_ms=version)


def event(version: int, name: str = "watch") -> ProductEvent:
    return ProductEvent(version, "changed", "ada", version, stored(version, name))


class Store:
    """A database with one version that a test sets. A read finishes when the test opens the gate."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.gate = asyncio.Event()
        self.gate.set()
        self.reads = 0
        self.now_s = 100.0
        self.cache = ProductCache(self._read, most=3, monotonic=lambda: self.now_s)

    async def _read(self, name: str, _least: int) -> Stored | None:
        self.reads += 1
        version = self.version
        await self.gate.wait()
        return stored(version, name) if version else None

    async def seen(self) -> int:
        found = await self.cache.get("watch")
        return found.version if found else 0


async def test_many_readers_cause_one_read() -> None:
    store = Store(3)
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(store.seen()) for _ in range(100)]
        await asyncio.sleep(0)
        store.gate.set()
    assert {task.result() for task in readers} == {3}
    assert await store.seen() == 3
    counts = store.cache.snapshot()
    assert (store.reads, counts.reads, counts.shared, counts.hits) == (1, 1, 99, 1)


async def test_a_product_is_fresh_while_the_follower_lives() -> None:
    """No read is needed while the events are followed. When that stops, the product is read again after `FRESH_S`."""
    store = Store(1)
    assert await store.seen() == 1
    for _ in range(10):
        store.now_s += FRESH_S / 2
        store.cache.follow([], store.now_s)
        assert await store.seen() == 1
    assert store.reads == 1
    store.version = 2
    store.now_s += FRESH_S
    assert await store.seen() == 2
    assert store.reads == 2


async def test_an_event_replaces_what_is_cached() -> None:
    store = Store(1)
    assert await store.seen() == 1
    store.cache.follow([event(2), event(5, "other")], store.now_s)
    assert await store.seen() == 2
    assert store.reads == 1


@pytest.mark.parametrize("is_absent", [False, True])
async def test_a_reading_that_is_overtaken_by_an_event_is_not_kept(is_absent: bool) -> None:
    """A reading that began before an event ends after it. The event is what later readers see, for ever."""
    store = Store(0 if is_absent else 1)
    store.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(store.seen())
        await asyncio.sleep(0)
        store.version = 2
        store.cache.follow([event(2)], store.now_s)
        store.gate.set()
    assert slow.result() == 2
    assert await store.seen() == 2


async def test_a_reading_of_an_old_replica_is_not_kept() -> None:
    """An event about a product that is not cached is remembered, so an older copy read later is used once at most."""
    store = Store(1)
    store.cache.follow([event(2)], store.now_s)
    assert await store.seen() == 1
    store.version = 2
    assert await store.seen() == 2


@given(st.lists(st.tuples(st.sampled_from(["put", "event"]), st.integers(1, 9)), min_size=1, max_size=20))
def test_the_highest_version_wins_in_any_order(steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        store = Store(1)
        await store.seen()
        for kind, version in steps:
            if kind == "put":
                store.cache.put(stored(version))
            else:
                store.cache.follow([event(version)], store.now_s)
        assert await store.seen() == max(version for _, version in steps)

    asyncio.run(play())


async def test_the_cache_is_bounded() -> None:
    store = Store(1)
    for name in ("a", "b", "c", "a", "d"):
        await store.cache.get(name)
    assert store.cache.snapshot().size == 3
    await store.cache.get("a")
    assert store.reads == 4, "the least recently used one was dropped"


async def test_a_failed_read_is_not_cached() -> None:
    fails = True

    async def read(name: str, _least: int) -> Stored | None:
        await asyncio.sleep(0)
        if fails:
            raise OSError("away")
        return stored(1, name)

    cache = ProductCache(read)
    results = await asyncio.gather(*(cache.get("a") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError] * 3
    fails = False
    assert await cache.get("a") == stored(1, "a")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server("--appendonly", "no") as running:
        yield running


async def test_redis_keeps_the_newest_and_counts_only_while_it_is_fed(redis: RedisServer) -> None:
    """An older version never replaces a newer one, and without `live` nothing in Redis counts."""
    shared = SharedCache.open(redis.url)
    for each in (stored(5), stored(4)):
        await shared.put(each)
    assert await shared.get("watch") is None
    assert await shared.seq() == 0
    await shared.feed(0, 10, [stored(10, "ten"), stored(9, "ten"), stored(4)], 0.0)
    assert await shared.seq() == 10
    assert await shared.get("watch") == stored(5)
    assert await shared.get("ten") == stored(10, "ten")
    assert await shared.get("none") is None
    async with asyncio.timeout(10):
        while await shared.get("watch") is not None:
            await asyncio.sleep(0.02)
    await shared.feed(10, 10, [], 60.0)
    assert await shared.get("watch") is None
    await shared.feed(11, 12, [stored(12)], 0.0)  # event 11 is missing in Redis
    assert (await shared.seq(), await shared.get("watch")) == (10, None)
    await shared.forget()
    await shared.feed(0, 1, [], 0.0)
    assert (await shared.seq(), await shared.get("watch")) == (1, None)
    await shared.close()


@pytest.mark.parametrize("fault", ["not told", "rolled back", "database is older"])
async def test_redis_counts_only_with_every_event(redis: RedisServer, tmp_path: Path, fault: str) -> None:
    """Redis may miss the newest change, or have changes that the database lost: no shop shows either.

    A shop that is killed between its commit and its message leaves Redis with the older product. So does a failover.
    """
    database = await SqliteDatabase.open(str(tmp_path / "catalogue.db"))
    store, shared = store_of(database), SharedCache.open(redis.url)
    await shared.forget()
    shop = Catalogue(store, index_of(database), shared, wall_ms)
    await shop.follow()
    for cents in (1, 2) if fault == "rolled back" else (1,):
        newest = await shop.put(product("lamp", cents), "ada")
        await shop.follow()
        if cents == 1:
            older = newest
    if fault == "rolled back":
        client = Redis.from_url(redis.url)
        await client.set("{catalogue}:product:lamp", f"{older.version} {older.model_dump_json()}")
        await client.set("{catalogue}:seq", older.version)
        await client.aclose()
    elif fault == "not told":
        newest = await store.put(product("lamp", 2), "ada", 1)
        shop = Catalogue(store, index_of(database), shared, wall_ms)  # the shop was killed, and starts again
    else:
        await shared.feed(1, 9, [newest.model_copy(update={"version": 9, "made_ms": 9})], 0.0)
    for _ in range(2):
        await shop.follow()
    reader = Catalogue(store, index_of(database), shared, wall_ms)
    await reader.follow()
    assert await reader.get("lamp") == newest
    assert await shared.seq() == newest.version
    assert await shared.get("lamp") in (newest, None)
    await shared.close()
    await database.close()


async def test_two_shops_share_products_and_changes(redis: RedisServer, tmp_path: Path) -> None:
    """A product that one shop has read comes from Redis to the other shop, and its follower then sees each change."""
    database = await SqliteDatabase.open(str(tmp_path / "catalogue.db"))
    shared = [SharedCache.open(redis.url) for _ in range(2)]
    shops = [Catalogue(store_of(database), index_of(database), each, wall_ms) for each in shared]
    for shop in shops:
        await shop.follow()
    first = await shops[0].put(product("lamp", 1), "ada")
    for shop in shops:
        await shop.follow()
    assert await shops[1].get("lamp") == first
    changed = await shops[0].put(product("lamp", 2), "ada")
    assert await shops[0].get("lamp") == changed
    await shops[1].follow()
    assert await shops[1].get("lamp") == changed
    assert await shops[1].get("none") is None
    for each in shared:
        await each.close()
    await database.close()


async def test_without_redis_products_come_from_the_database(tmp_path: Path) -> None:
    """A Redis that does not answer makes nothing wrong and stops nobody."""
    database = await SqliteDatabase.open(str(tmp_path / "catalogue.db"))
    away = SharedCache.open("redis://127.0.0.1:1/0")
    shop = Catalogue(store_of(database), index_of(database), away, wall_ms)
    await shop.follow()
    made = await shop.put(product("lamp"), "ada")
    assert await shop.get("lamp") == made
    await shop.follow()
    assert (await store_of(database).read("lamp")) == made
    await away.close()
    await database.close()
