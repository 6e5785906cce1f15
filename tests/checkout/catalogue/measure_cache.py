"""Measure the cache of products: hit rate and age under a skewed load with changes.

    python -m tests.checkout.catalogue.measure_cache --store postgres --seconds 30 --seed 1

Two nodes share a database, and with `postgres` also Redis. One changes products at a steady rate; the other is read by
Zipf's law. A read is stale by the time since the change that it does not show was confirmed to its writer.
"""

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from bisect import bisect
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from checkout.catalogue.catalogue import FOLLOW_EVERY_S, Catalogue
from checkout.catalogue.database import Database, Steps
from checkout.catalogue.postgres_database import PostgresDatabase
from checkout.catalogue.shared_cache import SharedCache
from checkout.catalogue.sqlite_database import SqliteDatabase
from checkout.catalogue.store import ProductStore
from checkout.clock import wall_ms
from checkout.expiry import repeat
from checkout.tasks import background
from tests.checkout.catalogue.places import index_of, product, store_of
from tests.checkout.servers import NO_SYNC, postgres_server, redis_server

READERS = 16


class Load(NamedTuple):
    skus: int = 10_000
    zipf: float = 1.1
    changes_per_s: float = 50.0
    seconds: float = 30.0
    seed: int = 1


class Measured(NamedTuple):
    reads: int
    reads_per_s: float
    hit_rate: float
    stalest_s: float
    stale_reads: int
    changes: int
    from_redis: int

    def __str__(self) -> str:
        return (
            f"{self.reads:,} reads ({self.reads_per_s:,.0f}/s), {self.hit_rate:.3%} hits, {self.changes:,} changes, "
            f"{self.stale_reads:,} reads of an older version, the stalest {self.stalest_s * 1000:.0f} ms old, "
            f"{self.from_redis:,} from Redis"
        )


class Changes:
    """When which version of a product was confirmed."""

    def __init__(self) -> None:
        self._confirmed: dict[str, list[tuple[int, float]]] = {}
        self.count = 0

    def note(self, name: str, version: int) -> None:
        self._confirmed.setdefault(name, []).append((version, time.monotonic()))
        self.count += 1

    def age_s(self, name: str, version: int, asked_s: float) -> float:
        """Return how long ago, when it was asked, the first change was confirmed that this version does not have."""
        for newer, confirmed_s in self._confirmed.get(name, []):
            if newer > version:
                return max(0.0, asked_s - confirmed_s)
        return 0.0


def _many(store: ProductStore, names: list[str]) -> Steps[None]:
    for name in names:
        yield from store.putting(product(name), "seed", 1, None)


class Node(NamedTuple):
    """One shop's view of the catalogue."""

    catalogue: Catalogue
    shared: SharedCache | None

    @classmethod
    async def open(cls, database: Database, redis_url: str, stack: AsyncExitStack) -> "Node":
        shared = SharedCache.open(redis_url) if redis_url else None
        if shared is not None:
            stack.push_async_callback(shared.close)
        node = cls(Catalogue(store_of(database), index_of(database), shared, wall_ms), shared)
        await node.catalogue.follow()
        return node

    @property
    def redis_hits(self) -> int:
        return self.shared.hits if self.shared else 0


class Play:
    """Reads one node and changes the other, until the time is over."""

    def __init__(self, writer: Node, reader: Node, load: Load) -> None:
        self._writer, self._reader, self._load = writer.catalogue, reader.catalogue, load
        self._chance = random.Random(load.seed)
        self._names = [f"p{number}" for number in range(load.skus)]
        self._weights = list(itertools.accumulate(1 / rank**load.zipf for rank in range(1, load.skus + 1)))
        self._ends_s = 0.0
        self.changes = Changes()
        self.ages_s: list[float] = []

    async def prepare(self, database: Database) -> None:
        """Create the products, and read each once, as a shop has that runs for a while."""
        for first in range(0, len(self._names), 500):
            await database.write(_many(store_of(database), self._names[first : first + 500]))
        for name in self._names:
            await self._reader.get(name)

    async def run(self) -> None:
        self._ends_s = time.monotonic() + self._load.seconds
        await asyncio.gather(self._change(), *(self._read() for _ in range(READERS)))

    def _name(self) -> str:
        return self._names[bisect(self._weights, self._chance.random() * self._weights[-1])]

    async def _change(self) -> None:
        due_s = time.monotonic()
        for cents in itertools.count(1):
            due_s += 1 / self._load.changes_per_s
            if due_s > self._ends_s:
                return
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            name = self._name()
            self.changes.note(name, (await self._writer.put(product(name, cents), "change")).version)

    async def _read(self) -> None:
        while time.monotonic() < self._ends_s:
            for _ in range(50):
                name, asked_s = self._name(), time.monotonic()
                found = await self._reader.get(name)
                if age_s := self.changes.age_s(name, found.version if found else 0, asked_s):
                    self.ages_s.append(age_s)
            await asyncio.sleep(0.001)


async def measure(database: Database, redis_url: str, load: Load) -> Measured:
    """Fill the database, then read and change for `load.seconds`."""
    async with AsyncExitStack() as stack:
        writer, reader = [await Node.open(database, redis_url, stack) for _ in range(2)]
        follow = (repeat(node.catalogue.follow, FOLLOW_EVERY_S) for node in (writer, reader))
        await stack.enter_async_context(background(*follow))
        play = Play(writer, reader, load)
        await play.prepare(database)
        before, redis_hits = reader.catalogue.snapshot(), reader.redis_hits
        await play.run()
        counts = reader.catalogue.snapshot()
        hits = counts.hits - before.hits
        reads = hits + counts.reads - before.reads + counts.shared - before.shared
        return Measured(
            reads,
            reads / load.seconds,
            hits / reads,
            max(play.ages_s, default=0.0),
            len(play.ages_s),
            play.changes.count,
            reader.redis_hits - redis_hits,
        )


async def main() -> None:
    parser = argparse.ArgumentParser(description="Measure hit rate and age of the cache of products.")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    load = Load(seconds=args.seconds, seed=args.seed)
    with tempfile.TemporaryDirectory() as folder:
        if args.store == "sqlite":
            lite = await SqliteDatabase.open(str(Path(folder) / "catalogue.db"))
            print(await measure(lite, "", load))
            await lite.close()
            return
        with postgres_server(*NO_SYNC) as postgres, redis_server("--appendonly", "no") as redis:
            sql = await PostgresDatabase.open(postgres.url)
            print(await measure(sql, redis.url, load))
            await sql.close()


if __name__ == "__main__":
    asyncio.run(main())
