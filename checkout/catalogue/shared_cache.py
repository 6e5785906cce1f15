"""The second level of the cache: Redis, which all shops of one catalogue share.

    {catalogue}:product:ID    version and product; a script writes it only if the version is higher
    {catalogue}:seq           every event up to this number has been written here
    {catalogue}:live          exists while `seq` was the last event of the database less than `LIVE_MS` ago

A product in Redis counts only while `live` exists, so a Redis that nobody feeds any more is passed over. One script
writes events, `seq` and `live`, and it refuses to leave a gap. So a Redis that has lost its newest products, or was not
told of a change because its shop was killed, does not count until a shop has sent what is missing. If Redis does not
answer, products are read from the database: it is a cache and nothing else.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from checkout.catalogue.product import Stored
from checkout.engines.redis_stream import connection

LOG = logging.getLogger(__name__)
PREFIX = "{catalogue}:"
LIVE_MS = 400
KEEP_S = 3600
TIMEOUT_S = 1.0
AGAIN_S = 1.0
DELETED_AT_ONCE = 1000
PUT = """
local stored = redis.call('GET', KEYS[1])
if stored and tonumber(string.match(stored, '^%d+')) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'EX', ARGV[3])
return 1
"""
FEED = """
local seq = tonumber(redis.call('GET', KEYS[1]) or '0')
if seq < tonumber(ARGV[1]) then return 0 end
for i = 3, #KEYS do
    local version = ARGV[i * 2 - 1]
    local stored = redis.call('GET', KEYS[i])
    if not stored or tonumber(string.match(stored, '^%d+')) < tonumber(version) then
        redis.call('SET', KEYS[i], version .. ' ' .. ARGV[i * 2], 'EX', ARGV[4])
    end
end
if seq < tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[2]) end
if tonumber(ARGV[3]) > 0 then redis.call('SET', KEYS[2], '1', 'PX', ARGV[3]) end
return 1
"""


class SharedCache:
    """Products in Redis. No method raises if Redis does not answer; after an error it is left alone for a second."""

    def __init__(self, client: "Redis") -> None:
        self._client = client
        self._script = client.register_script(PUT)
        self._feed = client.register_script(FEED)
        self._away_until_s = 0.0
        self.hits = 0

    @classmethod
    def open(cls, url: str) -> "SharedCache":
        return cls(connection(url, TIMEOUT_S))

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, product: str) -> Stored | None:
        """Return a product that was in the database less than `LIVE_MS` ago, or None."""
        found = await self._reply(lambda: self._client.mget(PREFIX + "live", f"{PREFIX}product:{product}"))
        if not found or found[0] is None or found[1] is None:
            return None
        self.hits += 1
        return Stored.model_validate_json(found[1].partition(" ")[2])

    async def put(self, stored: Stored) -> None:
        """Write a product, unless a newer version is there."""
        args: list[Any] = [stored.version, stored.model_dump_json(), KEEP_S]
        await self._reply(lambda: self._script(keys=[f"{PREFIX}product:{stored.product.id}"], args=args))

    async def seq(self) -> int | None:
        """Return the number up to which every event is in Redis, or None if it does not answer."""
        found = await self._reply(lambda: self._client.mget(PREFIX + "seq"))
        return None if found is None else int(found[0] or 0)

    async def feed(self, after: int, seq: int, products: Sequence[Stored], age_s: float) -> None:
        """Write the products of the events after one number up to another, unless Redis has lost events before these.

        age_s: how long ago `seq` was the last event of the database, or infinity if it was not.
        """
        keys = [PREFIX + "seq", PREFIX + "live", *(f"{PREFIX}product:{stored.product.id}" for stored in products)]
        left_ms = max(0, LIVE_MS - round(min(age_s, 60.0) * 1000))
        args: list[Any] = [after, seq, left_ms, KEEP_S]
        for stored in products:
            args += [stored.version, stored.model_dump_json()]
        await self._reply(lambda: self._feed(keys=keys, args=args))

    async def forget(self) -> None:
        """Delete every product, because the database is older than they are."""
        await self._reply(lambda: self._client.delete(PREFIX + "live"))
        await self._reply(self._delete_products)

    async def _delete_products(self) -> None:
        # `{` is no special character of a pattern.
        keys = [key async for key in self._client.scan_iter(f"{PREFIX}product:*", count=DELETED_AT_ONCE)]
        for at in range(0, len(keys), DELETED_AT_ONCE):
            await self._client.unlink(*keys[at : at + DELETED_AT_ONCE])
        await self._client.delete(PREFIX + "seq", PREFIX + "live")

    async def _reply(self, ask: Any) -> Any:
        if time.monotonic() < self._away_until_s:
            return None
        try:
            return await cast(Any, ask())
        except (RedisError, OSError) as error:
            LOG.warning("redis: %s; products are read from the database", error)
            self._away_until_s = time.monotonic() + AGAIN_S
            return None
