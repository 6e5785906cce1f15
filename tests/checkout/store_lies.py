"""A sale under load while its store lies: it loses its newest events, is replaced by an older copy, or falls behind.

    python -m tests.checkout.store_lies --engine redis --fault aof-cut-25 --shops 3 --stock 2000 --times 5 --seed 1
    python -m tests.checkout.store_lies --all --seed 1

The shops, the stores and the bank are those of `chaos.py`, with 200 buyers at once. A fault happens at a random moment,
several times a sale. After each the shops must go on without help. At the end, buyers, bank and stores are compared:
nobody beyond the stock was told "sold", nobody has paid without an order, every answer is still true. Meanwhile a
watcher asks every shop for its stock as the edge does; it must never hear "over" before every unit is sold.

Without a journal a leader of PostgreSQL cannot repair an older state. There an operator puts the newer one back, and
what was sold meanwhile would be missing.
"""

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from checkout.audit import Finding, audit
from checkout.bank import Bank
from checkout.bank_client import bank_app
from checkout.reading import read_stores
from checkout.settings import EngineSettings
from checkout.tasks import background
from tests.checkout.chaos import Result, buyers, keep_running
from tests.checkout.quiet import redis_evidence, wait_quiet
from tests.checkout.redis_pair import redis_pair
from tests.checkout.servers import PostgresServer, RedisServer, postgres_server, redis_server
from tests.checkout.shop_processes import SALE, Process, ShopProcess, end_all, serving_app
from tests.ports import free_port

BUYERS_AT_ONCE = 200
WITHOUT_JOURNAL = "orders-older-without-journal"
CUTS = (1, 5, 25, 60, 100)
FAULTS: dict[str, tuple[str, ...]] = {
    "redis": (*(f"aof-cut-{cut}" for cut in CUTS), "flushed", "failover", "orders-older", "forwarder-paused"),
    "postgres": ("orders-older", WITHOUT_JOURNAL),
    "sqlite": ("file-overwritten", "file-replaced"),
}
ASK_EVERY_S = 0.05


@dataclass
class Plan:
    engine: str = "redis"
    fault: str = "aof-cut-25"
    shops: int = 1
    stock: int = 2_000
    times: int = 5
    seed: int = 1
    every_s: tuple[float, float] = (1.0, 4.0)
    pause_s: float = 60.0
    hold_s: float = 5.0
    buyers_per_unit: float = 1.5


@dataclass
class Lies(Result):
    """What a sale gave. faults: how often the store lied. unknown: how often the edge was told that."""

    faults: int = 0
    unknown: int = 0
    false_over: list[str] = field(default_factory=list)
    differences: list[Finding] = field(default_factory=list)


@dataclass
class Scene:
    """The running processes of a sale, for the faults."""

    engine: dict[str, Any]
    shops: list[ShopProcess]
    parts: list[Process]
    strike: Callable[[random.Random], Awaitable[None]]


async def run(plan: Plan) -> Lies:
    """Play the sale and check it."""
    started = time.monotonic()
    result = Lies(buyers=int(plan.stock * plan.buyers_per_unit))
    chance = random.Random(plan.seed)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bank = Bank(0.01)
        bank_url = await stack.enter_async_context(serving_app(bank_app(bank)))
        scene = await set_up(plan, folder, bank_url, stack)
        processes = [*scene.shops, *scene.parts]
        stack.callback(end_all, processes)
        urls = [shop.url for shop in scene.shops]
        async with background(keep_running(processes), watch_stock(urls, result)):
            ended = asyncio.Event()
            connector = TCPConnector(limit=BUYERS_AT_ONCE, force_close=True)
            client = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(10), connector=connector))
            async with asyncio.TaskGroup() as tasks:
                striker = tasks.create_task(strike_often(plan, scene, chance, result))
                numbers = iter(range(result.buyers))
                crowd = [
                    tasks.create_task(buyers(numbers, client, urls, plan.seed, result, ended, carts=False))
                    for _ in range(min(BUYERS_AT_ONCE, result.buyers))
                ]
                await asyncio.wait(crowd)
                ended.set()
                await striker
            evidence = await wait_quiet(scene.engine, bank)
            evidence = replace(evidence, client_records=result.client_records, movements=bank.movements)
            result.findings = audit(evidence, is_quiet=True)
            if scene.engine["kind"] == "redis":
                in_redis = replace(await redis_evidence(scene.engine), client_records=result.client_records)
                result.findings += audit(in_redis, is_quiet=True)
            _, result.differences = await read_stores(EngineSettings(**scene.engine), SALE)
        result.sold = evidence.stock.sold
    result.seconds = time.monotonic() - started
    return result


