"""From Redis' stream into PostgreSQL: the durable orders behind a stock in Redis.

    read the last event's number from PostgreSQL ──▶ the events after it from the stream ──▶ one transaction
    ──▶ acknowledge in Redis

The cursor is stored in the same transaction as the events that it counts. So if a process dies between two steps, every
event still arrives exactly once. An advisory lock allows one forwarder only; it may run in the shop's process or in one
of its own (`checkout forwarder`). If Redis returns with fewer events than PostgreSQL has (a flush, a lost disk),
`reconcile` rebuilds its stock from the orders before anything is sold. Redis may then refuse too early, but never
sells a unit twice.
"""

import asyncpg

from checkout.changes import Changes
from checkout.clock import wall_ms
from checkout.engines.postgres import CONNECTION_ERRORS, LOCK_TIMEOUT_MS, read_evidence, write
from checkout.engines.redis import RedisEngine
from checkout.engines.rows import hold_of
from checkout.engines.sql import HOLD, schema
from checkout.errors import NotLeader, StoreError
from checkout.evidence import Evidence
from checkout.values import Event, Hold, Money, Sale, State, Stock

LOCK = 0x466F7277  # "Forw": the advisory lock of the one forwarder
BATCH = 500
MONEY_AT = {"paying": Money.STARTED, "sold": Money.CHARGED, "payment_failed": Money.DECLINED}


class Forwarder:
    """`Forwarder.open(stock, url)`, then repeated calls of `step()`."""

    def __init__(self, stock: RedisEngine, url: str) -> None:
        self._stock = stock
        self._url = url
        self._db: asyncpg.Connection[asyncpg.Record] | None = None

    @classmethod
    async def open(cls, stock: RedisEngine, url: str) -> "Forwarder":
        """Connect. Raises `NotLeader` if another forwarder runs, `StoreError` if PostgreSQL does not answer."""
        forwarder = cls(stock, url)
        try:
            await forwarder._connected()
        except CONNECTION_ERRORS as error:
            raise StoreError(f"postgres: {error}") from error
        return forwarder

    async def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.terminate()

    async def step(self) -> int:
        """Carry over new events and return their number. Raises `StoreError`; after that it may be called again."""
        try:
            db = await self._connected()
            cursor = await db.fetchval("SELECT coalesce(max(seq), 0) FROM events")
            events = await self._stock.events("", cursor, BATCH)
            if not events:
                return 0
            if events[0].seq != cursor + 1:
                raise StoreError(f"the stream has lost events {cursor + 1} to {events[0].seq - 1}")
            await write(db, await self._changes(db, events), _numbers(events))
        except CONNECTION_ERRORS as error:
            await self.close()  # the next step connects and takes the lock again
            raise StoreError(f"postgres: {error}") from error
        await self._stock.acknowledge(events[-1].seq)
        return len(events)

    async def catch_up(self) -> int:
        """Carry over until there are no new events, and return the number of events."""
        total = 0
        while count := await self.step():
            total += count
        return total

    async def reconcile(self) -> list[str]:
        """Bring both stores to the same state before the first sale. Return a description of each repair."""
        db = await self._connected()
        stored = await db.fetchval("SELECT coalesce(max(seq), 0) FROM events")
        in_redis = await self._stock.last_seq()
        if in_redis >= stored:
            await self.catch_up()
            return []
        names = [row[0] for row in await db.fetch("SELECT id FROM sales")]
        found = [evidence for name in names if (evidence := await read_evidence(db, name, wall_ms()))]
        await self._stock.restore(found, stored)
        return [f"redis had {in_redis} of {stored} events: rebuilt {len(found)} sales from postgres"]

    @staticmethod
    async def require_complete(stock: RedisEngine, url: str) -> None:
        """Check Redis for a shop whose forwarder is another process.

        Raises `StoreError` while Redis has fewer events than PostgreSQL: it would sell sold units again, so the
        forwarder must rebuild it first.
        """
        try:
            db = await asyncpg.connect(url)
            try:
                # Only the forwarder creates the tables: two processes that create them at once disturb each other.
                has_tables = await db.fetchval("SELECT to_regclass('events') IS NOT NULL")
                stored = await db.fetchval("SELECT coalesce(max(seq), 0) FROM events") if has_tables else 0
            finally:
                await db.close()
        except CONNECTION_ERRORS as error:
            raise StoreError(f"postgres: {error}") from error
        in_redis = await stock.last_seq()
        if in_redis < stored:
            raise StoreError(f"redis has {in_redis} of {stored} events: start the forwarder first, it rebuilds them")

    async def evidence(self, sale_id: str) -> Evidence | None:
        """Return the evidence of a sale from PostgreSQL. Call `catch_up` first to include the newest events."""
        return await read_evidence(await self._connected(), sale_id, wall_ms())

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        """Return the connection that holds the forwarder's lock. Raises `NotLeader`."""
        if self._db is not None and not self._db.is_closed():
            return self._db
        db = await asyncpg.connect(self._url)
        await db.execute("SET synchronous_commit TO on")
        try:
            await db.execute(f"SET lock_timeout TO {LOCK_TIMEOUT_MS}")
            await db.execute(f"SELECT pg_advisory_lock({LOCK})")
        except asyncpg.LockNotAvailableError as error:
            db.terminate()
            raise NotLeader("postgres: another forwarder is running") from error
        await db.execute(schema())
        self._db = db
        return db

    async def _changes(self, db: "asyncpg.Connection[asyncpg.Record]", events: list[Event]) -> Changes:
        """Return the rows that the events change, with holds in their state after the last event."""
        stored = await db.fetch(f"SELECT {HOLD} FROM holds WHERE id = ANY($1)", list({event.hold for event in events}))
        holds: dict[str, Hold] = {row[0]: hold_of(row) for row in stored}
        sales: list[Sale] = []
        for event in events:
            if event.kind == "opened":
                sales += [sale for sale, _ in await self._stock.sales() if sale.id == event.sale]
            else:
                holds[event.hold] = _after(holds.get(event.hold), event)
        return Changes(sales, {event.hold: holds[event.hold] for event in events if event.hold}, events, {})


def _after(hold: Hold | None, event: Event) -> Hold:
    if hold is None:
        return Hold(
            event.hold,
            event.sale,
            event.user,
            State.HELD,
            Money.NONE,
            event.at_ms,
            event.ends_ms,
            event.charge,
        )
    if event.kind in (Money.REFUNDED, Money.DECLINED):
        return hold._replace(money=Money(event.kind), charge=event.charge)
    return hold._replace(state=State(event.kind), money=MONEY_AT.get(event.kind, hold.money), charge=event.charge)


def _numbers(events: list[Event]) -> dict[str, Stock]:
    return {event.sale: Stock(event.free, event.held, event.sold, event.seq) for event in events}
