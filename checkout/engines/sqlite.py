"""The embedded store: one SQLite file (or memory), one writer thread, one transaction for each batch.

WAL lets readers go on; `synchronous=FULL` syncs the log once a batch, so what was answered survives a power
cut. The file is locked for other writers from the first batch on: a second shop on the same file fails at
once.
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, TypeVar

from checkout.changes import Changes
from checkout.clock import AnchoredClock, ClockMs, wall_ms
from checkout.engines.rows import HOLD, KEYS, SALES, fill, hold_of
from checkout.engines.schema import schema
from checkout.errors import NotLeader, StoreError
from checkout.evidence import Evidence, Order
from checkout.ledger import KEEP_KEYS_MS, Ledger
from checkout.values import Command, Event, Hold, Outcome, Sale, State, Stock

T = TypeVar("T")

UPSERT_HOLD = (
    f"INSERT INTO holds ({HOLD}) VALUES (?,?,?,?,?,?,?,?) "
    "ON CONFLICT (id) DO UPDATE SET state=excluded.state, money=excluded.money, charge=excluded.charge"
)
LIVE_DUE = "state IN ('held','paying') AND ends_ms <= ?"


class SqliteEngine:
    """`SqliteEngine.open(path)`; the path `:memory:` keeps everything in memory."""

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
        """Open or make the store. Raises `NotLeader` when another process is writing to the file."""
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

    async def sales(self) -> list[tuple[Sale, Stock]]:
        rows = await self._rows(f"{SALES} ORDER BY sales.rowid")
        return [(Sale(*row[:9]), Stock(*row[9:])) for row in rows]

    async def stock(self, sale_id: str) -> Stock | None:
        rows = await self._rows("SELECT free, held, sold, version FROM stock WHERE sale=?", sale_id)
        return Stock(*rows[0]) if rows else None

    async def hold(self, hold_id: str) -> Hold | None:
        return await self._run(lambda: self._image().hold(hold_id))

    async def holds(self, sale_id: str, user: str = "", limit: int = 1000) -> list[Hold]:
        where, args = "sale=?", [sale_id]
        if user:
            where, args = "sale=? AND buyer=?", [sale_id, user]
        return await self._holds(f"{where} ORDER BY made_ms DESC, id LIMIT {int(limit)}", *args)

    async def evidence(self, sale_id: str) -> Evidence | None:
        return await self._run(lambda: read_evidence(self._db, sale_id, self._clock()))

    async def unsettled(self, limit: int = 1000) -> list[Hold]:
        return await self._holds(f"money='started' LIMIT {int(limit)}")

    async def events(self, sale_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        sql = "SELECT * FROM events WHERE seq>? AND (sale=? OR ?='') ORDER BY seq LIMIT ?"
        return [Event(*row) for row in await self._rows(sql, after_seq, sale_id, sale_id, limit)]

    async def overdue(self, limit: int = 1000) -> list[str]:
        sql = f"SELECT id FROM holds WHERE {LIVE_DUE} ORDER BY ends_ms LIMIT ?"
        return [row[0] for row in await self._rows(sql, self._clock(), limit)]

    async def claim(self, owner: str, lease_ms: int, limit: int = 100) -> list[str]:
        now_ms = self._clock()
        sql = (
            "UPDATE holds SET queue_owner=?, queue_lease_ms=? WHERE id IN "
            f"(SELECT id FROM holds WHERE {LIVE_DUE} AND queue_lease_ms <= ? ORDER BY ends_ms LIMIT ?) "
            "RETURNING id"
        )
        return [row[0] for row in await self._rows(sql, owner, now_ms + lease_ms, now_ms, now_ms, limit)]

    # -- in the writer thread --------------------------------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        return await self._run(lambda: self._db.execute(sql, args).fetchall())

    async def _holds(self, where: str, *args: Any) -> list[Hold]:
        return [hold_of(row) for row in await self._rows(f"SELECT {HOLD} FROM holds WHERE {where}", *args)]

    def _image(self) -> Ledger:
        if self._ledger is None:
            db = self._db
            since_ms = self._clock() - KEEP_KEYS_MS
            self._ledger = fill(
                Ledger(lazy_expiry=self._lazy_expiry),
                db.execute(SALES),
                db.execute(f"SELECT {HOLD} FROM holds ORDER BY made_ms"),
                [row for sql in KEYS for row in db.execute(f"{sql} ?", (since_ms,))],
                db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0],
            )
        return self._ledger

    def _apply(self, batch: Sequence[Command]) -> list[Outcome]:
        ledger = self._image()
        now_ms = self._clock()
        try:
            ledger.forget_keys(now_ms)
            outcomes = [ledger.decide(command, now_ms) for command in batch]
            if changes := ledger.take_changes():
                self._write(changes, ledger)
        except BaseException as error:
            self._ledger = None  # the image may be ahead of the store: read it again
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
            db.executemany(
                "INSERT OR REPLACE INTO refusals VALUES (?,?,?,?,?)",
                [(k, *a) for k, a in changes.answers.items()],
            )
            db.executemany(
                "INSERT INTO orders VALUES (?,?,?,?,?)",
                [(e.hold, e.sale, e.user, e.charge, e.at_ms) for e in changes.events if e.kind == State.SOLD],
            )
            db.executemany(
                "INSERT INTO stock VALUES (?,?,?,?,?) "
                "ON CONFLICT (sale) DO UPDATE SET "
                "free=excluded.free, held=excluded.held, sold=excluded.sold, version=excluded.version",
                [(sale, *ledger.stock(sale)) for sale in {event.sale for event in changes.events}],
            )
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def read_evidence(db: sqlite3.Connection, sale_id: str, now_ms: int) -> Evidence | None:
    """All about a sale from one reading of a store, which may be open elsewhere."""
    db.execute("BEGIN")
    try:
        sale = db.execute(f"{SALES} WHERE sales.id=?", (sale_id,)).fetchone()
        events = db.execute("SELECT * FROM events WHERE sale=? ORDER BY seq", (sale_id,)).fetchall()
        holds = db.execute(f"SELECT {HOLD} FROM holds WHERE sale=?", (sale_id,)).fetchall()
        orders = db.execute("SELECT * FROM orders WHERE sale=?", (sale_id,)).fetchall()
    finally:
        db.execute("COMMIT")
    if sale is None:
        return None
    return Evidence(
        sale=Sale(*sale[:9]),
        now_ms=now_ms,
        events=[Event(*row) for row in events],
        holds=[hold_of(row) for row in holds],
        orders=[Order(*row) for row in orders],
        stock=Stock(*sale[9:]),
    )


def _lock(path: str) -> IO[str] | None:
    """Become the one writer of this file; the kernel ends that with the process, however it dies."""
    if path == ":memory:":
        return None
    handle = open(f"{path}.lock", "w")  # noqa: SIM115 - held open as long as the engine lives
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise NotLeader(f"{path}: another process is selling from this file") from error
    return handle
