"""Read the evidence of a sale from the stores that the settings name, also while the shop runs."""

import sqlite3
from pathlib import Path

from checkout.audit import Finding
from checkout.audit_stores import RedisAndOrders, compare_journal, compare_redis
from checkout.clock import wall_ms
from checkout.engines.journal import read_journal
from checkout.engines.sqlite import read_evidence as read_sqlite
from checkout.errors import ConfigurationError, StoreError
from checkout.evidence import Evidence
from checkout.settings import EngineSettings


async def read_stores(engine: EngineSettings, sale: str) -> tuple[dict[str, Evidence], list[Finding]]:
    """Return the evidence of a sale by the name of the store, and what differs between the copies of its history.

    Stores without this sale are left out. If the stock is in Redis, the stores are Redis and PostgreSQL. Each must be
    right by itself; PostgreSQL may be a moment behind. Raises `ConfigurationError` and `StoreError`.
    """
    found: dict[str, Evidence | None] = {}
    differences: list[Finding] = []
    if engine.kind == "sqlite":
        try:
            found["sqlite"] = _from_sqlite(engine.path, sale)
        except sqlite3.Error as error:
            return {}, [_damaged(engine.path, error)]
        differences = _journal_differences("sqlite", found["sqlite"], f"{engine.path}.journal", sale)
    elif engine.kind == "postgres":
        found["postgres"] = await _from_postgres(engine.url, sale)
        if engine.journal:
            differences = _journal_differences("postgres", found["postgres"], engine.journal, sale)
    else:
        both = await _both(engine, sale)
        found = {"redis": both.redis, "postgres": both.orders}
        differences = list(compare_redis(both, wall_ms()))
    return {name: evidence for name, evidence in found.items() if evidence is not None}, differences


def _damaged(path: str, error: sqlite3.Error) -> Finding:
    """Return the finding of a file that cannot be read. Raises `ConfigurationError` if no shop has written it."""
    if not Path(f"{path}.journal").exists():
        raise ConfigurationError(f"{path}: {error}") from error
    return Finding("damaged", f"{path}: {error}")


def _journal_differences(store: str, evidence: Evidence | None, journal: str, sale: str) -> list[Finding]:
    batches = read_journal(Path(journal))
    told = [event for batch in batches for event in batch.events if event.sale == sale]
    return list(compare_journal(store, evidence.events if evidence else [], told))


async def _both(engine: EngineSettings, sale: str) -> RedisAndOrders:
    """Read PostgreSQL first: what it has, Redis had before."""
    import asyncpg

    from checkout.engines.durable import Unconfirmed
    from checkout.engines.epoch import Position
    from checkout.engines.postgres import CONNECTION_ERRORS, read_evidence
    from checkout.engines.redis import RedisEngine
    from checkout.orders_store import read_cursor, read_epoch

    try:
        db = await asyncpg.connect(engine.orders_url)
        try:
            has_tables = await db.fetchval(
                "SELECT to_regclass('epochs') IS NOT NULL AND to_regclass('sales') IS NOT NULL"
            )
            orders = await read_evidence(db, sale, wall_ms()) if has_tables else None
            cursor = await read_cursor(db) if has_tables else Position(0, "")
            row = await read_epoch(db) if has_tables else None
        finally:
            await db.close()
    except CONNECTION_ERRORS as error:
        raise StoreError(f"postgres: {error}") from error
    stock = await RedisEngine.open(engine.url, copy=Unconfirmed())
    try:
        _, epoch, _, _ = await stock.look()
        return RedisAndOrders(
            redis=await stock.evidence(sale),
            orders=orders,
            epoch=str(epoch) if epoch else "",
            orders_epoch=str(row.epoch) if row else "",
            forwarded=await stock.forwarded() if epoch else 0,
            last_seq=cursor.seq,
            stopped=row.cause if row is not None and not row.is_armed else "",
        )
    finally:
        await stock.close()


def _from_sqlite(path: str, sale: str) -> Evidence | None:
    if not Path(path).is_file():
        raise ConfigurationError(f"--database: no such file: {path}")
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    try:
        return read_sqlite(db, sale, wall_ms())
    finally:
        db.close()


async def _from_postgres(url: str, sale: str) -> Evidence | None:
    import asyncpg

    from checkout.engines.postgres import CONNECTION_ERRORS, read_evidence

    try:
        db = await asyncpg.connect(url)
        try:
            return await read_evidence(db, sale, wall_ms())
        finally:
            await db.close()
    except CONNECTION_ERRORS as error:
        raise StoreError(f"postgres: {error}") from error
