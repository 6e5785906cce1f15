"""Stock in Redis 7: one Lua script decides a whole batch atomically and writes every change to a stream.

Redis must write an append-only file (AOF). Without it, a restarted Redis forgets outcomes that it returned and sells
the same units again (measured: 4,035 of 20,000 after five kills), so the engine refuses a server without AOF. A hold is
not a key with a TTL: Redis' wall clock may jump, and a key that vanishes leaves no trace. The end of a hold is data,
and the clock of this engine judges it.

Even with AOF a Redis can lose its newest events: by a torn file, by a failover to a replica that lags. So every batch
checks the epoch of the store (`epoch.py`), and no outcome is told before it is durable elsewhere (`durable.py`). The
durable orders belong in SQL: `checkout.forwarder` carries the stream there.
"""

import json
from collections.abc import Callable, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from checkout.clock import AnchoredClock, ClockMs
from checkout.engines.durable import DurableCopy, Unconfirmed
from checkout.engines.epoch import Armed, Epoch, EpochGate, Position, new_token
from checkout.engines.redis_codec import Entry, encode, events_of, outcome_of, sale_of
from checkout.engines.redis_stream import ENTRIES, RedisStream, connection
from checkout.engines.rows import hold_of
from checkout.errors import ConfigurationError, StockUnknown, StoreError
from checkout.evidence import Evidence, Order
from checkout.ledger import KEEP_KEYS_MS
from checkout.values import LIVE, Command, Event, Hold, Money, Outcome, Sale, Stock

PREFIX = "{shop}:"
TIMEOUT_S = 5.0  # a Redis that needs longer for a batch counts as unavailable
LONG_TIMEOUT_S = 120.0  # to read a whole sale at the start: about 20 MB for 10,000 units