async def strike_often(plan: Plan, scene: Scene, chance: random.Random, result: Lies) -> None:
    """Let the store lie `times` times, each time when the sale has moved on."""
    for _ in range(plan.times):
        before = len(result.client_records)
        await asyncio.sleep(chance.uniform(*plan.every_s))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                while len(result.client_records) < before + 5:
                    await asyncio.sleep(0.05)
        await scene.strike(chance)
        result.faults += 1


async def watch_stock(urls: Sequence[str], result: Lies) -> None:
    """Ask every shop for its stock, as the edge does, and note what must not be said."""
    async with ClientSession(timeout=ClientTimeout(2)) as client:
        while True:
            for url in urls:
                with contextlib.suppress(ClientError, TimeoutError, OSError, json.JSONDecodeError):
                    async with client.get(f"{url}/stock", headers={"Accept": "application/json"}) as answer:
                        stated = answer.headers.get("Stanchion-Stock"), answer.headers.get("Stanchion-Held")
                        body = await answer.json(content_type=None)
                        result.unknown += stated[0] == "unknown"
                        says_over = answer.status == 200 and body["free"] == body["held"] == 0
                        if says_over and body["sold"] == 0:
                            result.false_over.append(f"{url}: {stated} {body}")
            await asyncio.sleep(ASK_EVERY_S)


async def set_up(plan: Plan, folder: Path, bank_url: str, stack: AsyncExitStack) -> Scene:
    """Start the stores and describe the processes of the shop."""
    postgres: PostgresServer | None = None
    redis: RedisServer | None = None
    if plan.engine == "sqlite":
        engine: dict[str, Any] = {"kind": "sqlite", "path": str(folder / "shop.db")}
    else:
        postgres = stack.enter_context(postgres_server())
        engine = {"kind": "postgres", "url": postgres.url, "standby": True}
        if plan.fault == "orders-older":
            engine["journal"] = str(folder / "journal")
    if plan.engine == "redis":
        assert postgres is not None
        engine = {"kind": "redis", "orders_url": postgres.url}
        if plan.fault == "failover":
            pair = await stack.enter_async_context(redis_pair())
            engine["url"] = pair.url
        else:
            redis = stack.enter_context(redis_server(*redis_options(plan)))
            engine["url"] = redis.url
    is_alone = plan.shops == 1
    shops = [
        ShopProcess(folder, free_port(), engine, bank_url, stock=plan.stock, hold_s=plan.hold_s, is_alone=is_alone)
        for _ in range(plan.shops)
    ]
    parts = []
    if plan.engine == "redis" and not is_alone:
        parts = [Process(name, shops[0].file) for name in ("forwarder", "sweeper")]

    async def strike(chance: random.Random) -> None:
        if plan.fault == "failover":
            await pair.failover(chance.uniform(0.02, 1.0))
        elif redis is not None and plan.fault == "flushed":
            await asyncio.to_thread(flush, redis)
        elif redis is not None and plan.fault.startswith("aof-cut"):
            redis.kill()
            redis.cut(float(plan.fault.rpartition("-")[2]))
            await asyncio.to_thread(redis.start)
        elif plan.fault == "forwarder-paused":
            paused = parts[0] if parts else shops[0]
            paused.pause()
            await asyncio.sleep(plan.pause_s)
            paused.resume()
        elif postgres is not None:
            await restore_older(postgres, chance, is_undone=plan.fault == WITHOUT_JOURNAL)
        else:
            await replace_file(Path(engine["path"]), chance, is_new=plan.fault == "file-replaced")

    return Scene(engine, shops, parts, strike)


def redis_options(plan: Plan) -> tuple[str, ...]:
    """Both ways to sync take turns: the shop promises the same for each."""
    return ("--appendonly", "yes", "--appendfsync", "always" if plan.seed % 2 else "everysec")


def flush(server: RedisServer) -> None:
    from redis import Redis

    with Redis.from_url(server.url) as client:
        client.flushall()


