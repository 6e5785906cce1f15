"""The embedded store: one SQLite file (or memory), one writer thread, one transaction for each batch.

In WAL mode readers are not blocked. `synchronous=FULL` syncs the log once a batch, so every outcome that was returned
survives a power cut. The file is locked against other writers, so a second shop on the same file fails at once.
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, TypeVar

from checkout.changes import Changes
from checkout.clock import AnchoredClock, ClockMs, wall_ms
from checkout.engines.sql import (
    EVIDENCE,
    HOLD,
    KEYS,
    SALES,
    SqlReads,
    changed_sales,
    evidence_of,
    for_sqlite,
    ledger_of,
    order_rows,
    refusal_rows,
    schema,
)
from checkout.errors import NotLeader, StoreError
from checkout.evidence import Evidence
from checkout.ledger import KEEP_KEYS_MS, Ledger
from checkout.values import Command, Hold, Outcome

T = TypeVar("T")

UPSERT_HOLD = (
    f"INSERT INTO holds ({HOLD}) VALUES (?,?,?,?,?,?,?,?) "
    "ON CONFLICT (id) DO UPDATE SET state=excluded.state, money=excluded.money, charge=excluded.charge"
)
LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM events"


class SqliteEngine(SqlReads):
    """`SqliteEngine.open(path)`. The path `:memory:` keeps everything in memory."""

    OLDEST_FIRST = "sales.rowid"

    def __init__(
        self,
        db: sqlite3.Connection,
        lock: IO[str] | None,
        thread: ThreadPoolExecutor,
        clock: ClockMs,
        lazy_expiry: bool,
    ) -> None:
        self._db = db
        self._lock = lock
        self._thread = thread
        self._clock = clock
        self._lazy_expiry = lazy_expiry
        self._ledger: Ledger | None = None

    @classmethod
    async def open(cls, path: str, *, clock: ClockMs | None = None, lazy_expiry: bool = True) -> "SqliteEngine":
        """Open the store, and create it if needed. Raises `NotLeader` if another process writes to the file."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

        def connect() -> tuple[sqlite3.Connection, IO[str] | None, int]:
            lock = _lock(path)
            db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")
                db.execute("PRAGMA foreign_keys=ON")
                db.executescript(schema())
                (last_ms,) = db.execute("SELECT coalesce(max(at_ms), 0) FROM events").fetchone()
            except sqlite3.Error as error:
                db.close()
                raise StoreError(f"{path}: {error}") from error
            return db, lock, last_ms

        try:
            db, lock, last_ms = await asyncio.get_running_loop().run_in_executor(thread, connect)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(db, lock, thread, clock or AnchoredClock(max(wall_ms(), last_ms)), lazy_expiry)

    async def close(self) -> None:
        await self._run(self._db.close)
        self._thread.shutdown()
        if self._lock is not None:
            self._lock.close()

    async def apply(self, batch: Sequence[Command]) -> list[Outcome]:
        return await self._run(lambda: self._apply(batch))

    async def hold(self, hold_id: str) -> Hold | None:
        return await self._run(lambda: self._image().hold(hold_id))

    async def evidence(self, sale_id: str) -> Evidence | None:
        return await self._run(lambda: read_evidence(self._db, sale_id, self._clock()))

    # -- in the writer thread --------------------------------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _rows(self, sql: str, *args: Any) -> list[Any]:
        return await self._run(lambda: self._db.execute(for_sqlite(sql), args).fetchall())

    def _now_ms(self) -> int:
        return self._clock()

    def _image(self) -> Ledger:
        if self._ledger is None:
            db = self._db
            since_ms = self._clock() - KEEP_KEYS_MS
            self._ledger = ledger_of(
                Ledger(lazy_expiry=self._lazy_expiry),
                db.execute(SALES),
                db.execute(f"SELECT {HOLD} FROM holds ORDER BY made_ms"),
                [row for sql in KEYS for row in db.execute(for_sqlite(sql), (since_ms,))],
                db.execute(LAST_SEQ).fetchone()[0],
            )
        return self._ledger

    def _apply(self, batch: Sequence[Command]) -> list[Outcome]:
        ledger = self._image()
        now_ms = self._clock()
        try:
            outcomes = ledger.decide_batch(batch, now_ms)
            if changes := ledger.take_changes():
                self._write(changes, ledger)
        except BaseException as error:
            self._ledger = None  # the image may be ahead of the store, so it is read again
            if isinstance(error, sqlite3.Error):
                raise StoreError(str(error)) from error
            raise
        return outcomes

    def _write(self, changes: Changes, ledger: Ledger) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            db.executemany("INSERT INTO sales VALUES (?,?,?,?,?,?,?,?,?)", changes.sales)
            db.executemany(UPSERT_HOLD, changes.holds.values())
            db.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", changes.events)
            db.executemany("INSERT OR REPLACE INTO refusals VALUES (?,?,?,?,?)", refusal_rows(changes))
            db.executemany("INSERT INTO orders VALUES (?,?,?,?,?)", order_rows(changes))
            db.executemany(
                "INSERT INTO stock VALUES (?,?,?,?,?) "
                "ON CONFLICT (sale) DO UPDATE SET "
                "free=excluded.free, held=excluded.held, sold=excluded.sold, version=excluded.version",
                [(sale, *ledger.stock(sale)) for sale in changed_sales(changes)],
            )
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def read_evidence(db: sqlite3.Connection, sale_id: str, now_ms: int) -> Evidence | None:
    """Return the evidence of a sale from one transaction, or None. Another process may have the store open."""
    db.execute("BEGIN")
    try:
        sales, events, holds, orders = (db.execute(for_sqlite(sql), (sale_id,)).fetchall() for sql in EVIDENCE)
    finally:
        db.execute("COMMIT")
    return evidence_of(sales, events, holds, orders, now_ms)


def _lock(path: str) -> IO[str] | None:
    """Become the one writer of this file. The kernel releases the lock when the process ends, in whatever way."""
    if path == ":memory:":
        return None
    handle = open(f"{path}.lock", "w")  # noqa: SIM115 - open for the lifetime of the engine
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise NotLeader(f"{path}: another process sells from this file") from error
    return handle