class RedisEngine(RedisStream):
    """`RedisEngine.open(url)`. Any number of processes may use the same server.

    `gate` says whether this process may decide. `OrdersWatch` opens it in a shop when the forwarder has checked the
    store; `arm_alone` opens it for a store that no other process uses.
    """

    def __init__(
        self, client: "Redis", reader: "Redis", clock: ClockMs, prefix: str, lazy_expiry: bool, copy: DurableCopy
    ) -> None:
        super().__init__(client, reader, prefix)
        self._clock = clock
        self._lazy = "1" if lazy_expiry else "0"
        self._copy = copy
        self._scripts: dict[str, tuple[str, str]] = {}
        self._claim = client.register_script(_lua("claim"))
        self.gate = EpochGate()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: ClockMs | None = None,
        prefix: str = PREFIX,
        lazy_expiry: bool = True,
        allow_volatile: bool = False,
        copy: DurableCopy | None = None,
    ) -> "RedisEngine":
        """Connect. Raises `ConfigurationError` if the server has no AOF, unless `allow_volatile` (for tests).

        copy: the second copy that outcomes wait for. Without it this process is alone with the store, and uses it as
        it is (`arm_alone`).
        """
        client = connection(url, TIMEOUT_S)
        reader = connection(url, LONG_TIMEOUT_S)
        try:
            settings = await client.config_get("appendonly")
            if settings.get("appendonly") != "yes" and not allow_volatile:
                raise ConfigurationError(
                    "redis: set 'appendonly yes'; without it a restart forgets orders and oversells"
                )
            seconds, micros = await client.time()
            zero = clock or AnchoredClock(seconds * 1000 + micros // 1000)
            engine = cls(client, reader, zero, prefix, lazy_expiry, copy or Unconfirmed())
            if copy is None:
                await engine.arm_alone()
            return engine
        except BaseException as error:
            await client.aclose()
            await reader.aclose()
            if isinstance(error, RedisError | OSError):
                raise StoreError(f"redis: {error}") from error
            raise

    # -- deciding --------------------------------------------------------------------------------------------

    async def apply(self, batch: Sequence[Command]) -> list[Outcome]:
        outcomes, position = await self.decide(batch)
        await self._copy.wait(position)
        return outcomes

    async def decide(self, batch: Sequence[Command]) -> tuple[list[Outcome], Position]:
        """Decide a batch. Its outcomes may be told when `copied` has returned for the position. Raises `StoreError`."""
        armed = self.gate.require()
        self._copy.require()
        commands = json.dumps([encode(command) for command in batch], separators=(",", ":"))
        args: list[str | int] = [self._clock(), self._lazy, KEEP_KEYS_MS, commands]
        args += [str(armed.epoch), self.gate.seen, new_token()]
        result = await self._decide(armed, args)
        if result.startswith("!"):
            if self.gate.armed == armed:
                self.gate.doubt(f"the store {result[1:]}")
            raise StockUnknown(f"redis: the store {result[1:]}")
        rows, seq, batch_id = json.loads(result)
        self.gate.note(armed, seq)
        return [outcome_of(row) for row in rows], Position(seq, batch_id)

    @property
    def has_copy(self) -> bool:
        return not isinstance(self._copy, Unconfirmed)

    async def copied(self, position: Position) -> None:
        """Return when everything up to this position is durable elsewhere. Raises `StoreError`."""
        await self._copy.wait(position)

    async def _decide(self, armed: Armed, args: list[str | int]) -> str:
        """Call the script under the name of the checked server. No other server knows it (`epoch.py`)."""
        _, digest = self._script(armed.server)
        try:
            return str(await self._client.evalsha(digest, 1, self._prefix, *args))
        except (NoScriptError, ReadOnlyError) as error:
            if self.gate.armed == armed:
                self.gate.doubt("the server has restarted, or another one has taken over")
            raise StockUnknown(f"redis: {error}") from error
        except (RedisError, OSError) as error:
            raise StoreError(f"redis: {error}") from error

    def _script(self, server: str) -> tuple[str, str]:
        """Return the script for this run of a server, and the digest by which it is called."""
        if server not in self._scripts:
            text = f"-- checked: {server}\n{_lua('ledger')}{_lua('apply')}"
            self._scripts = {server: (text, sha1(text.encode(), usedforsecurity=False).hexdigest())}
        return self._scripts[server]

    # -- the epoch -------------------------------------------------------------------------------------------

    async def arm(self, armed: Armed) -> None:
        """Load the script on the server that was checked, so that the processes which know `armed` may decide.

        Raises `StoreError` if another server has taken its place since.
        """
        async with self.pinned(armed.server) as connected:
            await self._reply(connected.script_load(self._script(armed.server)[0]))

    async def arm_alone(self) -> None:
        """Use the store as it is. Raises `StockUnknown` if it has lost events that this process has seen."""
        await self.begin(Epoch(0, new_token()))
        server, epoch, last, _ = await self.look()
        if epoch is None or last.seq < self.gate.seen:
            raise StockUnknown(f"redis: the store ends at event {last.seq}, but had event {self.gate.seen}")
        armed = Armed(epoch, server)
        await self.arm(armed)
        self.gate.open(armed, last.seq)

    # -- reading ---------------------------------------------------------------------------------------------

    async def sales(self) -> list[tuple[Sale, Stock]]:
        self.gate.require()
        return await self.stored_sales()

    async def stock(self, sale_id: str) -> Stock | None:
        (row,) = await self._checked(lambda reads: reads.hmget(f"{self._prefix}sale:{sale_id}", Stock._fields))
        return Stock(*map(int, row)) if row[0] is not None else None

    async def _checked(self, *reads: Callable[[Any], Any], wait: bool = False) -> list[Any]:
        """Read from the store that this process knows. Raises `StockUnknown` if it is another one.

        wait: return what was read only when it is durable elsewhere, because a client will be told.
        """
        armed, seen = self.gate.require(), self.gate.seen
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.mget([self._prefix + name for name in ("epoch", "seq", "batch")])
            for read in reads:
                read(pipe)
            replies: list[Any] = await self._reply(pipe.execute())
        (epoch, seq, batch), *found = replies
        if self.gate.armed == armed and (epoch != str(armed.epoch) or int(seq or 0) < seen):
            self.gate.doubt(f"the store has epoch {epoch} and event {seq}, expected {armed.epoch} and {seen}")
        self.gate.note(armed, int(seq or 0))
        if wait:
            await self._copy.wait(Position(int(seq or 0), batch or ""))
        return found

    async def watch(self, on_change: Callable[[str, Stock], None]) -> None:
        """Call `on_change` for every change of every sale by any process, for ever. Raises `StoreError`."""
        try:
            async with self._client.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(self._prefix + "stock")
                async for message in channel.listen():
                    sale, *numbers = json.loads(message["data"])
                    if self.gate.armed is not None:
                        on_change(sale, Stock(*numbers))
        except (RedisError, OSError) as error:
            raise StoreError(f"redis: {error}") from error

    async def hold(self, hold_id: str) -> Hold | None:
        (text,) = await self._checked(lambda reads: reads.hget(self._prefix + "holds", hold_id), wait=True)
        return hold_of(json.loads(text)) if text else None

    async def holds(self, sale_id: str, user: str = "", limit: int = 1000) -> list[Hold]:
        rows = await self._reply(self._client.hvals(self._prefix + "holds"))
        found = [hold for hold in map(hold_of, map(json.loads, rows)) if hold.sale == sale_id]
        found = [hold for hold in found if not user or hold.user == user]
        return sorted(found, key=lambda hold: (-hold.made_ms, hold.id))[:limit]

    async def events(self, sale_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        if sale_id:
            found = events_of(await self.entries(after_seq + 1, None))
            return [event for event in found if event.seq > after_seq and event.sale == sale_id][:limit]
        found, cursor = [], after_seq
        while len(found) < limit and (events := events_of(await self.entries(cursor + 1, ENTRIES))):
            found += [event for event in events if event.seq > after_seq]
            cursor = events[-1].seq
        return found[:limit]

    async def evidence(self, sale_id: str) -> Evidence | None:
        async with self._reader.pipeline(transaction=True) as reads:
            reads.hgetall(f"{self._prefix}sale:{sale_id}")
            reads.xrange(self._prefix + "events")
            reads.hvals(self._prefix + "holds")
            reads.hvals(self._prefix + "orders")
            terms, entries, holds, orders = await self._reply(reads.execute())
        if not terms:
            return None
        sale, stock = sale_of(terms)
        return Evidence(
            sale=sale,
            now_ms=self._clock(),
            events=[event for event in events_of(map(Entry.parse, entries)) if event.sale == sale_id],
            holds=[hold for hold in map(hold_of, map(json.loads, holds)) if hold.sale == sale_id],
            orders=[order for order in (Order(*json.loads(row)) for row in orders) if order.sale == sale_id],
            stock=stock,
        )

    async def overdue(self, limit: int = 1000) -> list[str]:
        now_ms = self._clock()
        sales = await self._reply(self._client.lrange(self._prefix + "sales", 0, -1))
        units = [await self._reply(self._client.hvals(f"{self._prefix}units:{sale}")) for sale in sales]
        names = [name for row in units for text in row for name in text.split(",")]
        rows = await self._reply(self._client.hmget(self._prefix + "holds", names)) if names else []
        holds = [hold_of(json.loads(row)) for row in rows]
        return [hold.id for hold in holds if hold.state in LIVE and hold.ends_ms <= now_ms][:limit]

    async def claim(self, owner: str, lease_ms: int, limit: int = 100) -> list[str]:
        args: list[str | int] = [self._clock(), owner, lease_ms, limit]
        return cast(list[str], await self._reply(self._claim(keys=[self._prefix], args=args)))

    async def unsettled(self, limit: int = 1000) -> list[Hold]:
        names = list(await self._reply(self._client.smembers(self._prefix + "unsettled")))[:limit]
        if not names:
            return []
        rows = await self._reply(self._client.hmget(self._prefix + "holds", names))
        holds = [hold_of(json.loads(row)) for row in rows]
        return [hold for hold in holds if hold.money is Money.STARTED]  # a payment may be settled between the two reads


def _lua(name: str) -> str:
    return files("checkout.engines").joinpath(f"{name}.lua").read_text(encoding="utf-8")
