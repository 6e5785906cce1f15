"""Look at the stores: the stock record, durability, replicas, clocks."""

import asyncio
import os
import shutil
import time
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from checkout.audit import audit
from checkout.engines.redis_stream import connection
from checkout.errors import CheckoutError
from checkout.evidence import Evidence
from checkout.preflight.check import Check, go, judged, no_go, note
from checkout.reading import read_stores
from checkout.settings import EngineSettings

MAX_SKEW_S = 0.5
LEAST_FREE_BYTES = 1 << 30
TIMEOUT_S = 5.0


async def check_stock(engine: EngineSettings, sale: str) -> list[Check]:
    """Compare the stock record with its trail, in every store."""
    if engine.kind == "sqlite" and engine.path == ":memory:":
        return [no_go("stock", "the stock is in memory and is lost with the process: set engine.path")]
    try:
        stores, differences = await read_stores(engine, sale)
    except (CheckoutError, OSError) as error:
        return [no_go("stock", f"cannot read the stock: {error}")]
    if not stores:
        return [no_go("stock", f"there is no sale {sale!r}: start the shop once, or create the sale over the API")]
    checks = [no_go("stock", f"{finding.rule}: {finding.text}") for finding in differences]
    for name, evidence in stores.items():
        checks += _stock_of(name, evidence)
    return checks


def _stock_of(name: str, evidence: Evidence) -> list[Check]:
    sale, stock = evidence.sale, evidence.stock
    found = [f"{name}: {finding.rule}: {finding.text}" for finding in audit(evidence, grace_ms=2**62)]
    if found:
        return [no_go("stock", text) for text in found[:10]]
    text = f"{name}: {stock.free} of {sale.total} units are free, and the trail says the same"
    checks = [go("stock", text)]
    if sale.total == 0:
        checks = [no_go("stock", f"{name}: the sale has no units")]
    elif stock.free == 0:
        checks = [no_go("stock", f"{name}: no unit is free: {stock.held} are held, {stock.sold} are sold")]
    elif stock.held or stock.sold:
        checks.append(note("stock", f"{name}: the sale has begun: {stock.held} units are held, {stock.sold} are sold"))
    if sale.closes_ms and evidence.now_ms >= sale.closes_ms:
        checks.append(no_go("stock", f"{name}: the sale has closed"))
    return checks


async def check_engine(engine: EngineSettings) -> list[Check]:
    """Look whether the stores keep what they are told, on more than one machine, with right clocks."""
    try:
        async with asyncio.timeout(TIMEOUT_S * 2):
            if engine.kind == "sqlite":
                return _check_file(engine)
            if engine.kind == "postgres":
                return await _check_postgres(engine.url)
            return [*await _check_redis(engine.url), *await _check_postgres(engine.orders_url)]
    except (CheckoutError, OSError, TimeoutError) as error:
        return [no_go("stores", f"{engine.kind}: {str(error) or 'no answer'}")]


def _check_file(engine: EngineSettings) -> list[Check]:
    if engine.path == ":memory:":
        return [no_go("stores", "sqlite: everything is in memory and is lost with the process: set engine.path")]
    folder = Path(engine.path).resolve().parent
    faults = []
    if not Path(f"{engine.path}.journal").exists():
        faults.append(f"sqlite: there is no {engine.path}.journal: start the shop once")
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        faults.append(f"sqlite: only {free >> 20} MiB are free in {folder}: make room for at least 1024")
    if not os.access(engine.path, os.W_OK):
        faults.append(f"sqlite: {engine.path} cannot be written")
    checks = judged("stores", faults, f"sqlite: file and journal are there, {free >> 30} GiB are free")
    return [*checks, note("replicas", "sqlite: one machine, no replica; if it is lost, the sale waits for its disk")]


async def _check_redis(url: str) -> list[Check]:
    client = connection(url, TIMEOUT_S)
    try:
        return await _look_at_redis(client)
    except (RedisError, OSError) as error:
        return [no_go("stores", f"redis: {error}")]
    finally:
        await client.aclose()


