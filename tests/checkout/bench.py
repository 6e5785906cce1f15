"""Measure decisions a second for one sale on each store, against two naive ways, in one run.

    python -m tests.checkout.bench [--decisions 20000] [--rounds 3] [--seed 1]

Every way decides the same reservations in random order: half as many units as buyers, each buyer with a key. All ways
take turns within a round, and the medians over the rounds are printed: on a shared machine only ways that ran in the
same round can be compared. P95 is the time from the submission of a decision to its durable outcome. Everything runs on
the cores of this machine: this process, the database server and Redis.

Other load on the machine changes the rate and the P95. It changes the last two columns much less: decisions for each
second of processor time of this process and the servers together, and for each second of the store's own process (for
SQLite these are the same).
"""

import argparse
import asyncio
import os
import platform
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import yaml

from checkout.engines.engine import Engine
from checkout.engines.postgres import PostgresEngine
from checkout.engines.redis import RedisEngine
from checkout.engines.sqlite import SqliteEngine
from checkout.orders_watch import OrdersWatch
from checkout.tasks import background
from checkout.values import Done, OpenSale, Reserve, Sale
from checkout.writer import Writer
from tests.checkout.servers import PostgresServer, RedisServer, cpu_s, postgres_server, redis_server
from tests.checkout.shop_processes import Process

