"""Read the durable evidence of a chaos sale, when nothing is in progress any more."""

import asyncio
import sqlite3
import time
from typing import Any

import asyncpg

from checkout.bank import Bank
from checkout.clock import wall_ms
from checkout.engines.durable import Unconfirmed
from checkout.engines.postgres import read_evidence as read_postgres
from checkout.engines.redis import RedisEngine
from checkout.engines.sqlite import read_evidence as read_sqlite
from checkout.evidence import Evidence
from tests.checkout.shop_processes import SALE

MAX_QUIET_S = 60.0


async def wait_quiet(engine: dict[str, Any], bank: Bank) -> Evidence:
    """Return the durable evidence when nothing is in progress any more, or after `MAX_QUIET_S`.

    A SQLite file that was overwritten is damaged until the shop notices it.
    """
    until = time.monotonic() + MAX_QUIET_S
    while True:
        try:
            evidence = await _read(engine)
        except sqlite3.DatabaseError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.5)
            continue
        open_holds = [hold for hold in evidence.holds if hold.state in ("held", "paying") or hold.money == "started"]
        behind = engine["kind"] == "redis" and (await redis_evidence(engine)).events != evidence.events
        if (not open_holds and not behind) or time.monotonic() > until:
            return evidence
        await asyncio.sleep(0.5)


async def _read(engine: dict[str, Any]) -> Evidence:
    if engine["kind"] == "sqlite":
        db = sqlite3.connect(f"file:{engine['path']}?mode=ro", uri=True, isolation_level=None)
        evidence = read_sqlite(db, SALE, wall_ms())
        db.close()
    else:
        sql = await asyncpg.connect(engine.get("orders_url") or engine["url"])
        evidence = await read_postgres(sql, SALE, wall_ms())
        await sql.close()
    assert evidence is not None, "the sale itself is gone"
    return evidence


async def redis_evidence(engine: dict[str, Any]) -> Evidence:
    stock = await RedisEngine.open(engine["url"], copy=Unconfirmed())
    evidence = await stock.evidence(SALE)
    await stock.close()
    assert evidence is not None, "the sale itself is gone"
    return evidence
