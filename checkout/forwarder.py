"""From Redis' stream into PostgreSQL: the durable orders behind a stock in Redis.

    read the last event's number from PostgreSQL ──▶ the events after it from the stream ──▶ one transaction
    ──▶ acknowledge in Redis

The cursor lies in the same transaction as what it counts, so whatever dies between two steps, an event
arrives once. An advisory lock keeps a second forwarder out, so it may run in the shop's process or in one of its own
(`checkout forwarder`). When Redis comes back knowing less than
PostgreSQL (a flush, a lost disk), `reconcile` builds its stock anew from the orders before anything is
sold: Redis may refuse too early, never sell twice.
"""

import asyncpg

from checkout.changes import Changes
from checkout.clock import wall_ms
from checkout.engines.postgres import LOST, PATIENCE_MS, read_evidence, write
from checkout.engines.redis import RedisEngine
from checkout.engines.rows import HOLD, hold_of
from checkout.engines.schema import schema
from checkout.errors import NotLeader, StoreError
from checkout.evidence import Evidence
from checkout.values import Event, Hold, Money, Sale, State, Stock

LOCK = 0x466F7277  # "Forw": the advisory lock of the one forwarder
BATCH = 500
MONEY_AT = {"paying": Money.STARTED, "sold": Money.CHARGED, "payment_failed": Money.DECLINED}


class Forwarder:
    """`Forwarder.open(stock, url)`; then `step()` again and again."""

    def __init__(self, stock: RedisEngine, url: str) -> None:
        self._stock = stock
        self._url = url
        self._db: asyncpg.Connection[asyncpg.Record] | None = None

    @classmethod
    async def open(cls, stock: RedisEngine, url: str) -> "Forwarder":
        """Raises `NotLeader` when another forwarder is at work, `StoreError` when PostgreSQL is away."""
        forwarder = cls(stock, url)
        try:
            await forwarder._connected()
        except LOST as error:
            raise StoreError(f"postgres: {error}") from error
        return forwarder

    async def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.terminate()

    async def step(self) -> int:
        """Carry over what is new; returns how many events. Raises `StoreError`, after which it may be asked
        again.
        """
        try:
            db = await self._connected()
            cursor = await db.fetchval("SELECT coalesce(max(seq), 0) FROM events")
            events = await self._stock.events("", cursor, BATCH)
            if not events:
                return 0
            if events[0].seq != cursor + 1:
                raise StoreError(f"the stream has lost events {cursor + 1} to {events[0].seq - 1}")
            await write(db, await self._changes(db, events), _numbers(events))
        except LOST as error:
            await self.close()  # the next step connects, and takes the lock, anew
            raise StoreError(f"postgres: {error}") from error
        await self._stock.acknowledge(events[-1].seq)
        return len(events)

    async def catch_up(self) -> int:
        """Carry over until nothing is new."""
        total = 0
        while count := await self.step():
            total += count
        return total

    async def reconcile(self) -> list[str]:
        """Bring both stores together before the first sale of a start; returns what was wrong."""
        db = await self._connected()
        stored = await db.fetchval("SELECT coalesce(max(seq), 0) FROM events")
        known = await self._stock.last_seq()
        if known >= stored:
            await self.catch_up()
            return []
        names = [row[0] for row in await db.fetch("SELECT id FROM sales")]
        found = [evidence for name in names if (evidence := await read_evidence(db, name, wall_ms()))]
        await self._stock.restore(found, stored)
        return [f"redis knew {known} of {stored} events: rebuilt {len(found)} sales from postgres"]

    @staticmethod
    async def require_whole(stock: RedisEngine, url: str) -> None:
        """For a shop whose forwarder runs elsewhere. Raises `StoreError` while Redis knows less than PostgreSQL, and so
        would sell again what is sold: the forwarder must rebuild it first.
        """
        try:
            db = await asyncpg.connect(url)
            try:
                # The tables are the forwarder's to make; two who make them at once get in each other's way.
                has_tables = await db.fetchval("SELECT to_regclass('events') IS NOT NULL")
                stored = await db.fetchval("SELECT coalesce(max(seq), 0) FROM events") if has_tables else 0
            finally:
                await db.close()
        except LOST as error:
            raise StoreError(f"postgres: {error}") from error
        known = await stock.last_seq()
        if known < stored:
            raise StoreError(f"redis knows {known} of {stored} events: start the forwarder first, it rebuilds them")

    async def evidence(self, sale_id: str) -> Evidence | None:
        """All about a sale: trail, holds and orders from PostgreSQL. Call `catch_up` first for the newest."""
        return await read_evidence(await self._connected(), sale_id, wall_ms())

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        """The connection that holds the forwarder's lock. Raises `NotLeader`."""
        if self._db is not None and not self._db.is_closed():
            return self._db
        db = await asyncpg.connect(self._url)
        await db.execute("SET synchronous_commit TO on")
        try:
            await db.execute(f"SET lock_timeout TO {PATIENCE_MS}")
            await db.execute(f"SELECT pg_advisory_lock({LOCK})")
        except asyncpg.LockNotAvailableError as error:
            db.terminate()
            raise NotLeader("postgres: another forwarder is at work") from error
        await db.execute(schema())
        self._db = db
        return db

    async def _changes(self, db: "asyncpg.Connection[asyncpg.Record]", events: list[Event]) -> Changes:
        """What the events lead to: holds as they are after the last of them."""
        known = await db.fetch(f"SELECT {HOLD} FROM holds WHERE id = ANY($1)", list({event.hold for event in events}))
        holds: dict[str, Hold] = {row[0]: hold_of(row) for row in known}
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
