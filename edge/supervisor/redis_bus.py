"""The bus between machines: Redis carries messages from supervisor to supervisor and stores none of them.

    PUBLISH stanchion:<cluster>     one message for each room of each node, every heartbeat
    SUBSCRIBE the same              the messages of all machines

Only publish and subscribe are used, so there is no state to lose: a Redis that is wiped, restarted or replaced changes
nothing, and one that is full still carries messages. While Redis cannot be reached the nodes go on with what they last
knew; a metric and one log line say so, and the bus reconnects by itself.

Every machine measures the delay of the bus for itself. A `Echo` that it sends comes back to it like other messages,

    this machine --(sent)--> Redis --(received)--> this machine       delay = received - sent, on one clock

so no clocks are compared, and a network that is open in one direction only looks like one that is broken.

    0 s                 the last news of the other machines
    SILENT_S     1 s    the line stands still on both sides, to wait for the others
    MAX_DELAY_S  1.5 s  no echo came back: the machine counts as cut off. In rooms with `when_redis_down: hold` the line
                        goes on standing still. In all other rooms its gates go on alone, with even shares
    TTL_S        6 s    the other machines forget its nodes and take over their shares

So a machine that is cut off has stopped, or is back at its even share, before the others take over what it had.
"""

import asyncio
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import redis.asyncio
from prometheus_client import CollectorRegistry, Counter, Gauge

from edge.messages.cluster import (
    ClusterMessage,
    Echo,
    MalformedMessage,
    UnknownMessage,
    open_payload,
    seal_payload,
)
from edge.operations.logs import facts
from edge.support.tasks import keep_cancellation, run_together

__all__ = ["Bus", "NoBus", "RedisBus"]

log = logging.getLogger("edge.cluster")

#: A Redis that takes longer than this for anything counts as gone.
TIMEOUT_S = 1.0
#: Pause before the next attempt to connect, at first and at most; jittered, so that machines do not come all at once.
RETRY_S, MAX_RETRY_S = 0.2, 1.0
#: Seconds between two echoes.
ECHO_S = 0.25
#: With messages later than this a machine is better off alone.
MAX_DELAY_S = 1.5
#: Messages that wait while Redis is slow; they go out together as soon as Redis takes them.
MAX_QUEUED = 256


class Bus(ABC):
    """What a supervisor knows of the way to other machines."""

    @property
    @abstractmethod
    def is_up(self) -> bool:
        """Whether this machine hears the others."""

    @abstractmethod
    def send(self, message: ClusterMessage) -> None:
        """Send a message to all other machines, if they can be reached."""

    @abstractmethod
    async def run(self, receive: Callable[[ClusterMessage], None], changed: Callable[[bool], None]) -> None:
        """Carry messages until cancelled.

        receive(message): called with every message of another machine. changed(is_up): called when the way opens or
        breaks.
        """


class NoBus(Bus):
    """The bus of a machine that is alone."""

    @property
    def is_up(self) -> bool:
        return False

    def send(self, message: ClusterMessage) -> None:
        pass

    async def run(self, receive: Callable[[ClusterMessage], None], changed: Callable[[bool], None]) -> None:
        pass


