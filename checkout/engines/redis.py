"""Stock in Redis 7: one Lua script decides a whole batch atomically and writes every change to a stream.

Redis must write an append-only file (AOF). Without it, a restarted Redis forgets outcomes that it returned and sells
the same units again (measured: 4,035 of 20,000 after five kills), so the engine refuses a server without AOF. A hold is
not a key with a TTL: Redis' wall clock may jump, and a key that vanishes leaves no trace. The end of a hold is data,
and the clock of this engine judges it.

The durable orders belong in SQL: `checkout.forwarder` carries the stream there.
"""

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib.resources import files
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from checkout.clock import AnchoredClock, ClockMs
from checkout.engines.rows import hold_of
from checkout.errors import ConfigurationError, StoreError
from checkout.evidence import Evidence, Order
from checkout.ledger import KEEP_KEYS_MS
from checkout.values import (
    LIVE,
    Command,
    Confirm,
    Done,
    Event,
    Expire,
    Hold,
    Money,
    OpenSale,
    Outcome,
    Pay,
    ReadStock,
    Reason,
    Refused,
    Release,
    Reserve,
    Sale,
    Settle,
    State,
    Stock,
)

PREFIX = "{shop}:"
TIMEOUT_S = 5.0  # a Redis that needs longer for a batch counts as unavailable
ENTRIES = 8  # stream entries in one read; each has up to 250 events, and more after many expiries
LONG_TIMEOUT_S = 120.0  # to read a whole sale at the start: about 20 MB for 10,000 units
NAMES: dict[type[Command], str] = {
    Reserve: "reserve",
    Pay: "pay",
    Confirm: "confirm",
    Release: "release",
    Expire: "expire",
    Settle: "settle",
    ReadStock: "read_stock",
}


