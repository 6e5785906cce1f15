"""The bus in Redis 7: one stream for each topic, with Redis' own consumer groups.

    {TOPIC}               stream   id: NUMBER-0, field t: the text
    {TOPIC}:dead:GROUP    stream   id: NUMBER-0, fields t, cause

Redis refuses an id that is not above the last one of the stream, so a message that is published again is there once.
Publishers send in ascending order, so the stream is the same with one publisher and with several. The keys have a
prefix of their own, so that a rebuild of the stock does not touch the bus.
"""

import secrets
import time
from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from checkout.bus.bus import LEASE_S, Bus, BusError, DeadLetter, Delivery, GroupState, Message
from checkout.engines.redis_stream import connection

PREFIX = "shop-events:"
TIMEOUT_S = 5.0
BLOCK_S = 1.0  # the longest wait in one command; it must be shorter than the timeout of the connection
COUNTED = 10_000  # messages that a group has left are counted up to this number if Redis does not know it
IS_THERE = "equal or smaller than the target stream top item"


class RedisBus(Bus):
    """`RedisBus(url)` connects when it is first used."""

    def __init__(self, url: str, *, lease_s: float = LEASE_S, prefix: str = PREFIX) -> None:
        self._client: Redis = connection(url, TIMEOUT_S)
        self._lease_ms = round(lease_s * 1000)
        self._prefix = prefix
        self._consumer = secrets.token_hex(8)

    async def close(self) -> None:
        await self._client.aclose()

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        if not messages:
            return
        async with self._client.pipeline(transaction=False) as pipe:
            for message in messages:
                pipe.xadd(self._key(topic), {"t": message.text}, f"{message.number}-0")
            for reply in await self._reply(pipe.execute(raise_on_error=False)):
                if isinstance(reply, Exception) and IS_THERE not in str(reply):
                    raise BusError(f"the event bus: {reply}") from reply

    async def last(self, topic: str) -> Message | None:
        rows = await self._reply(self._client.xrevrange(self._key(topic), count=1))
        return _message(rows[0]) if rows else None

    async def after(self, topic: str, number: int, limit: int) -> list[Message]:
        rows = await self._reply(self._client.xrange(self._key(topic), f"({number}-0", "+", limit))
        return [_message(row) for row in rows]

    async def take(self, topic: str, group: str, limit: int, wait_s: float = 0.0) -> list[Delivery]:
        until = time.monotonic() + wait_s
        while True:
            left_s = max(0.0, min(until - time.monotonic(), BLOCK_S))
            try:
                found = await self._take(topic, group, limit, left_s)
            except ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise BusError(f"the event bus: {error}") from error
                await self._create(topic, group)
                continue
            except (RedisError, OSError) as error:
                raise BusError(f"the event bus: {error}") from error
            if found or left_s == 0.0:
                return found

    async def acknowledge(self, topic: str, group: str, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            await self._reply(self._client.xack(self._key(topic), group, *(each.token for each in deliveries)))

    async def bury(self, topic: str, group: str, delivery: Delivery, cause: str) -> None:
        fields: dict[Any, Any] = {"t": delivery.message.text, "cause": cause}
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.xadd(self._dead(topic, group), fields, delivery.token)
            (reply,) = await self._reply(pipe.execute(raise_on_error=False))
        if isinstance(reply, Exception) and IS_THERE not in str(reply):
            raise BusError(f"the event bus: {reply}") from reply
        await self.acknowledge(topic, group, [delivery])

    async def dead_letters(self, topic: str, group: str, limit: int = 100) -> list[DeadLetter]:
        rows = await self._reply(self._client.xrange(self._dead(topic, group), count=limit))
        return [DeadLetter(_message(row), row[1]["cause"]) for row in rows]

    async def state(self, topic: str, group: str) -> GroupState:
        key = self._key(topic)
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.xlen(key)
            pipe.xlen(self._dead(topic, group))
            pipe.xinfo_groups(key)
            length, dead, groups = await self._reply(pipe.execute(raise_on_error=False))
        known = groups if isinstance(groups, list) else []
        for found in known:
            if found["name"] == group:
                lag = found.get("lag")
                if lag is None:
                    start = f"({found['last-delivered-id']}"
                    lag = len(await self._reply(self._client.xrange(key, start, "+", COUNTED)))
                return GroupState(int(lag), int(found["pending"]), int(dead))
        return GroupState(int(length), 0, int(dead))

    async def clear(self, topic: str) -> None:
        dead = [key async for key in self._client.scan_iter(f"{self._key(topic)}:dead:*")]
        await self._reply(self._client.unlink(self._key(topic), *dead))

    async def _take(self, topic: str, group: str, limit: int, wait_s: float) -> list[Delivery]:
        key, start = self._key(topic), "0-0"
        while True:  # one call looks at a part of what is under a lease
            reply: Any = await self._client.xautoclaim(key, group, self._consumer, self._lease_ms, start, limit)
            start, again = reply[0], [row for row in reply[1] if row[1] is not None]
            if again:
                return await self._with_tries(key, group, again)
            if start == "0-0":
                break
        block = round(wait_s * 1000) or None
        streams: Any = await self._client.xreadgroup(group, self._consumer, {key: ">"}, limit, block)
        rows = streams[0][1] if streams else []
        return [Delivery(_message(row), 1, row[0]) for row in rows]

    async def _with_tries(self, key: str, group: str, rows: list[Any]) -> list[Delivery]:
        first, last = rows[0][0], rows[-1][0]
        pending: Any = await self._client.xpending_range(key, group, first, last, len(rows) * 2 + 100, self._consumer)
        tries = {entry["message_id"]: entry["times_delivered"] for entry in pending}
        return [Delivery(_message(row), tries.get(row[0], 2), row[0]) for row in rows]

    async def _create(self, topic: str, group: str) -> None:
        try:
            await self._client.xgroup_create(self._key(topic), group, "0", mkstream=True)
        except (RedisError, OSError) as error:
            if "BUSYGROUP" not in str(error):  # another consumer was faster
                raise BusError(f"the event bus: {error}") from error

    def _key(self, topic: str) -> str:
        return f"{self._prefix}{{{topic}}}"

    def _dead(self, topic: str, group: str) -> str:
        return f"{self._key(topic)}:dead:{group}"

    async def _reply(self, reply: Any) -> Any:
        try:
            return await cast(Any, reply)
        except (RedisError, OSError) as error:
            raise BusError(f"the event bus: {error}") from error


def _message(row: tuple[str, dict[str, str]]) -> Message:
    name, fields = row
    return Message(int(name.partition("-")[0]), fields.get("t", ""))
