"""An upgraded connection: both ends have left HTTP, and the edge moves bytes between them.

    client transport  <- Side ->  upstream transport          each transport is read by one Side, which writes the other

Each side is read only as fast as the other takes it. If one end finishes writing (EOF), the other is told. If both have
finished, or one breaks, both are closed. A tunnel in which nothing moves for `idle_s` is closed.
"""

import asyncio
from collections.abc import Callable

from edge.proxy.connection_table import Endpoint
from edge.proxy.state import ProxyState

__all__ = ["Tunnel"]


class _Side(asyncio.Protocol):
    __slots__ = ("_other", "_read", "_tunnel")

    def __init__(self, tunnel: "Tunnel", read: asyncio.Transport, other: asyncio.Transport) -> None:
        self._tunnel = tunnel
        self._read = read
        self._other = other

    def data_received(self, data: bytes) -> None:
        self._tunnel.moved(len(data), from_client=self is self._tunnel.client_side)
        self._other.write(data)

    def eof_received(self) -> bool:
        if self._other.is_closing() or self._tunnel.has_eof or not self._other.can_write_eof():
            return False
        self._tunnel.has_eof = True
        self._other.write_eof()
        return True

    def pause_writing(self) -> None:
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self._other.close()
        else:
            self._other.abort()
        self._tunnel.closed()


class Tunnel(Endpoint):
    """`client` and `upstream` are transports that carry no more HTTP. `on_closed(sent_bytes)` is called once."""

    __slots__ = ("_on_closed", "_sent", "_state", "client", "client_side", "has_eof", "upstream")

    def __init__(
        self,
        state: ProxyState,
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        on_closed: Callable[[int], None],
    ) -> None:
        self._state = state
        self.client, self.upstream = client, upstream
        self._on_closed: Callable[[int], None] | None = on_closed
        self._sent = 0
        self.has_eof = False
        self.network = ""
        self.deadline = state.now + state.limits.idle_s
        self.client_side = _Side(self, client, upstream)
        client.set_protocol(self.client_side)
        upstream.set_protocol(_Side(self, upstream, client))

    def __repr__(self) -> str:
        return f"<Tunnel {self._sent} bytes to the visitor, {'closed' if self._on_closed is None else 'open'}>"

    def moved(self, count: int, *, from_client: bool) -> None:
        self.deadline = self._state.now + self._state.limits.idle_s
        if not from_client:
            self._sent += count

    def client_has_finished(self) -> None:
        """The visitor had finished writing before the connection left HTTP."""
        self.has_eof = True
        if self.upstream.can_write_eof():
            self.upstream.write_eof()

    def closed(self) -> None:
        if self._on_closed is not None:
            on_closed, self._on_closed = self._on_closed, None
            self._state.connections.closed(self)
            on_closed(self._sent)

    def expire(self) -> None:
        """Nothing moved for too long."""
        self.abort()

    def drain(self) -> None:
        """A tunnel ends by itself, or when the grace time is over."""

    def abort(self) -> None:
        self.client.abort()
        self.upstream.abort()