async def restore_older(postgres: PostgresServer, chance: random.Random, *, is_undone: bool) -> None:
    """Save the orders, let the sale go on, and put the saved state in place of the newer one.

    is_undone: put the newer state back in the end.
    """
    await while_stopped(postgres, postgres.save)
    saved = await newest_event(postgres)
    await asyncio.sleep(chance.uniform(0.5, 2.0))
    if is_undone:
        await wait_moved_on(postgres, saved)
    await while_stopped(postgres, *[partial(postgres.save, "newer")] * is_undone, postgres.restore)
    if is_undone:
        await asyncio.sleep(chance.uniform(1.0, 3.0))
        await while_stopped(postgres, partial(postgres.restore, "newer"))


async def newest_event(postgres: PostgresServer) -> int:
    db = await asyncpg.connect(postgres.url)
    try:
        return int(await db.fetchval("SELECT coalesce(max(seq), 0) FROM events"))
    finally:
        await db.close()


async def wait_moved_on(postgres: PostgresServer, saved: int) -> None:
    """Wait until more was sold than a saved state has. Otherwise that state is no lie, and a later one would be it."""
    async with asyncio.timeout(60):
        while await newest_event(postgres) <= saved:
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)  # until the leader has the answer


async def while_stopped(postgres: PostgresServer, *steps: Callable[[], None]) -> None:
    """Kill the server, take the steps, and start it again."""
    postgres.kill()
    for step in (*steps, postgres.start):
        await asyncio.to_thread(step)


async def replace_file(path: Path, chance: random.Random, *, is_new: bool) -> None:
    """Copy the store, let the sale go on, and put the copy in place of the store: over it, or as a new file."""
    copy = path.with_suffix(".copy")
    copy.unlink(missing_ok=True)
    source, target = sqlite3.connect(f"file:{path}?mode=ro", uri=True), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    await asyncio.sleep(chance.uniform(0.3, 1.5))
    if is_new:
        copy.replace(path)
    else:
        shutil.copyfile(copy, path)


def main() -> int:
    parser = argparse.ArgumentParser(description="a sale with a store that lies")
    plan = Plan()
    parser.add_argument("--all", action="store_true", help="every engine, every fault, one and three shops")
    parser.add_argument("--engine", choices=list(FAULTS), default=plan.engine)
    parser.add_argument("--fault", choices=sorted({fault for faults in FAULTS.values() for fault in faults}))
    parser.add_argument("--shops", type=int, default=0, help="0: one, then three")
    parser.add_argument("--stock", type=int, default=plan.stock)
    parser.add_argument("--times", type=int, default=plan.times)
    parser.add_argument("--pause", type=float, default=plan.pause_s, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=plan.seed)
    options = parser.parse_args()
    failed = 0
    print("| store | fault | shops | faults | sold | answers recorded | told 'unknown' | findings | seconds |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for engine in list(FAULTS) if options.all else [options.engine]:
        for fault in FAULTS[engine] if options.all or not options.fault else [options.fault]:
            is_alone = engine == "sqlite" or fault == WITHOUT_JOURNAL  # a standby does not know what another one sold
            for shops in [options.shops] if options.shops else ([1] if is_alone else [1, 3]):
                times = 1 if fault == "forwarder-paused" else options.times
                wanted = replace(plan, engine=engine, fault=fault, shops=shops, stock=options.stock, times=times)
                result = asyncio.run(run(replace(wanted, seed=options.seed, pause_s=options.pause)))
                failed += bool(report(engine, fault, shops, options.stock, result))
    return 1 if failed else 0


def report(engine: str, fault: str, shops: int, stock: int, result: Lies) -> list[str]:
    """Print the row of a sale and its faults, and return the faults."""
    faults = [f"{finding.rule}: {finding.text}" for finding in [*result.findings, *result.differences]]
    faults += [f"false over: {text}" for text in result.false_over]
    told = len({record.hold for record in result.client_records if record.kind == "sold"})
    if told > stock:
        faults.append(f"{told} buyers were told 'sold' for {stock} units")
    print(
        f"| {engine} | {fault} | {shops} | {result.faults} | {result.sold} of {stock} | {len(result.client_records):,} "
        f"| {result.unknown:,} | {len(faults)} | {result.seconds:.0f} |",
        flush=True,
    )
    kinds = Counter(text.partition(":")[0] for text in faults)
    if kinds:
        print(f"  {dict(kinds)}")
    for text in faults[:10]:
        print(f"  {text}", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(main())
