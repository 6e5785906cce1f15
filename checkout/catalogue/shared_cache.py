"""The second level of the cache: Redis, which all shops of one catalogue share.

    {catalogue}:product:ID    version and product; a script writes it only if the version is higher
    {catalogue}:live          exists while some shop has written every event of the last `LIVE_MS` here

A product in Redis counts only while `live` exists, so a Redis that nobody feeds any more is passed over. If Redis does
not answer, products are read from the database: it is a cache and nothing else.
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
PUT = """
local stored = redis.call('GET', KEYS[1])
if stored and tonumber(string.match(stored, '^%d+')) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'EX', ARGV[3])
return 1
"""


class SharedCache:
    """Products in Redis. No method raises if Redis does not answer; after an error it is left alone for a second."""

    def __init__(self, client: "Redis") -> None:
        self._client = client
        self._script = client.register_script(PUT)
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

    async def put(self, products: Sequence[Stored]) -> bool:
        """Write products, unless newer versions are there. Return whether Redis has taken them."""
        for stored in products:
            key = f"{PREFIX}product:{stored.product.id}"
            args = [stored.version, stored.model_dump_json(), KEEP_S]
            if await self._reply(lambda key=key, args=args: self._script(keys=[key], args=args)) is None:
                return False
        return True

    async def live(self, age_s: float) -> None:
        """Say that Redis has everything that was in the database `age_s` ago."""
        if (left_ms := LIVE_MS - round(age_s * 1000)) > 0:
            await self._reply(lambda: self._client.set(PREFIX + "live", "1", px=left_ms))

    async def _reply(self, ask: Any) -> Any:
        if time.monotonic() < self._away_until_s:
            return None
        try:
            return await cast(Any, ask())
        except (RedisError, OSError) as error:
            LOG.warning("redis: %s; products are read from the database", error)
            self._away_until_s = time.monotonic() + AGAIN_S
            return None
