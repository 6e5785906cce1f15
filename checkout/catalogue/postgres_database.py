"""The catalogue in PostgreSQL: a pool of connections of its own, beside the one session that decides about stock."""

from collections.abc import Sequence
from typing import Any, TypeVar

import asyncpg

from checkout.catalogue.database import Database, Rows, Steps, script
from checkout.engines.postgres import CONNECTION_ERRORS
from checkout.errors import StoreError

T = TypeVar("T")
CONNECTIONS = 8
TIMEOUT_S = 5.0
SERVER_SETTINGS = {
    # The best plan of a search depends on how frequent its words are.
    "plan_cache_mode": "force_custom_plan",
    # pg_trgm proposes words; `words.nearest` decides. The default of 0.3 misses `shrit` for `shirt`.
    "pg_trgm.similarity_threshold": "0.19",
    "jit": "off",
}
SCHEMA_LOCK = 0x43617461  # "Cata": two shops that start at the same time create the tables one after the other


class PostgresDatabase(Database):
    """`await PostgresDatabase.open(url)`."""

    is_sqlite = False

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str) -> "PostgresDatabase":
        """Connect, and create the tables if needed. Raises `StoreError`."""
        try:
            pool = await asyncpg.create_pool(
                url, min_size=1, max_size=CONNECTIONS, command_timeout=TIMEOUT_S, server_settings=SERVER_SETTINGS
            )
            async with pool.acquire() as db, db.transaction():
                await db.execute(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
                await db.execute(script("tables.sql"))
                await db.execute(script("postgres.sql"))
        except (*CONNECTION_ERRORS, TimeoutError) as error:
            raise StoreError(f"postgres: {error}") from error
        return cls(pool)

    async def read(self, sql: str, *args: Any) -> Rows:
        try:
            rows: Sequence[Any] = await self._pool.fetch(sql, *args)
        except (*CONNECTION_ERRORS, TimeoutError) as error:
            raise StoreError(f"postgres: {error}") from error
        return rows

    async def write(self, steps: Steps[T]) -> T:
        try:
            async with self._pool.acquire() as db, db.transaction():
                try:
                    sql, args = next(steps)
                    while True:
                        sql, args = steps.send(await db.fetch(sql, *args))
                except StopIteration as end:
                    result: T = end.value
                    return result
        except (*CONNECTION_ERRORS, TimeoutError) as error:
            raise StoreError(f"postgres: {error}") from error

    async def close(self) -> None:
        await self._pool.close()
