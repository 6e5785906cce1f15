"""The visitors' listener: takes connections from given sockets, watches their deadlines, drains.

Deadlines are looked at four times a second rather than held as one timer each: a request then costs no timer, and ten
thousand idle connections cost a millisecond a look. So a connection outlives its deadline by a quarter second at most.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Protocol

from edge.client_address import TrustedProxies
from edge.head import RequestHead
from edge.pipeline import Pipeline
from edge.plane.client import Client
from edge.plane.recognise import Recogniser
from edge.plane.response import AnswerWriter
from edge.plane.splice import Splice
from edge.plane.upstream import Pool
from edge.settings import Settings

__all__ = ["Plane", "Watcher"]

SWEEP_S = 0.25
#: Connections that wait to be taken, while a crowd arrives at once (Linux' somaxconn: 4096).
BACKLOG = 4096


class Watcher(Protocol):
    """Who wants to know what happened; called on the request's path, so it only counts and queues."""

    def record(
        self, head: RequestHead | None, outcome: str, status: int, sent: int, seconds: float, *, to_upstream: bool
    ) -> None:
        """A request is over. head: None when it could not be read. to_upstream: it was to be forwarded."""
        ...

    def upstream_answered(self, seconds: float) -> None: ...

    def upstream_failed(self, kind: str) -> None: ...


class Plane:
    """Serves visitors. What it serves by may be replaced between two requests (`use`, a reload)."""

    settings: Settings
    pipeline: Pipeline
    recogniser: Recogniser
    pool: Pool

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        watcher: Watcher,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        """clock: wall time, seconds. draw: uniform in [0, 1)."""
        self.clock = clock
        self.draw = draw
        self.record = watcher.record
        self.on_upstream = watcher.upstream_answered
        self.on_upstream_failure = watcher.upstream_failed
        self.writer = AnswerWriter()
        self.connections: set[Client | Splice] = set()
        self.is_draining = False
        self.now = 0.0
        """The loop's time at the last look: what deadlines are made of."""
        self.date = b""
        self._servers: list[asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._pools: list[Pool] = []
        self.use(settings, pipeline)

    def __repr__(self) -> str:
        return (
            f"<Plane {len(self.connections)} connections, {'draining' if self.is_draining else 'open'}, {self.pool!r}>"
        )

    def use(self, settings: Settings, pipeline: Pipeline) -> None:
        """Serve the next requests by these; those under way end as they began."""
        before = self._pools[-1] if self._pools else None
        if before is None or settings.upstream != self.settings.upstream:
            if before is not None:
                before.close()
            self.pool = Pool(settings.upstream)
            self._pools.append(self.pool)
        self.settings = settings
        self.pipeline = pipeline
        self.keepalive_s = settings.limits.keepalive_seconds
        upstream_host = None
        if settings.upstream.host_header == "upstream":
            upstream_host = settings.upstream.url.partition("://")[2].encode()
        self.recogniser = Recogniser(
            pipeline,
            TrustedProxies(settings.trusted_proxies),
            max_fields=settings.limits.headers,
            upstream_host=upstream_host,
        )

    async def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Serve visitors who come by these bound sockets."""
        loop = asyncio.get_running_loop()
        self._look()
        for listener in sockets:
            self._servers.append(await loop.create_server(lambda: Client(self), sock=listener, backlog=BACKLOG))

    async def drain(self, grace_s: float) -> None:
        """Take no more connections, let those under way end within grace_s, and close."""
        self.is_draining = True
        for server in self._servers:
            server.close()
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
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.abort()
        for pool in self._pools:
            pool.close()
            await pool.wait_closed()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        await asyncio.sleep(0)  # connections that were aborted say so in the next round of the loop

    def lost(self, connection: Client | Splice) -> None:
        """A connection has ended, or left HTTP."""
        self.connections.discard(connection)
        if self.is_draining and not self.connections:
            self._empty.set()

    def read_now(self) -> float:
        return self.now

    def _look(self) -> None:
        """Note the time, end what is over its deadline, and come back."""
        loop = asyncio.get_running_loop()
        self.now = now = loop.time()
        self.date = f"Date: {formatdate(self.clock(), usegmt=True)}\r\n".encode()
        for connection in [each for each in self.connections if each.deadline <= now]:
            connection.expire()
        for pool in self._pools:
            pool.sweep(now)
        self._sweep = loop.call_later(SWEEP_S, self._look)
