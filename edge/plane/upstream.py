"""One connection to the upstream, and the pool of them.

    Pool          idle connections, newest used first; at most `max_connections`; who finds none waits in line
    Upstream      reads answers and hands them to the exchange it serves; garbage, or a word unasked for, ends it

A connection goes back to the pool only after a whole request and a whole answer, with nothing left over, and leaves it
after `keepalive_seconds`: shorter than the upstream's own patience, so that it is not closed under a request.
"""

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge.plane.body import Body, BodyFault
from edge.plane.response import BadResponse, parse_response
from edge.settings import UpstreamSettings

if TYPE_CHECKING:
    from edge.plane.exchange import Exchange

__all__ = ["Pool", "Upstream"]

#: The largest head of an answer: nginx 4-8 KiB a buffer, HAProxy 16 KiB, Envoy 60 KiB.
MAX_HEAD = 65_536
#: Interim answers before the final one: more is an attack (Go allows 5, Envoy 1).
MAX_INTERIM = 8
#: How long a visitor may not read while others wait for the connection they hold (Envoy too shortens timers then).
STALLED_S = 2.0


class Upstream(asyncio.Protocol):
    """One connection. It serves one exchange at a time."""

    __slots__ = (
        "_body",
        "_buffer",
        "_interim",
        "_pool",
        "answered",
        "exchange",
        "idle_since",
        "is_closed",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._buffer = b""
        self._body: Body | None = None
        self._interim = 0
        self.exchange: Exchange | None = None
        self.answered = 0
        """How many answers it gave: a connection that gave some may have been closed meanwhile."""
        self.idle_since = 0.0
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.abort()  # an answer to nothing: whatever it is, it belongs to no visitor
            return
        body = self._body
        try:
            if body is not None:
                exchange.send(body.feed(data))
            else:
                body = self._read_head(exchange, data)
                if body is None:
                    return
        except BadResponse:
            exchange.fail(502, "broken")
            return
        except BodyFault:
            exchange.cut()
            return
        if body.is_done:
            self._done(exchange, body.rest)

    def _read_head(self, exchange: "Exchange", data: bytes) -> Body | None:
        """Returns the body when the head of the final answer is there, and has passed on both as far as they came."""
        if self._buffer:
            data = self._buffer + data
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0 or end > MAX_HEAD:
                if len(data) > MAX_HEAD:
                    raise BadResponse("the head is too large")
                self._buffer = data
                return None
            end += 4
            response = parse_response(data[:end])
            data = data[end:]
            if response.status >= 200:
                break
            self._interim += 1
            if response.status == 101:
                self._buffer = b""
                exchange.upgrade(response, data)
                return None
            if self._interim > MAX_INTERIM:
                raise BadResponse("too many interim answers")
            exchange.interim(response)
        self._buffer = b""
        head, body = exchange.answer(response)
        self._body = body
        if body.is_done:
            body.rest = data
        elif data:
            head += body.feed(data)
        exchange.send(head)
        return body

    def _done(self, exchange: "Exchange", rest: bytes) -> None:
        self._body = None
        self._interim = 0
        self.answered += 1
        self.exchange = None
        if exchange.may_reuse and not rest:
            self._pool.release(self)
        else:
            self.abort()
        exchange.complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._pool.lost(self)
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        body = self._body
        if body is None:
            exchange.unanswered(nothing_came=not self._buffer and not self._interim)
            return
        last = body.end() if exc is None else None
        if last is None:
            exchange.cut()
        else:
            exchange.send(last)
            exchange.complete()

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.upstream_is_full()

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.upstream_has_room()

    def detach(self) -> asyncio.Transport:
        """Give the connection away, to be spliced; it never comes back."""
        self.exchange = None
        self._pool.lost(self)
        return self.transport

    def abort(self) -> None:
        """End it now; the exchange, if any, is not told."""
        self.exchange = None
        self.transport.abort()


class Pool:
    """The connections of one worker to one upstream."""

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
            f"<Pool {self._settings.url}: {len(self._open)} open, {len(self._idle)} idle,"
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