class RedisEngine:
    """`RedisEngine.open(url)`. Any number of processes may use the same server."""

    def __init__(self, client: "Redis", reader: "Redis", clock: ClockMs, prefix: str, lazy_expiry: bool) -> None:
        self._client = client
        self._reader = reader
        self._clock = clock
        self._prefix = prefix
        self._lazy = "1" if lazy_expiry else "0"
        self._apply = client.register_script(_lua("ledger") + _lua("apply"))
        self._claim = client.register_script(_lua("claim"))

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: ClockMs | None = None,
        prefix: str = PREFIX,
        lazy_expiry: bool = True,
        allow_volatile: bool = False,
    ) -> "RedisEngine":
        """Connect. Raises `ConfigurationError` if the server has no AOF, unless `allow_volatile` (for tests)."""
        client = _connection(url, TIMEOUT_S)
        reader = _connection(url, LONG_TIMEOUT_S)
        try:
            settings = await client.config_get("appendonly")
            if settings.get("appendonly") != "yes" and not allow_volatile:
                raise ConfigurationError(
                    "redis: set 'appendonly yes'; without it a restart forgets orders and oversells"
                )
            seconds, micros = await client.time()
            return cls(client, reader, clock or AnchoredClock(seconds * 1000 + micros // 1000), prefix, lazy_expiry)
        except BaseException as error:
            await client.aclose()
            await reader.aclose()
            if isinstance(error, RedisError | OSError):
                raise StoreError(f"redis: {error}") from error
            raise

    async def close(self) -> None:
        await self._client.aclose()
        await self._reader.aclose()

    async def apply(self, batch: Sequence[Command]) -> list[Outcome]:
        commands = json.dumps([_encode(command) for command in batch], separators=(",", ":"))
        args: list[str | int] = [self._clock(), self._lazy, KEEP_KEYS_MS, commands]
        result = await self._reply(self._apply(keys=[self._prefix], args=args))
        return [_outcome(row) for row in json.loads(result)]

    async def sales(self) -> list[tuple[Sale, Stock]]:
        names = await self._reply(self._client.lrange(self._prefix + "sales", 0, -1))
        return [_sale(await self._reply(self._client.hgetall(f"{self._prefix}sale:{name}"))) for name in names]

    async def stock(self, sale_id: str) -> Stock | None:
        row = await self._reply(self._client.hmget(f"{self._prefix}sale:{sale_id}", Stock._fields))
        return Stock(*map(int, row)) if row[0] is not None else None

    async def watch(self, on_change: Callable[[str, Stock], None]) -> None:
        """Call `on_change` for every change of every sale by any process, for ever. Raises `StoreError`."""
        try:
            async with self._client.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(self._prefix + "stock")
                async for message in channel.listen():
                    sale, *numbers = json.loads(message["data"])
                    on_change(sale, Stock(*numbers))
        except (RedisError, OSError) as error:
            raise StoreError(f"redis: {error}") from error

    async def hold(self, hold_id: str) -> Hold | None:
        text = await self._reply(self._client.hget(self._prefix + "holds", hold_id))
        return hold_of(json.loads(text)) if text else None

    async def holds(self, sale_id: str, user: str = "", limit: int = 1000) -> list[Hold]:
        rows = await self._reply(self._client.hvals(self._prefix + "holds"))
        found = [hold for hold in map(hold_of, map(json.loads, rows)) if hold.sale == sale_id]
        found = [hold for hold in found if not user or hold.user == user]
        return sorted(found, key=lambda hold: (-hold.made_ms, hold.id))[:limit]

    async def events(self, sale_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        if sale_id:
            found = events_of(await self._entries(after_seq, None))
            return [event for event in found if event.seq > after_seq and event.sale == sale_id][:limit]
        found, cursor = [], after_seq
        while len(found) < limit and (events := events_of(await self._entries(cursor, ENTRIES))):
            found += [event for event in events if event.seq > after_seq]
            cursor = events[-1].seq
        return found[:limit]

    async def _entries(self, after_seq: int, limit: int | None) -> list[tuple[str, dict[str, str]]]:
        """Return the entries whose last event is after `after_seq`. The first entry may also hold earlier events."""
        reply = self._client.xrange(self._prefix + "events", f"({after_seq}-0", "+", limit)
        return cast(list[tuple[str, dict[str, str]]], await self._reply(reply))

    async def last_seq(self) -> int:
        """Return the number of the last event that this server has."""
        return int(await self._reply(self._client.get(self._prefix + "seq")) or 0)

    async def unforwarded(self) -> int:
        """Return the number of events that are durable here only. Without a forwarder that is every event."""
        row = await self._reply(self._client.mget(self._prefix + "seq", self._prefix + "forwarded"))
        return int(row[0] or 0) - int(row[1] or 0)

    async def acknowledge(self, seq: int) -> None:
        """Record that the events up to `seq` are durable in PostgreSQL."""
        await self._reply(self._client.set(self._prefix + "forwarded", seq))

    async def restore(self, sales: Sequence[Evidence], seq: int) -> None:
        """Replace everything by these sales, in one step. The stream continues after `seq`."""
        old = [key async for key in self._client.scan_iter(self._prefix + "*", 1000)]
        async with self._client.pipeline(transaction=True) as writes:
            for key in old:
                writes.unlink(key)
            for evidence in sales:
                _restore_sale(writes, self._prefix, evidence)
            writes.set(self._prefix + "seq", seq)
            writes.set(self._prefix + "forwarded", seq)
            await self._reply(writes.execute())

    async def evidence(self, sale_id: str) -> Evidence | None:
        async with self._reader.pipeline(transaction=True) as reads:
            reads.hgetall(f"{self._prefix}sale:{sale_id}")
            reads.xrange(self._prefix + "events")
            reads.hvals(self._prefix + "holds")
            reads.hvals(self._prefix + "orders")
            terms, entries, holds, orders = await self._reply(reads.execute())
        if not terms:
            return None
        sale, stock = _sale(terms)
        return Evidence(
            sale=sale,
            now_ms=self._clock(),
            events=[event for event in events_of(entries) if event.sale == sale_id],
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

    async def _reply(self, reply: Any) -> Any:
        try:
            return await cast(Awaitable[Any], reply)
        except (RedisError, OSError) as error:
            raise StoreError(f"redis: {error}") from error


def _restore_sale(writes: "Pipeline", prefix: str, evidence: Evidence) -> None:
    sale, units = evidence.sale, defaultdict[str, list[str]](list)
    terms: dict[Any, Any] = {**sale._asdict(), **evidence.stock._asdict()}
    writes.rpush(prefix + "sales", sale.id)
    writes.hset(f"{prefix}sale:{sale.id}", mapping=terms)
    for hold in sorted(evidence.holds, key=lambda hold: hold.made_ms):
        writes.hset(prefix + "holds", hold.id, json.dumps(hold))
        if hold.state in LIVE:
            writes.rpush(f"{prefix}ends:{sale.id}", f"{hold.ends_ms} {hold.id}")
            writes.zadd(prefix + "ready", {hold.id: hold.ends_ms})
        if hold.state in LIVE or hold.state is State.SOLD:
            units[hold.user].append(hold.id)
        if hold.money is Money.STARTED:
            writes.sadd(prefix + "unsettled", hold.id)
    for user, holds in units.items():
        writes.hset(f"{prefix}units:{sale.id}", user, ",".join(holds))
    for order in evidence.orders:
        writes.hset(prefix + "orders", order.id, json.dumps(order))
    for event in evidence.events:
        if event.key and event.at_ms + KEEP_KEYS_MS > evidence.now_ms:
            record = [event.fingerprint, event.hold, "", event.at_ms]
            writes.hset(f"{prefix}keys:{event.at_ms // KEEP_KEYS_MS}", event.key, json.dumps(record))


def _connection(url: str, timeout_s: float) -> "Redis":
    """Return a client that connects when needed. It never repeats a command; callers repeat with the same key."""
    return Redis.from_url(url, decode_responses=True, retry=Retry(NoBackoff(), 0), socket_timeout=timeout_s)


def _lua(name: str) -> str:
    return files("checkout.engines").joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _encode(command: Command) -> list[Any]:
    if isinstance(command, OpenSale):
        return ["open", command.actor, *command.sale]
    return [NAMES[type(command)], *command]


def _outcome(row: list[Any]) -> Outcome:
    reason, free, held, sold, version, hold, repeated = row
    stock, found = Stock(free, held, sold, version), hold_of(hold) if hold else None
    return Refused(Reason(reason), stock, found) if reason else Done(stock, found, repeated)


def _sale(row: dict[str, str]) -> tuple[Sale, Stock]:
    texts = {"id", "title", "currency"}
    sale = Sale(**{name: row[name] if name in texts else int(row[name]) for name in Sale._fields})  # type: ignore[arg-type]
    return sale, Stock(*(int(row[name]) for name in Stock._fields))


def events_of(entries: Iterable[tuple[str, dict[str, str]]]) -> list[Event]:
    """Return the events of stream entries. Each entry holds the events of one batch."""
    return [Event(*event) for _, fields in entries for event in json.loads(fields["e"])]
