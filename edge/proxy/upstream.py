"""One connection to the upstream: reads answers and hands them to the exchange it serves.

Garbage, or a word unasked for, ends it. It goes back to the pool only after a whole request and a whole answer, with
nothing left over.
"""

import asyncio
from typing import TYPE_CHECKING

from edge.proxy.body import Body, BodyFault
from edge.proxy.response import BadResponse, parse_response

if TYPE_CHECKING:
    from edge.proxy.exchange import Exchange
    from edge.proxy.upstream_pool import UpstreamPool

__all__ = ["Upstream"]

#: The largest head of an answer: nginx 4-8 KiB a buffer, HAProxy 16 KiB, Envoy 60 KiB.
MAX_HEAD = 65_536
#: Interim answers before the final one: more is an attack (Go allows 5, Envoy 1).
MAX_INTERIM = 8


class Upstream(asyncio.Protocol):
    """It serves one exchange at a time."""

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

    def __init__(self, pool: "UpstreamPool") -> None:
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
