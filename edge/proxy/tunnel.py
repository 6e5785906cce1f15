"""An upgraded connection: both ends have left HTTP, the edge moves bytes.

    client transport  <- Side ->  upstream transport          one Side reads each transport and writes the other

Each side is read only as fast as the other takes it. An end that finishes writing (EOF) is passed on as such; when both
have, or one breaks, both are closed. A splice over which nothing moves for `idle_s` is closed.
"""

import asyncio
from collections.abc import Callable

__all__ = ["Tunnel"]


class _Side(asyncio.Protocol):
    __slots__ = ("_other", "_read", "_splice")

    def __init__(self, splice: "Tunnel", read: asyncio.Transport, other: asyncio.Transport) -> None:
        self._splice = splice
        self._read = read
        self._other = other

    def data_received(self, data: bytes) -> None:
        self._splice.moved(len(data), from_client=self is self._splice.client_side)
        self._other.write(data)

    def eof_received(self) -> bool:
        if self._other.is_closing() or self._splice.has_eof or not self._other.can_write_eof():
            return False
        self._splice.has_eof = True
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
        self._splice.over()


class Tunnel:
    """client, upstream: transports that carry no more HTTP. on_over(sent bytes): called once, at the end."""

    __slots__ = (
        "_idle_s",
        "_now",
        "_on_over",
        "_sent",
        "client",
        "client_side",
        "deadline",
        "has_eof",
        "network",
        "upstream",
    )

    def __init__(
        self,
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        now: Callable[[], float],
        idle_s: float,
        on_over: Callable[["Tunnel", int], None],
    ) -> None:
        self.client, self.upstream = client, upstream
        self._now, self._idle_s = now, idle_s
        self._on_over: Callable[[Tunnel, int], None] | None = on_over
        self._sent = 0
        self.has_eof = False
        self.network = ""
        """Under which the visitor's connection is counted; '' when it is not."""
        self.deadline = now() + idle_s
        self.client_side = _Side(self, client, upstream)
        client.set_protocol(self.client_side)
        upstream.set_protocol(_Side(self, upstream, client))

    def moved(self, count: int, *, from_client: bool) -> None:
        self.deadline = self._now() + self._idle_s
        if not from_client:
            self._sent += count

    def client_has_ended(self) -> None:
        """The visitor had finished writing before the connection left HTTP."""
        self.has_eof = True
        if self.upstream.can_write_eof():
            self.upstream.write_eof()

    def over(self) -> None:
        if self._on_over is not None:
            on_over, self._on_over = self._on_over, None
            on_over(self, self._sent)

    def expire(self) -> None:
        """Nothing moved for too long."""
        self.abort()

    def drain(self) -> None:
        """An upgraded connection ends by itself, or when the grace is over."""

    def abort(self) -> None:
        self.client.abort()
        self.upstream.abort()