class RedisBus(Bus):
    """url: redis://... channel: the same for all machines of one cluster. name: this machine."""

    def __init__(self, url: str, password: str | None, channel: str, name: str, registry: CollectorRegistry) -> None:
        self._url = url
        self._password = password
        self._channel = channel
        self._name = name
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_QUEUED)
        self._random = random.Random()
        self._echoed_at = 0.0
        self._has_warned = False
        self._ignored_reasons: set[str] = set()
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
        self._ignored = Counter(
            "stanchion_redis_ignored_messages",
            "Messages of other machines that were not understood.",
            ["reason"],
            registry=registry,
        )

    def __repr__(self) -> str:
        return f"<RedisBus {'up' if self._is_up else 'down'}, {self._queue.qsize()} messages wait>"

    @property
    def is_up(self) -> bool:
        return self._is_up

    def send(self, message: ClusterMessage) -> None:
        """Queue a message for the other machines; while Redis is gone or slow the oldest ones are dropped."""
        self._enqueue(message)

    def _enqueue(self, message: ClusterMessage | Echo) -> None:
        if self._queue.full():
            self._queue.get_nowait()
            self._dropped.inc()
        self._queue.put_nowait((time.monotonic(), seal_payload(message, self._name)))

    async def run(self, receive: Callable[[ClusterMessage], None], changed: Callable[[bool], None]) -> None:
        """Connect, carry messages, and connect again whenever the connection breaks; until cancelled."""
        pause_s = RETRY_S
        while True:
            began = time.monotonic()
            try:
                await self._carry(receive, changed)
            except (redis.exceptions.RedisError, OSError, TimeoutError) as fault:
                keep_cancellation(fault)
                self._note_broken(fault, changed)
            pause_s = RETRY_S if time.monotonic() - began > MAX_RETRY_S else min(MAX_RETRY_S, pause_s * 2)
            await asyncio.sleep(pause_s * self._random.uniform(0.5, 1.0))

    async def _carry(self, receive: Callable[[ClusterMessage], None], changed: Callable[[bool], None]) -> None:
        client = redis.asyncio.Redis.from_url(
            self._url, password=self._password, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        async with client, client.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(self._channel)
            self._echoed_at = time.monotonic()
            try:
                await run_together(
                    self._send_echoes(), self._publish(client), self._listen(subscription, receive, changed)
                )
            except (redis.exceptions.RedisError, OSError, TimeoutError) as fault:
                # At once, because closing a connection that does not answer takes its time.
                self._note_broken(fault, changed)

    async def _send_echoes(self) -> None:
        while True:
            self._enqueue(Echo(time.monotonic()))
            await asyncio.sleep(ECHO_S)

    async def _publish(self, client: "redis.asyncio.Redis") -> None:
        """Send all queued messages together: one by one, this machine would fall behind if Redis is far away."""
        while True:
            waiting = [await self._queue.get()]
            while not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            oldest = time.monotonic() - MAX_DELAY_S
            async with client.pipeline(transaction=False) as pipeline:
                for queued_at, payload in waiting:
                    if queued_at >= oldest:
                        pipeline.publish(self._channel, payload)
                    else:
                        self._dropped.inc()
                await pipeline.execute()

    async def _listen(
        self,
        subscription: "redis.asyncio.client.PubSub",
        receive: Callable[[ClusterMessage], None],
        changed: Callable[[bool], None],
    ) -> None:
        while True:
            received = await subscription.get_message(timeout=ECHO_S)
            now = time.monotonic()
            message = None if received is None else self._open(received["data"])
            if isinstance(message, Echo):
                self._note_echo(now - message.sent, now, changed)
            elif message is not None:
                receive(message)
            if now - self._echoed_at > MAX_DELAY_S:
                raise TimeoutError(f"no echo came back within {MAX_DELAY_S:g} s")

    def _open(self, payload: bytes) -> ClusterMessage | Echo | None:
        """Return the message in a payload, None if it is this machine's own or is not understood."""
        try:
            return open_payload(payload, self._name)
        except UnknownMessage as fault:
            self._note_ignored("unknown", f"of type {fault}: does another machine run a later version?")
        except MalformedMessage as fault:
            self._note_ignored("malformed", str(fault))
        return None

    def _note_ignored(self, reason: str, detail: str) -> None:
        self._ignored.labels(reason).inc()
        if reason not in self._ignored_reasons:
            self._ignored_reasons.add(reason)
            log.warning(
                "ignoring %s messages over Redis; this is logged once", reason, extra=facts(detail=detail[:200])
            )

    def _note_echo(self, delay_s: float, now: float, changed: Callable[[bool], None]) -> None:
        """An echo of this machine came back."""
        self._delay.set(delay_s)
        if delay_s > MAX_DELAY_S:
            return
        self._echoed_at = now
        if not self._is_up:
            self._is_up = True
            self._up.set(1)
            changed(True)
            log.info("joined the other machines over Redis", extra=facts(channel=self._channel))

    def _note_broken(self, fault: BaseException, changed: Callable[[bool], None]) -> None:
        self._failures.inc()
        if self._is_up or not self._has_warned:  # once a break, not once an attempt
            log.warning("Redis cannot be reached; going on with what was last known: %s", fault)
        self._has_warned = True
        if self._is_up:
            self._is_up = False
            self._up.set(0)
            changed(False)
