"""Between machines: Redis carries what supervisors tell each other, and keeps nothing of it.

    PUBLISH stanchion:<cluster>     a message for every room of every node, once a heartbeat
    SUBSCRIBE the same              everybody else's

Only publish and subscribe are used, so there is no state to lose: a Redis that is wiped, restarted or swapped for
another changes nothing, and one that is full still carries messages. While it cannot be reached the nodes go on with
what they last knew; a metric and one log line say so, and the bus comes back by itself.

How late news is, every machine knows of itself: a beat that it sends comes back to it the way that all news takes,

    this machine --(sent)--> Redis --(heard)--> this machine       delay = heard - sent, one clock

so no clocks are compared, and a way that is open in one direction only shows like one that is broken. A machine
whose beats are missing or later than MAX_DELAY_S leaves the others, and does so before they forget it (`TTL_S` of
controller/fleet/summary.py): nobody takes its part of the capacity while it still uses more than that.
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

from edge.operations.logs import facts

__all__ = ["RedisBus"]

log = logging.getLogger("edge.cluster")

#: A Redis that takes longer than this for anything is as good as gone for this heartbeat.
TIMEOUT_S = 1.0
#: Pause before another try to connect, at first and at most, with jitter so that machines do not come all at once.
RETRY_S, MAX_RETRY_S = 0.2, 5.0
#: How often a machine tells itself that it is there.
BEAT_S = 0.25
#: News that is later than this is worth nothing: the machine is better off alone.
MAX_DELAY_S = 1.5
#: Messages that wait while Redis is slow; they go out together as soon as it takes them.
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
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_QUEUED)
        self._chance = random.Random()
        self._echoed_at = 0.0
        self._has_complained = False
        self._is_up = False
        self._up = Gauge("stanchion_redis_up", "1 while this machine hears the others over Redis.", registry=registry)
        self._delay = Gauge(
            "stanchion_redis_delay_seconds",
            "Time that a message of this machine takes through Redis and back.",
            registry=registry,
        )
        self._failures = Counter("stanchion_redis_failures", "Times the connection to Redis broke.", registry=registry)
        self._dropped = Counter(
            "stanchion_redis_dropped_messages",
            "Messages to other machines that were not sent in time.",
            registry=registry,
        )

    @property
    def is_up(self) -> bool:
        return self._is_up

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message for the other machines; while Redis is gone or slow the oldest are dropped."""
        if self._queue.full():
            self._queue.get_nowait()
            self._dropped.inc()
        self._queue.put_nowait((time.monotonic(), json.dumps({**message, "from": self._name}).encode()))

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
            self._echoed_at = time.monotonic()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._beat())
                    group.create_task(self._publish(client))
                    group.create_task(self._listen(subscription))
            except* (redis.exceptions.RedisError, OSError, TimeoutError) as faults:
                self._broken(faults.exceptions[0])  # now, for to close what does not answer takes its time

    async def _beat(self) -> None:
        while True:
            self.send({"kind": "beat", "sent": time.monotonic()})
            await asyncio.sleep(BEAT_S)

    async def _publish(self, client: "redis.asyncio.Redis") -> None:
        """Whatever waits goes out together: one by one, a Redis far away would fall behind for ever."""
        while True:
            waiting = [await self._queue.get()]
            while not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            oldest = time.monotonic() - MAX_DELAY_S
            async with client.pipeline(transaction=False) as pipeline:
                for queued_at, message in waiting:
                    if queued_at >= oldest:
                        pipeline.publish(self._channel, message)
                    else:
                        self._dropped.inc()
                await pipeline.execute()

    async def _listen(self, subscription: "redis.asyncio.client.PubSub") -> None:
        while True:
            heard = await subscription.get_message(timeout=BEAT_S)
            now = time.monotonic()
            if heard is not None:
                message = json.loads(heard["data"])
                if message.pop("from") != self._name:
                    if message["kind"] != "beat":
                        self._hear(message)
                elif message["kind"] == "beat":
                    self._echoed(now - message["sent"], now)
            if now - self._echoed_at > MAX_DELAY_S:
                raise TimeoutError(f"no beat came back within {MAX_DELAY_S:g} s")

    def _echoed(self, delay_s: float, now: float) -> None:
        self._delay.set(delay_s)
        if delay_s <= MAX_DELAY_S:
            self._echoed_at = now
            self._working()

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
