"""The catalogue in a SQLite file: one thread writes, two read. In memory there is one connection for all.

A commit is not synced one by one (`synchronous=NORMAL`): a power cut may lose the last changes of products and carts,
never an order. The stock has a file of its own, with synced commits.
"""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import local
from typing import Any, TypeVar

from checkout.catalogue.database import Database, Rows, Steps, drive, script
from checkout.errors import StoreError
from checkout.sqlite_transaction import transaction

T = TypeVar("T")
READERS = 2
BUSY_S = 10.0


@lru_cache(maxsize=512)
def _for_sqlite(sql: str) -> str:
    """Return a statement with SQLite's parameters. A `$` before anything but a digit stays: it is a path into JSON."""
    return re.sub(r"\$(?=\d)", "?", sql)


class SqliteDatabase(Database):
    """`await SqliteDatabase.open(path)`. The path `:memory:` forgets everything at the end."""

    is_sqlite = True

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="catalogue")
        self._own = path == ":memory:"
        self._readers = self._writer if self._own else ThreadPoolExecutor(READERS, thread_name_prefix="catalogue-read")
        self._connections = local()
        self._opened: list[sqlite3.Connection] = []

    @classmethod
    async def open(cls, path: str) -> "SqliteDatabase":
        """Open the file, and create its tables if needed. Raises `StoreError`."""
        database = cls(path)
        try:
            await database._run(database._writer, database._prepare)
        except BaseException:
            await database.close()
            raise
        return database

    async def read(self, sql: str, *args: Any) -> Rows:
        return await self._run(self._readers, lambda: self._execute(sql, args))

    async def write(self, steps: Steps[T]) -> T:
        return await self._run(self._writer, lambda: self._transaction(steps))

    async def close(self) -> None:
        for pool in {self._readers, self._writer}:
            await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)
        for connection in self._opened:
            connection.close()

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    # -- in the threads ------------------------------------------------------------------------------------------

    def _db(self) -> sqlite3.Connection:
        """Return the connection of this thread."""
        db: sqlite3.Connection | None = getattr(self._connections, "db", None)
        if db is None:
            db = sqlite3.connect(
                self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            self._opened.append(db)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA cache_size=-65536")
            self._connections.db = db
        return db

    def _prepare(self) -> None:
        self._db().executescript(script("tables.sql") + script("sqlite.sql"))

    def _execute(self, sql: str, args: Sequence[Any]) -> Rows:
        return self._db().execute(_for_sqlite(sql), args).fetchall()

    def _transaction(self, steps: Steps[T]) -> T:
        db = self._db()
        with transaction(db):
            return drive(steps, self._execute)
