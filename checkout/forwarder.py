"""From Redis' stream into PostgreSQL: the durable orders behind a stock in Redis.

    read the entries after the last one in PostgreSQL ──▶ one transaction: events, holds, orders, batches
    ──▶ the commit announces the batches, and the shops answer their clients ──▶ acknowledge in Redis

The cursor is stored in the same transaction as the events that it counts. So if a process dies between two steps, every
event still arrives exactly once. An advisory lock allows one forwarder only; it may run in the shop's process or in one
of its own (`checkout forwarder`). Before every step it makes sure that the stream continues what it has carried over;
if not, `recovery.py` stops the shops and rebuilds the stock.
"""

import asyncio
import logging

import asyncpg

from checkout.changes import Changes
from checkout.clock import wall_ms
from checkout.engines.epoch import Armed, Epoch, Position, new_token
from checkout.engines.journal import joined
from checkout.engines.postgres import CONNECTION_ERRORS, LOCK_TIMEOUT_MS, read_evidence, write
from checkout.engines.redis import RedisEngine
from checkout.engines.redis_codec import Entry
from checkout.engines.redis_stream import ENTRIES
from checkout.engines.rows import hold_of, numbers_of
from checkout.engines.sql import HOLD, schema
from checkout.errors import NotLeader, StoreError
from checkout.evidence import Evidence
from checkout.orders_store import EPOCHS, Connection, EpochRow, add_batches, orders_schema, read_cursor, write_epoch
from checkout.recovery import StoresFound, difference, find_stores, go_on, rebuild
from checkout.values import Event, Hold

LOG = logging.getLogger(__name__)
LOCK = 0x466F7277  # "Forw": the advisory lock of the one forwarder
LOOK_EVERY_MS = 100  # how often the server is checked while nothing is sold
AGAIN_S = 0.2


