"""The side of a shop: it tells an outcome of Redis only when the forwarder has committed it in PostgreSQL.

    decide in Redis ──▶ batch "b1" in the stream ──▶ forwarder ──▶ commit ──▶ NOTIFY b1 ──▶ answer the clients of b1

A batch is recognised by its random id, never by its number: a Redis that has lost its newest events gives the same
numbers again. The same connection tells when the stock is in doubt and when it has been rebuilt (`epochs`). Everything
is also read once a second, so a lost notification delays and breaks nothing.
"""

import asyncio
import logging
import time

import asyncpg

from checkout.engines.durable import DurableCopy
from checkout.engines.epoch import EpochGate, Position
from checkout.engines.postgres import CONNECTION_ERRORS
from checkout.engines.redis import RedisEngine
from checkout.errors import StockUnknown, StoreError
from checkout.orders_store import (
    BATCHES,
    EPOCHS,
    KNOWN,
    LAST_BATCH,
    Connection,
    EpochRow,
    doubt_epoch,
    read_epoch,
)

LOG = logging.getLogger(__name__)
READ_EVERY_S = 1.0
AGAIN_S = 0.2
WAIT_S = 5.0  # a batch that is not confirmed in this time fails; its clients repeat it with their keys
FORGET_S = 30.0
RECENT = 10_000


class OrdersWatch(DurableCopy):
    """`run(gate)` is a service. It opens and closes the gate, and finishes `wait`."""

    def __init__(self, url: str, *, wait_s: float = WAIT_S) -> None:
        """wait_s: how long an outcome may wait for its copy."""
        self._url = url
        self._wait_s = wait_s
        self._is_connected = False
        self.is_stuck = False
        self._wake = asyncio.Event()
        self._recent: dict[str, None] = {}
        self._waiting: dict[str, tuple[asyncio.Future[None], float]] = {}
        self._epoch: EpochRow | None = None
        self._confirmed = 0

    def require(self) -> None:
        if not self._is_connected:
            raise StoreError("postgres: no connection, so no order can be confirmed")
        if self.is_stuck:
            raise StoreError("postgres: the forwarder confirms nothing at present")

    async def wait(self, position: Position, /) -> None:
        if position.batch and position.batch not in self._recent:
            if position.batch not in self._waiting:
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting[position.batch] = future, time.monotonic()
            try:
                async with asyncio.timeout(self._wait_s):
                    await asyncio.shield(self._waiting[position.batch][0])
            except TimeoutError as error:
                self.is_stuck = True
                raise StoreError(f"postgres: the forwarder has not confirmed event {position.seq}") from error
        self._confirmed = max(self._confirmed, position.seq)

    async def wait_ready(self, stock: RedisEngine, timeout_s: float = 10.0) -> None:
        """Return when the stock has been checked. Raises `StoreError` with the cause if that takes too long."""
        until = time.monotonic() + timeout_s
        while True:
            try:
                self.require()
                await stock.decide([])
            except StoreError as error:
                if time.monotonic() > until:
                    text = ": start the forwarder first, it checks the stock and rebuilds it"
                    raise StoreError(f"{error}{text * isinstance(error, StockUnknown)}") from error
                await asyncio.sleep(0.05)
            else:
                return

    async def run(self, gate: EpochGate) -> None:
        """Follow PostgreSQL for ever."""
        gate.on_close(self._wake.set)
        while True:
            try:
                await self._follow(gate)
            except CONNECTION_ERRORS as error:
                LOG.warning("postgres: %s", error)
            finally:
                self._is_connected = False
            await asyncio.sleep(AGAIN_S)

    async def _follow(self, gate: EpochGate) -> None:
        db = await asyncpg.connect(self._url)
        try:
            await db.add_listener(BATCHES, self._on_batches)
            await db.add_listener(EPOCHS, lambda *_: self._wake.set())
            db.add_termination_listener(lambda _: self._wake.set())
            while not db.is_closed():
                self._wake.clear()
                if doubt := gate.take_doubt():
                    await doubt_epoch(db, *doubt)
                await self._read(db, gate)
                self._is_connected = True
                try:
                    async with asyncio.timeout(READ_EVERY_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass  # read again, in case that a notification was lost
        finally:
            db.terminate()

    def _on_batches(self, _db: object, _pid: int, _channel: str, payload: object) -> None:
        self._confirm(str(payload).split())

    def _confirm(self, batches: list[str]) -> None:
        self.is_stuck = False
        for batch in batches:
            self._recent[batch] = None
            if (waiting := self._waiting.pop(batch, None)) and not waiting[0].done():
                waiting[0].set_result(None)
        while len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]

    async def _read(self, db: Connection, gate: EpochGate) -> None:
        if not await db.fetchval("SELECT to_regclass('epochs') IS NOT NULL"):
            gate.close("no forwarder has ever checked this store")
            return
        confirmed = self._confirmed  # before the read, because batches are confirmed meanwhile
        last = await db.fetchrow(LAST_BATCH)
        row = await read_epoch(db)
        known = [found[0] for found in await db.fetch(KNOWN, list(self._waiting))] if self._waiting else []
        if last is not None:
            known.append(last[1])
        if any(batch in self._waiting for batch in known):
            self._confirm(known)
        else:
            self._recent.update(dict.fromkeys(known))
        self._forget()
        last_seq = last[0] if last else 0
        if last_seq < confirmed:
            gate.close(f"postgres ends at event {last_seq}, but had event {confirmed}: it was restored too old")
        else:
            self._use(row, last_seq, gate)

    def _forget(self) -> None:
        """Drop what nobody waits for any more. After that the next batch may try again."""
        oldest_s = time.monotonic() - FORGET_S
        for batch in [batch for batch, (_, since_s) in self._waiting.items() if since_s < oldest_s]:
            del self._waiting[batch]
            self.is_stuck = self.is_stuck and bool(self._waiting)

    def _use(self, row: EpochRow | None, last_seq: int, gate: EpochGate) -> None:
        """Open or close the gate as the newest epoch says."""
        if row is None or not row.is_armed:
            gate.close(row.cause if row else "no forwarder has ever checked this store")
            return
        before, self._epoch = self._epoch, row
        if before is not None and before.epoch != row.epoch:
            if row.base_seq < self._confirmed:
                LOG.error("postgres had lost events up to %d when the stock was rebuilt", self._confirmed)
            self._give_up(row)
        gate.open(row.armed, last_seq)

    def _give_up(self, row: EpochRow) -> None:
        """Fail what was decided in an earlier epoch and not confirmed: the rebuilt stock does not contain it."""
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(StockUnknown(f"redis: the stock was rebuilt: {row.cause}"))
                future.exception()  # nobody waits for a batch that gave up before
