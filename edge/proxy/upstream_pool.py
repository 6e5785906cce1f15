"""The connections of one worker to the upstream: idle ones, newest used first; at most `max_connections`.

Who finds none waits in line. An idle connection is closed after `keepalive_seconds`: shorter than the upstream's own
patience, so that it is not closed under a request.
"""

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge.proxy.upstream import Upstream
from edge.settings.model import UpstreamSettings

if TYPE_CHECKING:
    from edge.proxy.exchange import Exchange

__all__ = ["UpstreamPool"]

#: How long a visitor may not read while others wait for the connection they hold (Envoy too shortens timers then).
STALLED_S = 2.0


class UpstreamPool:
    def __init__(self, settings: UpstreamSettings) -> None:
        parts = urlsplit(settings.url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._settings = settings
        self._idle: deque[Upstream] = deque()
        self._open: set[Upstream] = set()
        self._connecting: dict[asyncio.Task[None], None] = {}
        self._waiting: deque[Exchange] = deque()
        self._now = 0.0
        self.is_closed = False

    def __repr__(self) -> str:
        return (
            f"<UpstreamPool {self._settings.url}: {len(self._open)} open, {len(self._idle)} idle,"
            f" {len(self._connecting)} connecting, {len(self._waiting)} waiting>"
        )

    def acquire(self, exchange: "Exchange", *, fresh: bool = False) -> None:
        """Give the exchange a connection: now, when one is idle, else as soon as one is free or made.

        fresh: not one that was used before.
        """
        while self._idle and not fresh:
            upstream = self._idle.pop()
            if not upstream.is_closed and not upstream.transport.is_closing():
                upstream.exchange = exchange
                exchange.connected(upstream)
                return
        if len(self._open) + len(self._connecting) < self._settings.max_connections:
            self._connect(exchange)
        elif fresh and self._idle:
            self._idle.popleft().abort()
            self._connect(exchange)
        else:
            self._waiting.append(exchange)

    def release(self, upstream: Upstream) -> None:
        """Take back a connection that is free."""
        if self.is_closed or not self._settings.keepalive_seconds:
            upstream.abort()
            return
        exchange = self._next()
        if exchange is not None:
            upstream.exchange = exchange
            exchange.connected(upstream)
        else:
            upstream.idle_since = self._now
            self._idle.append(upstream)

    def lost(self, upstream: Upstream) -> None:
        """A connection has ended: make another for whoever waits."""
        if upstream not in self._open:
            return
        self._open.discard(upstream)
        with suppress(ValueError):
            self._idle.remove(upstream)
        self._fill()

    def sweep(self, now: float) -> None:
        """Close what was idle for too long. now: the loop's time, and that of what becomes idle until the next look.

        While somebody waits for a connection, those who hold one and do not read are cut long before their time.
        """
        self._now = now
        if self._waiting:
            held = [upstream.exchange for upstream in self._open if upstream.exchange is not None]
            for exchange in held:
                if exchange.stalled_s(now) > STALLED_S:
                    exchange.abandon("unread")
                    exchange.break_client()
        while self._idle and now - self._idle[0].idle_since >= self._settings.keepalive_seconds:
            self._idle.popleft().transport.close()

    def close(self) -> None:
        """No new connections, and the idle ones end; those in use end with their exchanges."""
        self.is_closed = True
        while self._idle:
            self._idle.popleft().transport.close()

    async def wait_closed(self) -> None:
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _next(self) -> "Exchange | None":
        while self._waiting:
            exchange = self._waiting.popleft()
            if not exchange.is_over:
                return exchange
        return None

    def _fill(self) -> None:
        if len(self._open) + len(self._connecting) < self._settings.max_connections:
            exchange = self._next()
            if exchange is not None:
                self._connect(exchange)

    def _connect(self, exchange: "Exchange") -> None:
        task = asyncio.get_running_loop().create_task(self._made(exchange), name="upstream connect")
        self._connecting[task] = None

    async def _made(self, exchange: "Exchange") -> None:
        upstream: Upstream | None = None
        failed: tuple[int, str] | None = None
        try:
            async with asyncio.timeout(self._settings.connect_timeout_seconds):
                _, upstream = await asyncio.get_running_loop().create_connection(
                    lambda: Upstream(self), self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            failed = (504, "timeout")
        except (OSError, ssl.SSLError):
            failed = (502, "connect")
        finally:
            task = asyncio.current_task()
            if task is not None:
                self._connecting.pop(task, None)
        if upstream is None:
            if failed is not None and not exchange.is_over:
                exchange.fail(*failed)
            self._fill()
        elif upstream.is_closed:
            exchange.fail(502, "broken")
            self._fill()
        else:
            self._open.add(upstream)
            if exchange.is_over:
                self.release(upstream)
            else:
                upstream.exchange = exchange
                exchange.connected(upstream)
