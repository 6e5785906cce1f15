"""Read the evidence of a sale from the stores that the settings name, also while the shop runs."""

import sqlite3
from pathlib import Path

from checkout.clock import wall_ms
from checkout.engines.sqlite import read_evidence as read_sqlite
from checkout.errors import ConfigurationError, StoreError
from checkout.evidence import Evidence
from checkout.settings import EngineSettings


async def read_stores(engine: EngineSettings, sale: str) -> dict[str, Evidence]:
    """Return the evidence of a sale by the name of the store. Stores without this sale are left out.

    If the stock is in Redis, the stores are Redis and PostgreSQL. Each must be right by itself; PostgreSQL may be a
    moment behind. Raises `ConfigurationError` and `StoreError`.
    """
    found: dict[str, Evidence | None] = {}
    if engine.kind == "sqlite":
        found["sqlite"] = _from_sqlite(engine.path, sale)
    if engine.kind == "redis":
        found["redis"] = await _from_redis(engine.url, sale)
    url = engine.url if engine.kind == "postgres" else engine.orders_url
    if url:
        found["postgres"] = await _from_postgres(url, sale)
    return {name: evidence for name, evidence in found.items() if evidence is not None}


def _from_sqlite(path: str, sale: str) -> Evidence | None:
    if not Path(path).is_file():
        raise ConfigurationError(f"--database: no such file: {path}")
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    try:
        return read_sqlite(db, sale, wall_ms())
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path}: {error}") from error
    finally:
        db.close()


async def _from_redis(url: str, sale: str) -> Evidence | None:
    from checkout.engines.durable import Unconfirmed
    from checkout.engines.redis import RedisEngine

    stock = await RedisEngine.open(url, copy=Unconfirmed())
    try:
        return await stock.evidence(sale)
    finally:
        await stock.close()


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