async def _look_at_redis(client: "Redis") -> list[Check]:
    before_s = time.time()
    seconds, micros = await client.time()
    skew_s = _skew(before_s, seconds + micros / 1e6)
    facts: dict[str, Any] = await client.info()
    settings = await client.config_get("appendonly", "maxmemory-policy", "maxmemory")
    faults = []
    if settings.get("appendonly") != "yes":
        faults.append("redis: set 'appendonly yes'; without it a restart forgets orders")
    if facts.get("aof_last_write_status", "ok") != "ok":
        faults.append("redis: the append-only file cannot be written: is the disk full?")
    if settings.get("maxmemory", "0") != "0" and settings.get("maxmemory-policy") != "noeviction":
        faults.append(f"redis: set 'maxmemory-policy noeviction'; {settings.get('maxmemory-policy')} throws away stock")
    if facts.get("role") != "master":
        faults.append("redis: the server at this address is a replica")
    checks = judged("stores", faults, "redis: a master with an append-only file that evicts nothing")
    replicas = int(facts.get("connected_slaves", 0))
    links = [facts.get(f"slave{at}", {}) for at in range(replicas)]
    lagging = [link for link in links if int(link.get("lag", 0)) > 1 or link.get("state") != "online"]
    if lagging:
        checks.append(no_go("replicas", f"redis: {len(lagging)} of {replicas} replicas lag or are not online"))
    elif replicas:
        checks.append(go("replicas", f"redis: {replicas} replicas follow"))
    else:
        checks.append(note("replicas", "redis: no replica; if the server is lost, it is rebuilt from the orders"))
    return [*checks, *_clock("redis", skew_s)]


async def _check_postgres(url: str) -> list[Check]:
    import asyncpg

    from checkout.engines.postgres import CONNECTION_ERRORS

    try:
        db = await asyncpg.connect(url, timeout=TIMEOUT_S)
        try:
            before_s = time.time()
            now_s = float(await db.fetchval("SELECT extract(epoch FROM clock_timestamp())"))
            skew_s = _skew(before_s, now_s)
            off = [name for name in ("fsync", "full_page_writes") if await db.fetchval(f"SHOW {name}") == "off"]
            standby = await db.fetchval("SELECT pg_is_in_recovery()")
            rows = await db.fetch("SELECT state FROM pg_stat_replication")
        finally:
            await db.close()
    except CONNECTION_ERRORS as error:
        return [no_go("stores", f"postgres: {str(error) or 'no answer'}")]
    faults = [f"postgres: {name} is off, so a power cut loses orders" for name in off]
    if standby:
        faults.append("postgres: the server at this address is a standby")
    checks = judged("stores", faults, "postgres: a primary that syncs what it commits")
    streaming = sum(row["state"] == "streaming" for row in rows)
    if streaming < len(rows):
        checks.append(no_go("replicas", f"postgres: {len(rows) - streaming} of {len(rows)} standbys do not stream"))
    elif rows:
        checks.append(go("replicas", f"postgres: {streaming} standbys stream"))
    else:
        checks.append(note("replicas", "postgres: no standby; if the server is lost, the sale waits for its disk"))
    return [*checks, *_clock("postgres", skew_s)]


def _skew(before_s: float, theirs_s: float) -> float:
    """Return how far a clock is off, in seconds, at least: the answer took some time."""
    after_s = time.time()
    if theirs_s < before_s:
        return before_s - theirs_s
    return max(0.0, theirs_s - after_s)


def _clock(name: str, skew_s: float) -> list[Check]:
    if skew_s > MAX_SKEW_S:
        return [no_go("clocks", f"{name}: its clock and the one of this machine differ by {skew_s:.1f} s: repair NTP")]
    return [go("clocks", f"{name}: its clock and the one of this machine agree")]