CLIENTS = 32  # of the naive ways; more clients only make their queue longer
IN_FLIGHT = 500  # decisions in progress at once with a batching engine: two batches


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def batched(engine: Engine, buyers: list[int], name: str) -> tuple[float, float, int]:
    """Return decisions a second, P95 in ms and units sold, with the shop's own writer."""
    sale = Sale(name, "Bench", len(buyers) // 2, 100, "EUR", 0, 0, 3_600_000, 1)
    await engine.apply([OpenSale(sale)])
    writer = Writer(engine)
    took: list[float] = []
    taken = 0
    waiting = iter(buyers)

    async def client() -> None:
        nonlocal taken
        for buyer in waiting:
            started = time.perf_counter()
            outcome = await writer.submit(Reserve(name, f"u{buyer}", f"{name}-{buyer}", f"{name}/{buyer}", "f"))
            took.append(time.perf_counter() - started)
            taken += isinstance(outcome, Done)

    async with background(writer.run()):
        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
        rate = len(buyers) / (time.perf_counter() - started)
    return rate, percentile(took, 0.95) * 1000, taken


async def pipelined(engine: RedisEngine, buyers: list[int], name: str) -> tuple[float, float, int]:
    """Return the same for Redis with four batches of 250 in flight, as several shop processes would have."""
    await engine.apply([OpenSale(Sale(name, "Bench", len(buyers) // 2, 100, "EUR", 0, 0, 3_600_000, 1))])
    batches = iter([buyers[at : at + 250] for at in range(0, len(buyers), 250)])
    took: list[float] = []
    taken = 0

    async def sender() -> None:
        nonlocal taken
        for batch in batches:
            started = time.perf_counter()
            commands = [Reserve(name, f"u{b}", f"{name}-{b}", f"{name}/{b}", "f") for b in batch]
            outcomes = await engine.apply(commands)
            took.append(time.perf_counter() - started)
            taken += sum(isinstance(outcome, Done) for outcome in outcomes)

    started = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(4)))
    return len(buyers) / (time.perf_counter() - started), percentile(took, 0.95) * 1000, taken


async def answered_by_orders(
    redis: RedisServer, orders_url: str, folder: Path, buyers: list[int], name: str
) -> tuple[float, float, int]:
    """Return the same for Redis as a shop uses it: an answer counts when PostgreSQL has committed the batch.

    The forwarder is a process of its own, as beside several shops.
    """
    file = folder / "forwarder.yaml"
    settings = {"engine": {"kind": "redis", "url": redis.url, "orders_url": orders_url}}
    file.write_text(yaml.safe_dump(settings))
    forwarder = Process("forwarder", file)
    forwarder.start()
    watch = OrdersWatch(orders_url)
    engine = await RedisEngine.open(redis.url, copy=watch)
    try:
        async with background(watch.run(engine.gate)):
            await watch.wait_ready(engine)
            return await batched(engine, buyers, name)
    finally:
        forwarder.kill(signal.SIGTERM)  # as a service is stopped; the next round starts another one
        await engine.close()


async def database_of_orders(postgres: PostgresServer) -> str:
    """Create a database for the orders of Redis, because their events have the same numbers as those of PostgreSQL."""
    db = await asyncpg.connect(postgres.url)
    await db.execute("CREATE DATABASE orders_of_redis")
    await db.close()
    return postgres.url.rpartition("/")[0] + "/orders_of_redis"


ROW_LOCK = "SELECT free, version FROM naive WHERE sale = $1 FOR UPDATE"
READ = "SELECT free, version FROM naive WHERE sale = $1"
TAKE = "UPDATE naive SET free = free - 1, version = version + 1 WHERE sale = $1"
INSERT = "INSERT INTO naive_orders VALUES ($1, $2, $3)"


async def naive(url: str, buyers: list[int], name: str, *, is_optimistic: bool) -> tuple[float, float, int]:
    """Return the same for one transaction a decision on one row: locked, or read with its version and retried."""
    db = await asyncpg.connect(url)
    await db.execute("CREATE TABLE IF NOT EXISTS naive (sale TEXT PRIMARY KEY, free INT, version INT)")
    await db.execute(
        "CREATE TABLE IF NOT EXISTS naive_orders (sale TEXT, buyer TEXT, key TEXT UNIQUE, UNIQUE (sale, buyer))"
    )
    await db.execute("INSERT INTO naive VALUES ($1, $2, 0)", name, len(buyers) // 2)
    took: list[float] = []
    taken = 0
    waiting = iter(buyers)

    async def client() -> None:
        nonlocal taken
        own = await asyncpg.connect(url)
        for buyer in waiting:
            started = time.perf_counter()
            while (taken_now := await decide(own, buyer)) is None:
                pass
            took.append(time.perf_counter() - started)
            taken += taken_now
        await own.close()

    async def decide(own: "asyncpg.Connection[asyncpg.Record]", buyer: int) -> bool | None:
        transaction = own.transaction()
        await transaction.start()
        free, version = await own.fetchrow(READ if is_optimistic else ROW_LOCK, name)  # type: ignore[misc]
        if free == 0:
            await transaction.rollback()
            return False
        if is_optimistic:
            done = await own.execute(f"{TAKE} AND version = $2", name, version)
            if done == "UPDATE 0":
                await transaction.rollback()
                return None
        else:
            await own.execute(TAKE, name)
        await own.execute(INSERT, name, f"u{buyer}", f"{name}/{buyer}")
        await transaction.commit()
        return True

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    rate = len(buyers) / (time.perf_counter() - started)
    await db.close()
    return rate, percentile(took, 0.95) * 1000, taken


async def run(decisions: int, rounds: int, seed: int, only: str) -> None:
    results: dict[str, list[tuple[float, float, float, float]]] = {}
    buyers = list(range(decisions))
    few = buyers[: max(1000, decisions // 10)]
    with redis_server() as redis, postgres_server() as postgres, tempfile.TemporaryDirectory() as folder:
        orders_url = await database_of_orders(postgres)
        for number in range(rounds):
            random.Random(seed + number).shuffle(buyers)
            lite = await SqliteEngine.open(str(Path(folder) / f"{number}.db"))
            kv = await RedisEngine.open(redis.url, prefix=f"{{b{number}}}:")
            sql = await PostgresEngine.open(postgres.url)
            ways: dict[str, tuple[list[int], Callable[[list[int], str], Awaitable[tuple[float, float, int]]]]] = {
                "sqlite": (buyers, lambda b, n, e=lite: batched(e, b, n)),  # type: ignore[misc]
                "redis": (buyers, lambda b, n, e=kv: batched(e, b, n)),  # type: ignore[misc]
                "redis, four batches on the wire": (buyers, lambda b, n, e=kv: pipelined(e, b, n)),  # type: ignore[misc]
                "redis, answered by postgres": (
                    buyers,
                    lambda b, n: answered_by_orders(redis, orders_url, Path(folder), b, n),
                ),
                "postgres": (buyers, lambda b, n, e=sql: batched(e, b, n)),  # type: ignore[misc]
                "naive row lock": (few, lambda b, n: naive(postgres.url, b, n, is_optimistic=False)),
                "naive optimistic": (few, lambda b, n: naive(postgres.url, b, n, is_optimistic=True)),
            }
            for way, (buyers_of_way, measure) in ways.items():
                if only and only not in way:
                    continue
                server = {"sqlite": os.getpid(), "redis": redis.pid}.get(way.partition(",")[0], postgres.pid)
                before, server_before = cpu_s(os.getpid()), cpu_s(server)
                rate, p95_ms, taken = await measure(buyers_of_way, f"{way} {number}")
                per_cpu_s = len(buyers_of_way) / (cpu_s(os.getpid()) - before)
                per_server_s = len(buyers_of_way) / (cpu_s(server) - server_before)
                assert taken == len(buyers_of_way) // 2, f"{way} sold {taken} of {len(buyers_of_way) // 2}"
                results.setdefault(way, []).append((rate, p95_ms, per_cpu_s, per_server_s))
            await asyncio.gather(lite.close(), kv.close(), sql.close())
    print(f"{decisions} decisions, {rounds} rounds, seed {seed}, Python {platform.python_version()}, medians")
    print("| way | decisions/s | P95 ms | a processor second | a processor second of the server |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for way, figures in results.items():
        rate, p95_ms, per_cpu_s, per_server_s = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"| {way} | {rate:,.0f} | {p95_ms:.1f} | {per_cpu_s:,.0f} | {per_server_s:,.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="decisions a second of each store")
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a way's name")
    options = parser.parse_args()
    asyncio.run(run(options.decisions, options.rounds, options.seed, options.only))