class Forwarder:
    """`Forwarder.open(stock, url)`, then `run()`, or repeated calls of `step()`."""

    def __init__(self, stock: RedisEngine, url: str) -> None:
        self._stock = stock
        self._url = url
        self._db: Connection | None = None
        self._armed: Armed | None = None
        self._cursor = Position(0, "")
        self._forwarded = 0

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
        db, self._db, self._armed = self._db, None, None
        if db is not None:
            db.terminate()

    async def run(self) -> None:
        """Carry over for ever, at once whenever something happens. A `StoreError` is logged, and it goes on."""
        while True:
            try:
                if not await self.step():
                    await self._stock.wait_entry(self._cursor.seq, LOOK_EVERY_MS)
            except StoreError as error:
                LOG.warning("the forwarder waits: %s", error)
                await asyncio.sleep(AGAIN_S)

    async def step(self) -> int:
        """Carry over new events and return their number. Raises `StoreError`; after that it may be called again."""
        try:
            db = await self._connected()
            if self._armed is None:
                await self._check(db)
            armed, cursor = self._armed, self._cursor
            server, epoch, last, entries = await self._stock.look(max(cursor.seq, 1), ENTRIES + 1)
            continues = cursor == last or cursor.is_start or (bool(entries) and entries[0].position == cursor)
            if armed is None or (epoch, server) != armed or last.seq < cursor.seq or not continues:
                self._armed = None
                await self._check(db)
                return 0
            return await self._carry(db, entries)
        except CONNECTION_ERRORS as error:
            await self.close()  # the next step connects and takes the lock again
            raise StoreError(f"postgres: {error}") from error

    async def catch_up(self) -> int:
        """Carry over until there are no new events, and return the number of events."""
        total = 0
        while count := await self.step():
            total += count
        return total

    async def reconcile(self) -> list[str]:
        """Bring both stores to the same state before the first sale. Return a description of each repair."""
        self._armed = None
        repair = await self._check(await self._connected())
        await self.catch_up()
        return [repair] if repair else []

    async def evidence(self, sale_id: str) -> Evidence | None:
        """Return the evidence of a sale from PostgreSQL. Call `catch_up` first to include the newest events."""
        return await read_evidence(await self._connected(), sale_id, wall_ms())

    async def _check(self, db: Connection) -> str:
        """Check the stock, repair it if needed, and let the shops decide on it. Return what was done, if anything.

        Raises `StoreError` if neither store can repair the other; then the shops stay closed.
        """
        stock = self._stock
        found = await find_stores(db, stock)
        if not found.server.endswith("master"):
            raise StoreError("redis: the server is a replica; waiting for a master")
        why = await difference(db, found)
        is_older = found.cursor.seq < max(self._forwarded, await stock.forwarded())
        if not why and (found.row is None or (found.is_as_checked and not is_older)):
            epoch, repair = found.epoch or Epoch(0, new_token()), ""
            await stock.begin(epoch)
            self._cursor, base_seq = found.cursor, found.cursor.seq
        else:
            epoch, repair, base_seq = await self._repair(db, found)
            LOG.error("%s", repair)
            self._cursor = await read_cursor(db)
        armed = Armed(epoch, found.server)
        if not found.is_as_checked or repair:
            await stock.arm(armed)
            await write_epoch(db, EpochRow(*epoch, found.server, True, repair, base_seq))
        self._armed = armed
        return repair

    async def _repair(self, db: Connection, found: StoresFound) -> tuple[Epoch, str, int]:
        """Stop the shops and begin a new epoch, with the stock as it is or rebuilt.

        Return it, what was done, and the last event before it.
        """
        stock = self._stock
        stock.gate.close("the stock is being checked")
        if found.row is not None and found.row.is_armed:
            await write_epoch(db, found.row._replace(is_armed=False, cause="the stock is being checked"))
        await stock.halt()
        found = (await find_stores(db, stock))._replace(epoch=found.epoch, row=found.row)
        why = await difference(db, found)
        told = max(self._forwarded, await stock.forwarded())
        if why and found.cursor.seq < told:
            raise StoreError(
                f"postgres ends at event {found.cursor.seq}, but had event {told}, and redis {why}: restore a newer "
                "copy of one of the two"
            )
        if why:
            return *await rebuild(db, stock, found, why), found.cursor.seq
        self._cursor = found.cursor
        while await self._carry(db, (await stock.look(max(self._cursor.seq, 1), ENTRIES + 1))[3]):
            pass
        epoch, repair = await go_on(db, stock, found, self._cursor)
        if found.cursor.seq < told:
            repair = f"postgres had {found.cursor.seq} of {told} events: the rest was taken from redis; {repair}"
        return epoch, repair, self._cursor.seq

    async def _connected(self) -> Connection:
        """Return the connection that holds the forwarder's lock. Raises `NotLeader`."""
        if self._db is not None and not self._db.is_closed():
            return self._db
        self._armed = None  # another forwarder may have run, or PostgreSQL may have been restored
        db = await asyncpg.connect(self._url)
        await db.execute("SET synchronous_commit TO on")
        try:
            await db.execute(f"SET lock_timeout TO {LOCK_TIMEOUT_MS}")
            await db.execute(f"SELECT pg_advisory_lock({LOCK})")
        except asyncpg.LockNotAvailableError as error:
            db.terminate()
            raise NotLeader("postgres: another forwarder is running") from error
        await db.execute(schema())
        await db.execute(orders_schema())
        await db.add_listener(EPOCHS, self._on_epoch)
        self._db = db
        return db

    def _on_epoch(self, _: object, pid: int, _channel: str, _payload: object) -> None:
        """A shop doubts its store: check it at the next step."""
        if self._db is not None and pid != self._db.get_server_pid():
            self._armed = None

    async def _carry(self, db: Connection, entries: list[Entry]) -> int:
        """Store new entries in one transaction, and acknowledge them. Return the number of their events."""
        entries = [entry for entry in entries if entry.position.seq > self._cursor.seq]
        events = [event for entry in entries for event in entry.events if event.seq > self._cursor.seq]
        if not events:
            return 0
        if events[0].seq != self._cursor.seq + 1:
            self._armed = None
            raise StoreError(f"the stream has lost events {self._cursor.seq + 1} to {events[0].seq - 1}")
        changes = await self._changes(db, events)
        async with db.transaction():
            await write(db, changes, numbers_of(events))
            await add_batches(db, [entry.position for entry in entries])
        self._cursor = entries[-1].position
        self._forwarded = max(self._forwarded, self._cursor.seq)
        await self._stock.acknowledge(self._cursor.seq)
        return len(events)

    async def _changes(self, db: Connection, events: list[Event]) -> Changes:
        """Return the rows that the events change, with holds in their state after the last event."""
        stored = await db.fetch(f"SELECT {HOLD} FROM holds WHERE id = ANY($1)", list({event.hold for event in events}))
        holds: dict[str, Hold] = {row[0]: hold_of(row) for row in stored}
        opened = {event.sale for event in events if event.kind == "opened"}
        sales = [sale for sale, _ in await self._stock.stored_sales() if sale.id in opened] if opened else []
        return joined([Changes(sales, {}, events, {})], holds)
