"""The embedded store: one SQLite file (or memory), one writer thread, one transaction for each batch.

In WAL mode readers are not blocked. `synchronous=FULL` syncs the log once a batch, so every outcome that was returned
survives a power cut. The file is locked against other writers, so a second shop on the same file fails at once. If the
file is replaced by an older copy, under a running shop or while none runs, it is written anew from its journal
(`sqlite_file.py`).
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

from checkout.changes import Changes
from checkout.clock import AnchoredClock, ClockMs, wall_ms
from checkout.engines.journal import Journal
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
)
from checkout.engines.sqlite_file import FileMark, connect, is_behind, is_whole, open_whole, write_anew, write_changes
from checkout.errors import NotLeader, StoreError
from checkout.evidence import Evidence
from checkout.ledger import KEEP_KEYS_MS, Ledger
from checkout.values import Command, Hold, Outcome, Stock

T = TypeVar("T")

LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM events"


class SqliteEngine(SqlReads):
    """`SqliteEngine.open(path)`. The path `:memory:` keeps everything in memory."""

    OLDEST_FIRST = "sales.rowid"

    def __init__(
        self,
        store: "_Store",
        thread: ThreadPoolExecutor,
        clock: ClockMs,
        lazy_expiry: bool,
    ) -> None:
        self._store = store
        self._thread = thread
        self._clock = clock
        self._lazy_expiry = lazy_expiry
        self._ledger: Ledger | None = None

    @classmethod
    async def open(cls, path: str, *, clock: ClockMs | None = None, lazy_expiry: bool = True) -> "SqliteEngine":
        """Open the store, and create it if needed. Raises `NotLeader` if another process writes to the file.

        A file that lacks batches of its journal is written anew first.
        """
        thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        try:
            store = await asyncio.get_running_loop().run_in_executor(thread, _Store, path)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(store, thread, clock or AnchoredClock(max(wall_ms(), store.last_ms)), lazy_expiry)

    async def close(self) -> None:
        await self._run(self._store.close)
        self._thread.shutdown()

    async def apply(self, batch: Sequence[Command]) -> list[Outcome]:
        return await self._run(lambda: self._apply(batch))

    async def hold(self, hold_id: str) -> Hold | None:
        return await self._run(lambda: self._image().hold(hold_id))

    async def evidence(self, sale_id: str) -> Evidence | None:
        return await self._run(lambda: read_evidence(self._db(), sale_id, self._clock()))

    # -- in the writer thread --------------------------------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error

    async def _rows(self, sql: str, *args: Any) -> list[Any]:
        def read() -> list[Any]:
            rows = self._db().execute(for_sqlite(sql), args).fetchall()
            self._store.touched()
            return rows

        return await self._run(read)

    def _now_ms(self) -> int:
        return self._clock()

    def _db(self) -> sqlite3.Connection:
        """Return the connection to the store, after a look whether the file is still what this process wrote."""
        before = self._store.db
        db = self._store.checked()
        if db is not before:
            self._ledger = None  # the store was written anew
        return db

    def _image(self) -> Ledger:
        db = self._db()
        if self._ledger is None:
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
        try:
            ledger = self._image()
            outcomes = ledger.decide_batch(batch, self._clock())
            if changes := ledger.take_changes():
                self._store.write(changes, {sale: ledger.stock(sale) for sale in changed_sales(changes)})
        except BaseException:
            self._ledger = None  # the image may be ahead of the store, so it is read again
            raise
        return outcomes


class _Store:
    """One file with its lock, its connection and its journal; in memory there is only the connection."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = _lock(path)
        self._journal: Journal | None = None
        self._mark: FileMark | None = None
        self._lags = False  # whether the journal lacks a committed batch, because it could not be written
        try:
            if self._lock is None:
                self.db = connect(path)
            else:
                self._journal = Journal(Path(f"{path}.journal"))
                self.db = open_whole(path, self._journal)
                self._mark = FileMark.of(path)
            (self.last_ms,) = self.db.execute("SELECT coalesce(max(at_ms), 0) FROM events").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error

    def checked(self) -> sqlite3.Connection:
        """Return the connection to a file that is what this process wrote. Raises `StockUnknown`."""
        if self._journal is not None:
            self._journal.require_intact()
            if self._lags:
                is_behind(self.db, self._journal)
                self._lags = False
            found = self._found_mark()
            if found != self._mark:
                if not (self._is_open_file(found) and is_whole(self._path, self._journal)):
                    self.db = write_anew(self._path, self._journal, "replaced or damaged under a running shop", self.db)
                self._mark = self._found_mark()
        return self.db

    def write(self, changes: Changes, stock: dict[str, Stock]) -> None:
        """Commit a batch, and then add it to the journal."""
        write_changes(self.db, changes, stock)
        if self._journal is not None:
            self._lags = True
            self.touched()
            self._journal.append(changes)
            self._lags = False

    def touched(self) -> None:
        """Take the file as it is now as the work of this process, unless it is another file."""
        found = self._found_mark() if self._mark is not None else None
        if self._is_open_file(found):
            self._mark = found

    def close(self) -> None:
        self.db.close()
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None:
            self._lock.close()

    def _is_open_file(self, found: FileMark | None) -> bool:
        """Return whether this is the file that SQLite has open, and writes to. Its content says nothing about that."""
        return found is not None and self._mark is not None and found.inode == self._mark.inode

    def _found_mark(self) -> FileMark | None:
        try:
            return FileMark.of(self._path)
        except OSError:
            return None


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
