"""Between machines: Redis carries what supervisors tell each other, and keeps nothing.

    PUBLISH stanchion:<cluster>     a message for every room of every node, once a heartbeat
    SUBSCRIBE the same              everybody else's

Only publish and subscribe are used, so there is no state to lose: a Redis that is wiped, restarted or swapped for
another changes nothing, and one that is full still carries messages. While it cannot be reached the nodes go on with
what they last knew; a metric and one log line say so, and the bus comes back by itself.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio
from prometheus_client import CollectorRegistry, Counter, Gauge

from edge.logs import facts

__all__ = ["RedisBus"]

log = logging.getLogger("edge.cluster")

#: A Redis that takes longer than this for anything is as good as gone for this heartbeat.
TIMEOUT_S = 1.0
#: Pause before another try to connect, at first and at most, with jitter so that machines do not come all at once.
RETRY_S, MAX_RETRY_S = 0.2, 5.0
#: Silence after which the bus counts as broken: every machine hears at least its own messages five times a second.
SILENCE_S = 3.0
#: Messages that wait while Redis is slow; older news is worth nothing.
MAX_QUEUED = 256


class RedisBus:
    """One machine's end. url: redis://... channel: what the machines of one cluster have in common. name: this machine.

    hear(message): called with every message of another machine. changed(up): called when the way opens or breaks.
    """

    def __init__(
        self,
        url: str,
        password: str | None,
        channel: str,
        name: str,
        hear: Callable[[dict[str, Any]], None],
        changed: Callable[[bool], None],
        registry: CollectorRegistry,
    ) -> None:
        self._url = url
        self._password = password
        self._changed = changed
        self._channel = channel
        self._name = name
        self._hear = hear
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(MAX_QUEUED)
        self._chance = random.Random()
        self._heard_at = 0.0
        self._has_complained = False
        self._is_up = False
        self._up = Gauge("stanchion_redis_up", "1 while this machine hears the others over Redis", registry=registry)
        self._failures = Counter("stanchion_redis_failures", "Times the way over Redis broke", registry=registry)
        self._dropped = Counter("stanchion_redis_dropped_messages", "News not sent in time", registry=registry)

    @property
    def is_up(self) -> bool:
        return self._is_up

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message for the other machines; while Redis is gone or slow the oldest are dropped."""
        if self._queue.full():
            self._queue.get_nowait()
            self._dropped.inc()
        self._queue.put_nowait(json.dumps({**message, "from": self._name}).encode())

    async def run(self) -> None:
        """Until cancelled: connect, carry, and connect again whenever it breaks."""
        pause_s = RETRY_S
        while True:
            began = time.monotonic()
            try:
                await self._carry()
            except* (redis.exceptions.RedisError, OSError, TimeoutError) as group:
                self._broken(group.exceptions[0])
            pause_s = RETRY_S if time.monotonic() - began > MAX_RETRY_S else min(MAX_RETRY_S, pause_s * 2)
            await asyncio.sleep(pause_s * self._chance.uniform(0.5, 1.0))

    async def _carry(self) -> None:
        client = redis.asyncio.Redis.from_url(
            self._url, password=self._password, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        async with client, client.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(self._channel)
            self._heard_at = time.monotonic()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._publish(client))
                group.create_task(self._listen(subscription))

    async def _publish(self, client: "redis.asyncio.Redis") -> None:
        while True:
            await client.publish(self._channel, await self._queue.get())

    async def _listen(self, subscription: "redis.asyncio.client.PubSub") -> None:
        while True:
            heard = await subscription.get_message(timeout=TIMEOUT_S)
            now = time.monotonic()
            if heard is None:
                if now - self._heard_at > SILENCE_S:
                    raise TimeoutError(f"nothing heard for {SILENCE_S:g} s")
                continue
            self._heard_at = now
            self._working()
            message = json.loads(heard["data"])
            if message.pop("from") != self._name:
                self._hear(message)

    def _working(self) -> None:
        if not self._is_up:
            self._is_up = True
            self._up.set(1)
            self._changed(True)
            log.info("joined the other machines over Redis", extra=facts(channel=self._channel))

    def _broken(self, fault: BaseException) -> None:
        self._failures.inc()
        if self._is_up or not self._has_complained:  # once a break, not once a try
            log.warning("Redis cannot be reached; going on with what was last known: %s", fault)
        self._has_complained = True
        if self._is_up:
            self._is_up = False
            self._up.set(0)
            self._changed(False)
