"""The Redis store as the forwarder sees it: its epoch, its stream of events, and the writes that rebuild it.

Nothing here needs an open gate: the forwarder reads a store in order to say whether the shops may decide on it.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from checkout.engines.epoch import Epoch, Position
from checkout.engines.redis_codec import Entry, sale_of
from checkout.engines.redis_restore import continue_store, write_store
from checkout.errors import StoreError
from checkout.evidence import Evidence
from checkout.values import Event, Sale, Stock

CONNECTIONS = 64  # of one process
ENTRIES = 8  # stream entries in one read; each has up to 250 events, and more after many expiries


class RedisStream:
    """The connections to one Redis and the keys below one prefix."""

    def __init__(self, client: "Redis", reader: "Redis", prefix: str) -> None:
        self._client = client
        self._reader = reader
        self._prefix = prefix

    async def close(self) -> None:
        await self._client.aclose()
        await self._reader.aclose()

    async def look(self, seq: int = 0, limit: int = 0) -> tuple[str, Epoch | None, Position, list[Entry]]:
        """Return the run of the server, the epoch that the store has, its last event, and entries.

        The entries are at most `limit`, from the one that contains event `seq`, if a limit is given.
        """
        async with self._client.pipeline(transaction=False) as reads:
            reads.info("server", "replication")
            reads.mget([self._prefix + name for name in ("epoch", "seq", "batch")])
            if limit:
                reads.xrange(self._prefix + "events", f"{seq}-0", "+", limit)
            facts, (epoch, last, batch), *rows = await self._reply(reads.execute())
        server = _name_of(facts)
        entries = [Entry.parse(row) for row in rows[0]] if rows else []
        return server, Epoch.parse(epoch) if epoch else None, Position(int(last or 0), batch or ""), entries

    async def begin(self, epoch: Epoch) -> None:
        """Give an epoch to a store that has none."""
        await self._reply(self._client.set(self._prefix + "epoch", str(epoch), nx=True))

    async def halt(self) -> None:
        """Take the epoch from the store, so that no process decides on it any more."""
        await self._reply(self._client.delete(self._prefix + "epoch"))

    @asynccontextmanager
    async def pinned(self, server: str) -> AsyncIterator["Pipeline"]:
        """Yield a connection to this run of the server. It breaks if the server ends. Raises `StoreError`.

        The connection watches the position of the store: a transaction on it fails if anybody decides meanwhile.
        """
        try:
            async with self._client.pipeline(transaction=True) as connected:
                await connected.watch(self._prefix + "epoch", self._prefix + "seq")
                facts = await connected.info("server", "replication")
                if _name_of(facts) != server:
                    raise StoreError("redis: another server has taken over meanwhile")
                yield connected
        except (RedisError, OSError) as error:
            raise StoreError(f"redis: {error}") from error

    async def begin_epoch(
        self, server: str, before: Position, epoch: Epoch, last: Position, events: Sequence[Event]
    ) -> None:
        """Begin an epoch on the stock as it is, in one step, on a store that ends at `before`.

        events: one for each sale; the last one is `last`. Raises `StoreError` if the server or its last event is
        another one.
        """
        async with self.pinned(server) as connected:
            names = [self._prefix + "seq", self._prefix + "batch"]
            seq, batch = await cast(Awaitable[list[str | None]], connected.mget(names))
            if (int(seq or 0), batch or "") != before:
                raise StoreError(f"redis: the store ends at event {seq}, expected {before.seq}")
            cast(Any, connected).multi()
            continue_store(connected, self._prefix, epoch, last, events)
            await connected.execute()

    async def stored_sales(self) -> list[tuple[Sale, Stock]]:
        """Return the sales as this server has them, even if its stock is in doubt."""
        names = await self._reply(self._client.lrange(self._prefix + "sales", 0, -1))
        return [sale_of(await self._reply(self._client.hgetall(f"{self._prefix}sale:{name}"))) for name in names]

    async def entries(self, seq: int, limit: int | None) -> list[Entry]:
        """Return the entries from the one that contains event `seq`. The first may also hold earlier events."""
        reply = self._client.xrange(self._prefix + "events", f"{seq}-0", "+", limit)
        return [Entry.parse(row) for row in await self._reply(reply)]

    async def wait_entry(self, after_seq: int, timeout_ms: int) -> None:
        """Return when there is an entry after this event, or when the time is over."""
        name = self._prefix + "events"
        await self._reply(self._client.xread({name: f"{after_seq}-0"}, count=1, block=timeout_ms))

    async def unforwarded(self) -> int:
        """Return the number of events that are durable here only. Without a forwarder that is every event."""
        row = await self._reply(self._client.mget(self._prefix + "seq", self._prefix + "forwarded"))
        return max(0, int(row[0] or 0) - int(row[1] or 0))

    async def forwarded(self) -> int:
        """Return the number of the last event that the forwarder has noted as durable in PostgreSQL."""
        return int(await self._reply(self._client.get(self._prefix + "forwarded")) or 0)

    async def acknowledge(self, seq: int) -> None:
        """Record that the events up to `seq` are durable in PostgreSQL."""
        await self._reply(self._client.set(self._prefix + "forwarded", seq))

    async def restore(self, sales: Sequence[Evidence], epoch: Epoch, last: Position) -> None:
        """Replace everything by these sales, in one step. The stream continues after the event `last`."""
        old = [key async for key in self._client.scan_iter(self._prefix + "*", 1000)]
        async with self._reader.pipeline(transaction=True) as writes:
            for key in old:
                writes.unlink(key)
            write_store(writes, self._prefix, sales, epoch, last)
            await self._reply(writes.execute())

    async def _reply(self, reply: Any) -> Any:
        try:
            return await cast(Awaitable[Any], reply)
        except (RedisError, OSError) as error:
            raise StoreError(f"redis: {error}") from error


def connection(url: str, timeout_s: float) -> "Redis":
    """Return a client that connects when needed. It never repeats a command; callers repeat with the same key.

    If all connections are in use, a command waits for one.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout_s,
        max_connections=CONNECTIONS,
        timeout=timeout_s,
    )
    return Redis.from_pool(pool)


def _name_of(facts: dict[str, Any]) -> str:
    """Return the name of this run of a server. A restart, a failover and a change of its role change it."""
    return f"{facts['run_id']} {facts['master_replid']} {facts['role']}"
