"""The store for more than one machine: PostgreSQL, with one writer at a time and whole batches.

    leader    holds an advisory lock in its session, decides in memory, writes up to 250 decisions in one statement
    standby   waits for the same lock; PostgreSQL grants it at the moment when the leader's session ends

The lock and the batches share one session. A leader that has lost its lock cannot commit, so neither epochs nor fencing
tokens are needed. Commits are synchronous, no matter what the server's default is. The clock is the server's clock,
read at every connect. A store that was restored to an older state is noticed then, too, by the writer and by every
connection that reads (`postgres_journal.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from checkout.changes import Changes
from checkout.clock import AnchoredClock, ClockMs
from checkout.engines.journal import Journal
from checkout.engines.postgres_journal import missing_changes, read_event, require_event
from checkout.engines.rows import hold_of, numbers_of
from checkout.engines.sql import (
    EVIDENCE,
    HOLD,
    KEYS,
    SALES,
    SqlReads,
    changed_sales,
    evidence_of,
    ledger_of,
    order_rows,
    refusal_rows,
    schema,
)
from checkout.errors import NotLeader, StockUnknown, StoreError
from checkout.evidence import Evidence
from checkout.ledger import KEEP_KEYS_MS, Ledger
from checkout.values import Command, Event, Hold, Outcome, Stock

T = TypeVar("T")

LOCK = 0x5374616E  # "Stan": the advisory lock of the one writer
LOCK_TIMEOUT_MS = 1_000  # a session that was just cut off may keep the lock for a moment
# asyncpg raises an `InternalClientError` if the server ends the session just as the next statement begins.
CONNECTION_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
TYPES = {"t": "text[]", "n": "bigint[]"}


def _rows_of(types: str, first: int) -> str:
    """Return the `SELECT` of rows from columns: one array parameter for each column, numbered from `first`."""
    return f"SELECT * FROM unnest({', '.join(f'${i}::{TYPES[t]}' for i, t in enumerate(types, first))})"


def _replace(*names: str) -> str:
    return "DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in names)


# One statement is one transaction and one round trip, for any number of rows.
WRITE = f"""
WITH h AS (
    INSERT INTO holds ({HOLD}) {_rows_of("tttttnnt", 1)}
    ON CONFLICT (id) {_replace("state", "money", "charge")}
), e AS (
    INSERT INTO events {_rows_of("nttttttnnnnnnnnttt", 9)}
), r AS (
    INSERT INTO refusals {_rows_of("ttttn", 27)}
    ON CONFLICT (key) {_replace("fingerprint", "hold", "reason", "at_ms")}
), o AS (
    INSERT INTO orders {_rows_of("ttttn", 32)}
)
INSERT INTO stock {_rows_of("tnnnn", 37)}
ON CONFLICT (sale) {_replace("free", "held", "sold", "version")}
"""


class PostgresEngine(SqlReads):
    """`PostgresEngine.open(url)`. With `standby=True` it waits until there is no other leader."""

    OLDEST_FIRST = "opens_ms, id"
    SKIP_LOCKED = "FOR UPDATE SKIP LOCKED"

    def __init__(
        self,
        url: str,
        clock: ClockMs | None,
        lazy: bool,
        durable: bool,
        journal: str,
    ) -> None:
        self._url = url
        self._readers = asyncpg.create_pool(url, min_size=0, max_size=4, init=self._require_seen)
        self._given_clock = clock
        self._lazy_expiry = lazy
        self._durable = durable
        self._writing = asyncio.Lock()
        self._db: asyncpg.Connection[Any] | None = None
        self._ledger: Ledger | None = None
        self._clock: ClockMs = clock or AnchoredClock()
        self._journal_path = journal
        self._journal: Journal | None = None
        self._seen: Event | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: ClockMs | None = None,
        lazy_expiry: bool = True,
        standby: bool = False,
        durable: bool = True,
        journal: str = "",
    ) -> "PostgresEngine":
        """Connect and become the leader. Raises `NotLeader` if there is another leader, unless `standby`.

        journal: a file that gets every batch as well, so that a PostgreSQL restored from a backup can be repaired.
        durable: False returns outcomes before the commit is on disk. It exists to test that the checker finds the loss.
        """
        engine = cls(url, clock, lazy=lazy_expiry, durable=durable, journal=journal)
        try:
            await engine._readers
            async with engine._writing:
                await engine._become_leader(standby)
        except BaseException:
            await engine.close()
            raise
        return engine

    async def close(self) -> None:
        if self._db is not None and not self._db.is_closed():
            with suppress(*CONNECTION_ERRORS):  # a session that has ended holds no lock
                await self._db.execute("SELECT pg_advisory_unlock_all()")
        await self._step_down()
        await self._readers.close()

    async def apply(self, batch: Sequence[Command]) -> list[Outcome]:
        async with self._writing:
            try:
                db, ledger = self._db, self._ledger
                if db is None or ledger is None or db.is_closed():
                    db, ledger = await self._become_leader(standby=False)
                now_ms = self._clock()
                outcomes = ledger.decide_batch(batch, now_ms)
                if changes := ledger.take_changes():
                    stock = {sale: ledger.stock(sale) for sale in changed_sales(changes)}
                    await write(db, changes, stock)
                    self._note(changes)
            except BaseException as error:
                await self._step_down()  # the image may be ahead of the store, so it is read again
                if isinstance(error, CONNECTION_ERRORS):
                    raise StoreError(f"postgres: {error}") from error
                raise
            return outcomes

    async def hold(self, hold_id: str) -> Hold | None:
        rows = await self._rows(f"SELECT {HOLD} FROM holds WHERE id = $1", hold_id)
        return hold_of(rows[0]) if rows else None

    async def evidence(self, sale_id: str) -> Evidence | None:
        return await self._read(lambda db: read_evidence(db, sale_id, self._clock()))

    async def _rows(self, sql: str, *args: Any) -> list[Any]:
        return await self._read(lambda db: db.fetch(sql, *args))

    async def _read(self, read: "Callable[[asyncpg.pool.PoolConnectionProxy[Any]], Awaitable[T]]") -> T:
        """Read on a connection of its own. Raises `StockUnknown` if the store is older than what this process wrote."""
        try:
            try:
                async with self._readers.acquire() as db:
                    return await read(db)
            except StockUnknown:
                await self.apply([])  # connect again, and repair the store if there is a journal
                async with self._readers.acquire() as db:
                    return await read(db)
        except CONNECTION_ERRORS as error:
            raise StoreError(f"postgres: {error}") from error

    async def _require_seen(self, db: "asyncpg.Connection[Any]") -> None:
        await require_event(db, self._seen)

    def _now_ms(self) -> int:
        return self._clock()

    async def _become_leader(self, standby: bool) -> "tuple[asyncpg.Connection[Any], Ledger]":
        """Become the one writer and read the image again. The caller has locked `_writing`."""
        await self._step_down()
        db = self._db = await asyncpg.connect(self._url)
        await db.execute(f"SET synchronous_commit TO {'on' if self._durable else 'off'}")
        try:
            await db.execute(f"SET lock_timeout TO {0 if standby else LOCK_TIMEOUT_MS}")
            await db.execute(f"SELECT pg_advisory_lock({LOCK})")
        except asyncpg.LockNotAvailableError as error:
            raise NotLeader("postgres: another process is the writer") from error
        await db.execute(schema())
        await self._match(db)
        last = await db.fetchrow("SELECT coalesce(max(seq), 0), coalesce(max(at_ms), 0) FROM events")
        now_ms = max(await db.fetchval(CLOCK), last[1]) if last else 0
        self._clock = self._given_clock or AnchoredClock(now_ms)
        since_ms = self._clock() - KEEP_KEYS_MS
        self._ledger = ledger_of(
            Ledger(lazy_expiry=self._lazy_expiry),
            await db.fetch(SALES),
            await db.fetch(f"SELECT {HOLD} FROM holds ORDER BY made_ms"),
            [row for sql in KEYS for row in await db.fetch(sql, since_ms)],
            last[0] if last else 0,
        )
        self._seen = await read_event(db, last[0]) if last else None
        return db, self._ledger

    async def _match(self, db: "asyncpg.Connection[Any]") -> None:
        """Compare the store with what this process has committed, and repair it from the journal if there is one."""
        if not self._journal_path:
            await require_event(db, self._seen)
            return
        # Opened only by the leader: on one machine a standby may have the same file.
        journal = self._journal = Journal(Path(self._journal_path))
        if (changes := await missing_changes(db, journal)) is not None:
            await write(db, changes, numbers_of(changes.events))
            notes = [event for event in changes.events if event.seq > journal.last_seq]
            journal.append(Changes([], {}, notes, {}))

    def _note(self, changes: Changes) -> None:
        """Remember what was committed. If the journal cannot be written, the next connect adds what it lacks."""
        if changes.events:
            self._seen = changes.events[-1]
        if self._journal is not None:
            self._journal.append(changes)

    async def _step_down(self) -> None:
        db, self._db, self._ledger = self._db, None, None
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()
        if db is not None:
            db.terminate()


async def write(db: "asyncpg.Connection[Any]", changes: Changes, stock: Mapping[str, Stock]) -> None:
    """Store changes, and the numbers of their sales, in one transaction."""
    columns = [
        *_columns(list(changes.holds.values()), 8),
        *_columns(changes.events, 18),
        *_columns(refusal_rows(changes), 5),
        *_columns(order_rows(changes), 5),
        *_columns([(sale, *numbers) for sale, numbers in stock.items()], 5),
    ]
    if not changes.sales:
        await db.execute(WRITE, *columns)
        return
    async with db.transaction():
        await db.executemany("INSERT INTO sales VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", changes.sales)
        await db.execute(WRITE, *columns)


async def read_evidence(
    db: "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]", sale_id: str, now_ms: int
) -> Evidence | None:
    """Return the evidence of a sale from one transaction, or None. Any process may be the writer."""
    async with db.transaction(isolation="repeatable_read", readonly=True):
        sales, events, holds, orders = [await db.fetch(sql, sale_id) for sql in EVIDENCE]
    return evidence_of(sales, events, holds, orders, now_ms)


def _columns(rows: Sequence[Sequence[Any]], width: int) -> Sequence[Sequence[Any]]:
    """Transpose rows into `width` columns, which may be empty."""
    return list(zip(*rows, strict=True)) or [()] * width
