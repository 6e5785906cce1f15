"""The visitors' listener: takes connections from given sockets, watches their deadlines, drains.

Deadlines are looked at four times a second rather than held as one timer each: a request then costs no timer, and ten
thousand idle connections cost a millisecond a look. So a connection outlives its deadline by a quarter second at most.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Protocol

from edge.messages.decider import Decider
from edge.messages.head import RequestHead
from edge.proxy.acceptor import Acceptor, most_connections
from edge.proxy.breaker import Breaker
from edge.proxy.client import Client
from edge.proxy.connection_counter import ConnectionCounter
from edge.proxy.head_cache import HeadCache
from edge.proxy.response import AnswerWriter
from edge.proxy.tunnel import Tunnel
from edge.proxy.upstream_pool import UpstreamPool
from edge.settings.model import Settings
from edge.support.client_address import TrustedProxies, network_of

__all__ = ["LAST_WORD_S", "ProxyServer", "Watcher"]

SWEEP_S = 0.25
#: What a look counts at most of the time since the one before: while the loop stalls or a crowd keeps it busy, what
#: has come lies unread, and nobody is to be cut off for the slowness of the edge.
LONGEST_STEP_S = 2 * SWEEP_S
#: How long an idle connection is still answered while draining: a poll may be on its way.
LAST_WORD_S = 1.0
#: The door is opened again when so much of the room is free: not for one at a time.
REOPEN_BELOW = 0.95


class Watcher(Protocol):
    """Who wants to know what happened; called on the request's path, so it only counts and queues."""

    def record(
        self, head: RequestHead | None, outcome: str, status: int, sent: int, seconds: float, *, to_upstream: bool
    ) -> None:
        """A request is over. head: None when it could not be read. to_upstream: it was to be forwarded."""
        ...

    def upstream_answered(self, seconds: float) -> None: ...

    def upstream_failed(self, kind: str) -> None: ...


class ProxyServer:
    """Serves visitors. What it serves by may be replaced between two requests (`use`, a reload)."""

    settings: Settings
    pipeline: Decider
    recogniser: HeadCache
    pool: UpstreamPool
    breaker: Breaker

    def __init__(
        self,
        settings: Settings,
        pipeline: Decider,
        watcher: Watcher,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        """clock: wall time, seconds. chance: uniform in [0, 1)."""
        self.clock = clock
        self.chance = chance
        self.record = watcher.record
        self.on_upstream = watcher.upstream_answered
        self.on_upstream_failure = watcher.upstream_failed
        self.writer = AnswerWriter()
        self.connections: set[Client | Tunnel] = set()
        self.is_draining = False
        self.last_word_s = LAST_WORD_S
        self.now = 0.0
        """Seconds in which the loop turned, up to the last look: what deadlines are made of."""
        self._looked = 0.0
        self.date = b""
        self.entrance = Acceptor((), lambda: Client(self))
        self._sweep: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._pools: list[UpstreamPool] = []
        self.census = ConnectionCounter()
        self.use(settings, pipeline)

    def __repr__(self) -> str:
        return f"<ProxyServer {len(self.connections)} connections, {'draining' if self.is_draining else 'open'}, {self.pool!r}>"

    def use(self, settings: Settings, pipeline: Decider) -> None:
        """Serve the next requests by these; those under way end as they began."""
        before = self._pools[-1] if self._pools else None
        if before is None or settings.upstream != self.settings.upstream:
            if before is not None:
                before.close()
            self.pool = UpstreamPool(settings.upstream)
            self._pools.append(self.pool)
            self.breaker = Breaker(settings.upstream)
        self.settings = settings
        self.pipeline = pipeline
        self.most = most_connections(settings)
        self.head_bytes = settings.limits.head_bytes
        self.response_s = settings.upstream.response_timeout_seconds
        self.idle_s = settings.upstream.idle_timeout_seconds
        self.first_look_s = min(settings.limits.keepalive_seconds, settings.limits.write_seconds)
        upstream_host = None
        if settings.upstream.host_header == "upstream":
            upstream_host = settings.upstream.url.partition("://")[2].encode()
        self.recogniser = HeadCache(
            pipeline,
            TrustedProxies(settings.trusted_proxies),
            max_fields=settings.limits.headers,
            max_target=settings.limits.target_bytes,
            upstream_host=upstream_host,
            via=None if settings.upstream.via is None else settings.upstream.via.encode(),
        )

    async def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Serve visitors who come by these bound sockets."""
        self._looked = asyncio.get_running_loop().time()
        self._look()
        self.entrance = Acceptor(sockets, lambda: Client(self))
        await self.entrance.open()

    async def drain(self, grace_s: float, last_word_s: float = LAST_WORD_S) -> None:
        """Take no more connections, let those under way end within grace_s, and close.

        last_word_s: how long an idle connection is still answered, for a request may be on its way. HTTP/1.1 has no
        other way to take leave of a client that is about to send, and one that sends a POST cannot repeat it.
        """
        self.is_draining = True
        self.last_word_s = last_word_s
        await self.entrance.close()
        for connection in list(self.connections):
            connection.drain()
        try:
            if self.connections:
                async with asyncio.timeout(grace_s):
                    await self._empty.wait()
        except TimeoutError:
            pass
        await self.close()

    async def close(self) -> None:
        """End everything now."""
        self.is_draining = True
        await self.entrance.close()
        for connection in list(self.connections):
            connection.abort()
        for pool in self._pools:
            pool.close()
            await pool.wait_closed()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        await asyncio.sleep(0)  # connections that were aborted say so in the next round of the loop

    def made(self, client: Client) -> None:
        """A visitor has connected."""
        self.connections.add(client)
        if len(self.connections) >= self.most:
            self.entrance.shut()
        most = self.settings.limits.connections_per_address
        if most is not None and not self.recogniser.trusts(client.peer):
            client.network = network_of(client.peer)
            if self.census.enter(client.network) > most:
                client.abort()

    def lost(self, connection: Client | Tunnel) -> None:
        """A connection has ended, or left HTTP."""
        self.connections.discard(connection)
        if connection.network:
            self.census.leave(connection.network)
        if self.is_draining and not self.connections:
            self._empty.set()

    def read_now(self) -> float:
        return self.now

    def _look(self) -> None:
        """Note the time, end what is over its deadline, and come back."""
        loop = asyncio.get_running_loop()
        time = loop.time()
        self.now = now = self.now + min(time - self._looked, LONGEST_STEP_S)
        self._looked = time
        self.date = f"Date: {formatdate(self.clock(), usegmt=True)}\r\n".encode()
        for connection in [each for each in self.connections if each.deadline <= now]:
            connection.expire()
        for pool in self._pools:
            pool.sweep(now)
        self.pipeline.set_upstream_down(self.breaker.is_open(now))
        if self.entrance.is_shut and len(self.connections) < self.most * REOPEN_BELOW:
            self.entrance.reopen()
        self._sweep = loop.call_later(SWEEP_S, self._look)
