"""The store beyond one machine: PostgreSQL, one writer at a time, whole batches.

    leader     holds an advisory lock in its session, decides in memory, writes up to 250 decisions in one
    statement standby    waits for the same lock; PostgreSQL gives it away in the moment the leader's
    session ends

The lock and the batches share one session, so a leader that has lost its lock cannot commit either: no
epoch, no fencing token. Commits are synchronous whatever the server's default says. A store's clock is the
server's clock, read at every connect.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from checkout.changes import Changes
from checkout.clock import AnchoredClock, ClockMs
from checkout.engines.rows import HOLD, KEYS, SALES, fill, hold_of
from checkout.engines.schema import schema
from checkout.errors import NotLeader, StoreError
from checkout.evidence import Evidence, Order
from checkout.ledger import KEEP_KEYS_MS, Ledger
from checkout.values import Command, Event, Hold, Outcome, Sale, State, Stock

LOCK = 0x5374616E  # "Stan": the advisory lock of the one writer
PATIENCE_MS = 1_000  # a session that was just cut off may hold the lock for a moment more
# asyncpg calls it its own fault when a server ends the session just as the next statement begins.
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
LIVE_DUE = "state IN ('held', 'paying') AND ends_ms <= $1"
CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
TYPES = {"t": "text[]", "n": "bigint[]"}


def _rows_of(types: str, first: int) -> str:
    """`SELECT` of rows from columns: one array parameter a column, numbered from `first`."""
    return f"SELECT * FROM unnest({', '.join(f'${i}::{TYPES[t]}' for i, t in enumerate(types, first))})"


def _replace(*names: str) -> str:
    return "DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in names)


# One statement is one transaction and one round trip, however many rows.
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


class PostgresEngine:
    """`PostgresEngine.open(url)`; `standby=True` waits until there is no other leader."""

    def __init__(
        self, url: str, readers: "asyncpg.Pool[Any]", clock: ClockMs | None, lazy: bool, durable: bool
    ) -> None:
        self._url = url
        self._readers = readers
        self._given_clock = clock
        self._lazy_expiry = lazy
        self._durable = durable
        self._writing = asyncio.Lock()
        self._db: asyncpg.Connection[Any] | None = None
        self._ledger: Ledger | None = None
        self._clock: ClockMs = clock or AnchoredClock()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: ClockMs | None = None,
        lazy_expiry: bool = True,
        standby: bool = False,
        durable: bool = True,
    ) -> "PostgresEngine":
        """Connect and become the leader. Raises `NotLeader` when there is one, unless `standby`.
        `durable=False` answers before the commit is on disk: it exists to show that the checker sees what
        that loses."""
        try:
            readers = await asyncpg.create_pool(url, min_size=0, max_size=4)
        except LOST as error:
            raise StoreError(f"postgres: {error}") from error
        engine = cls(url, readers, clock, lazy_expiry, durable)
        try:
            async with engine._writing:
                await engine._lead(standby)
        except BaseException:
            await engine.close()
            raise
        return engine

    async def close(self) -> None:
        if self._db is not None and not self._db.is_closed():
            with suppress(*LOST):  # a session that is gone holds no lock
                await self._db.execute("SELECT pg_advisory_unlock_all()")
        await self._step_down()
        await self._readers.close()

    async def apply(self, batch: Sequence[Command]) -> list[Outcome]:
        async with self._writing:
            try:
                db, ledger = self._db, self._ledger
                if db is None or ledger is None or db.is_closed():
                    db, ledger = await self._lead(standby=False)
                now_ms = self._clock()
                ledger.forget_keys(now_ms)
                outcomes = [ledger.decide(command, now_ms) for command in batch]
                if changes := ledger.take_changes():
                    stock = {sale: ledger.stock(sale) for sale in {event.sale for event in changes.events}}
                    await write(db, changes, stock)
            except BaseException as error:
                await self._step_down()  # the image may be ahead of the store: read it again
                if isinstance(error, LOST):
                    raise StoreError(f"postgres: {error}") from error
                raise
            return outcomes

    async def sales(self) -> list[tuple[Sale, Stock]]:
        rows = await self._rows(f"{SALES} ORDER BY opens_ms, id")
        return [(Sale(*row[:9]), Stock(*row[9:])) for row in rows]

    async def stock(self, sale_id: str) -> Stock | None:
        rows = await self._rows("SELECT free, held, sold, version FROM stock WHERE sale = $1", sale_id)
        return Stock(*rows[0]) if rows else None

    async def hold(self, hold_id: str) -> Hold | None:
        rows = await self._rows(f"SELECT {HOLD} FROM holds WHERE id = $1", hold_id)
        return hold_of(rows[0]) if rows else None

    async def holds(self, sale_id: str, user: str = "", limit: int = 1000) -> list[Hold]:
        sql = f"SELECT {HOLD} FROM holds WHERE sale = $1 AND ($2 = '' OR buyer = $2) ORDER BY made_ms DESC, id LIMIT $3"
        return [hold_of(row) for row in await self._rows(sql, sale_id, user, limit)]

    async def unsettled(self, limit: int = 1000) -> list[Hold]:
        sql = f"SELECT {HOLD} FROM holds WHERE money = 'started' LIMIT $1"
        return [hold_of(row) for row in await self._rows(sql, limit)]

    async def events(self, sale_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        sql = "SELECT * FROM events WHERE seq > $1 AND (sale = $2 OR $2 = '') ORDER BY seq LIMIT $3"
        return [Event(*row) for row in await self._rows(sql, after_seq, sale_id, limit)]

    async def evidence(self, sale_id: str) -> Evidence | None:
        try:
            async with self._readers.acquire() as db:
                return await read_evidence(db, sale_id, self._clock())
        except LOST as error:
            raise StoreError(f"postgres: {error}") from error

    async def overdue(self, limit: int = 1000) -> list[str]:
        sql = f"SELECT id FROM holds WHERE {LIVE_DUE} ORDER BY ends_ms LIMIT $2"
        return [row[0] for row in await self._rows(sql, self._clock(), limit)]

    async def claim(self, owner: str, lease_ms: int, limit: int = 100) -> list[str]:
        sql = (
            "UPDATE holds SET queue_owner = $2, queue_lease_ms = $1 + $3 WHERE id IN "
            f"(SELECT id FROM holds WHERE {LIVE_DUE} AND queue_lease_ms <= $1 "
            "ORDER BY ends_ms LIMIT $4 FOR UPDATE SKIP LOCKED) RETURNING id"
        )
        return [row[0] for row in await self._rows(sql, self._clock(), owner, lease_ms, limit)]

    async def _rows(self, sql: str, *args: Any) -> list[Any]:
        try:
            return await self._readers.fetch(sql, *args)
        except LOST as error:
            raise StoreError(f"postgres: {error}") from error

    async def _lead(self, standby: bool) -> "tuple[asyncpg.Connection[Any], Ledger]":
        """Become the one writer and read the image anew. Called with `_writing` held."""
        await self._step_down()
        db = self._db = await asyncpg.connect(self._url)
        await db.execute(f"SET synchronous_commit TO {'on' if self._durable else 'off'}")
        try:
            await db.execute(f"SET lock_timeout TO {0 if standby else PATIENCE_MS}")
            await db.execute(f"SELECT pg_advisory_lock({LOCK})")
        except asyncpg.LockNotAvailableError as error:
            raise NotLeader("postgres: another process is the writer") from error
        await db.execute(schema())
        last = await db.fetchrow("SELECT coalesce(max(seq), 0), coalesce(max(at_ms), 0) FROM events")
        now_ms = max(await db.fetchval(CLOCK), last[1]) if last else 0
        self._clock = self._given_clock or AnchoredClock(now_ms)
        since_ms = self._clock() - KEEP_KEYS_MS
        self._ledger = fill(
            Ledger(lazy_expiry=self._lazy_expiry),
            await db.fetch(SALES),
            await db.fetch(f"SELECT {HOLD} FROM holds ORDER BY made_ms"),
            [row for sql in KEYS for row in await db.fetch(f"{sql} $1", since_ms)],
            last[0] if last else 0,
        )
        return db, self._ledger

    async def _step_down(self) -> None:
        db, self._db, self._ledger = self._db, None, None
        if db is not None:
            db.terminate()


async def write(db: "asyncpg.Connection[Any]", changes: Changes, stock: Mapping[str, Stock]) -> None:
    """Store changes and the numbers they lead to, in one transaction."""
    orders = [(e.hold, e.sale, e.user, e.charge, e.at_ms) for e in changes.events if e.kind == State.SOLD]
    refusals = [(key, *answer) for key, answer in changes.answers.items()]
    columns = [
        *_columns(list(changes.holds.values()), 8),
        *_columns(changes.events, 18),
        *_columns(refusals, 5),
        *_columns(orders, 5),
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
    """All about a sale from one reading of a store, whoever is its writer."""
    async with db.transaction(isolation="repeatable_read", readonly=True):
        sale = await db.fetchrow(f"{SALES} WHERE sales.id = $1", sale_id)
        events = await db.fetch("SELECT * FROM events WHERE sale = $1 ORDER BY seq", sale_id)
        holds = await db.fetch(f"SELECT {HOLD} FROM holds WHERE sale = $1", sale_id)
        orders = await db.fetch("SELECT * FROM orders WHERE sale = $1", sale_id)
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


def _columns(rows: Sequence[Sequence[Any]], width: int) -> Sequence[Sequence[Any]]:
    return list(zip(*rows, strict=True)) or [()] * width
