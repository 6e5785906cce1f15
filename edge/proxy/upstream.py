"""One connection to the upstream: reads responses and hands them to the exchange that it serves.

Bytes that are not a response, or that nobody asked for, end the connection. It goes back to the pool only after a whole
request and a whole response with no byte left over.
"""

import asyncio
import math
import os
import select
import socket
import ssl
from abc import ABCMeta, abstractmethod
from time import monotonic

from edge.proxy.body import Body, BodyFault
from edge.proxy.pending import Pending
from edge.proxy.response import BadResponse, ResponseHead, end_of_response_head, parse_response

__all__ = ["Upstream", "UpstreamOwner", "UpstreamUser"]

#: The largest head of a response: nginx 4-8 KiB a buffer, HAProxy 16 KiB, Envoy 60 KiB.
MAX_HEAD = 65_536
#: The most bytes of interim responses before the final one. Their number is not limited (nginx, HAProxy).
MAX_INTERIM = 65_536


class UpstreamUser(Pending):
    """A request that uses a connection to the upstream. `Exchange` implements it."""

    __slots__ = ("may_repeat",)

    may_repeat: bool
    """Whether the request may be sent once more if the connection breaks under it."""

    @property
    @abstractmethod
    def may_reuse(self) -> bool:
        """Whether the connection is good for another request after this one."""

    @abstractmethod
    def stalled_s(self, now: float) -> float:
        """Return for how long the visitor has not taken the response, or a negative number if they take it."""

    @abstractmethod
    def break_client(self) -> None:
        """Abort the visitor's connection, because its response stays incomplete."""

    @abstractmethod
    def connected(self, upstream: "Upstream") -> None:
        """A connection is there: send the request."""

    @abstractmethod
    def unconnected(self, status: int, kind: str, reason: str) -> None:
        """No connection could be made, so nothing was sent."""

    @abstractmethod
    def leave_server(self) -> bool:
        """The server went down: send the request to another one if that is safe. Return whether it leaves."""

    @abstractmethod
    def upstream_is_full(self) -> None:
        """The upstream does not take what is written."""

    @abstractmethod
    def upstream_can_take(self) -> None:
        """The upstream takes data again."""

    @abstractmethod
    def interim(self, response: ResponseHead) -> None:
        """Pass on a 1xx response that is not a 101."""

    @abstractmethod
    def answer(self, response: ResponseHead) -> tuple[bytes, Body]:
        """Return the head to write to the visitor, and the body that passes on the upstream's."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Write bytes of the response to the visitor."""

    @abstractmethod
    def complete(self) -> None:
        """The last byte of the response was passed on."""

    @abstractmethod
    def upgrade(self, response: ResponseHead, data: bytes) -> None:
        """Pass on a 101 and leave HTTP on both sides. `data` came behind its head."""

    @abstractmethod
    def unanswered(self, *, nothing_came: bool) -> None:
        """The connection ended before the head of a response."""

    @abstractmethod
    def fail(self, status: int, kind: str) -> None:
        """The upstream failed before the head of its response was passed on."""

    @abstractmethod
    def cut(self) -> None:
        """The response ended before its end."""


class UpstreamOwner(metaclass=ABCMeta):
    """Keeps the connections to the upstream. `UpstreamPool` implements it."""

    __slots__ = ()

    @abstractmethod
    def release(self, upstream: "Upstream") -> None:
        """Take back a connection that is free."""

    @abstractmethod
    def lost(self, upstream: "Upstream") -> None:
        """A connection has ended, or left HTTP."""


class Upstream(asyncio.Protocol):
    """It serves one user at a time."""

    __slots__ = (
        "_body",
        "_buffer",
        "_has_eof",
        "_interim",
        "_owner",
        "_poll",
        "born",
        "idle_since",
        "idle_until",
        "is_closed",
        "kept_s",
        "responses",
        "transport",
        "user",
    )

    transport: asyncio.Transport

    def __init__(self, owner: UpstreamOwner) -> None:
        self._owner = owner
        self._buffer = b""
        self._body: Body | None = None
        self._interim = 0
        self.user: UpstreamUser | None = None
        self.responses = 0
        """How many responses it gave. If it gave some, the upstream may have closed it since."""
        self.born = self.idle_since = monotonic()
        self.idle_until = math.inf
        """Until when the idle connection may be used. All three in monotonic seconds."""
        self.kept_s = math.inf
        """How long the upstream keeps the connection when it is idle, as its last response says."""
        self._has_eof = False
        self._poll: select.poll | None = None
        """Made for the first request that is sent only once."""
        self.is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "idle" if self.user is None else "in use"
        return f"<Upstream {state}, {self.responses} responses>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        user = self.user
        # A response to no request belongs to no visitor.
        if user is None:
            self.abort()
            return
        body = self._body
        try:
            if body is not None:
                user.send(body.feed(data))
            else:
                body = self._read_head(user, data)
                if body is None:
                    return
        except BadResponse:
            user.fail(502, "broken")
            return
        except BodyFault:
            user.cut()
            return
        if body.is_done:
            self._done(user, body.rest)

    def _read_head(self, user: UpstreamUser, data: bytes) -> Body | None:
        """Pass on the head of the final response with the part of the body behind it, and return the body.

        Returns None while the head is incomplete, and after a 101.
        """
        if self._buffer:
            data = self._buffer + data
        while True:
            end = end_of_response_head(data)
            if not end or end > MAX_HEAD:
                if len(data) > MAX_HEAD:
                    raise BadResponse("the head is too large")
                self._buffer = data
                return None
            response = parse_response(data[:end])
            data = data[end:]
            if response.status >= 200:
                break
            self._interim += end
            if response.status == 101:
                self._buffer = b""
                user.upgrade(response, data)
                return None
            if self._interim > MAX_INTERIM:
                raise BadResponse("the interim responses are too large")
            user.interim(response)
        self._buffer = b""
        self.kept_s = response.idle_s
        head, body = user.answer(response)
        self._body = body
        if body.is_done:
            body.rest = data
        elif data:
            head += body.feed(data)
        user.send(head)
        return body

    def _done(self, user: UpstreamUser, rest: bytes) -> None:
        self._body = None
        self._interim = 0
        self.responses += 1
        self.user = None
        if user.may_reuse and not rest and not self.is_closed:
            self._owner.release(self)
        else:
            self.abort()
        user.complete()

    def eof_received(self) -> bool:
        """The upstream has ended the connection as it should; over TLS this is its close_notify.

        Of a response without a length only this tells the end: a TLS connection that ends without it was cut, perhaps
        by an attacker (RFC 9112, 9.8).
        """
        tls = self.transport.get_extra_info("ssl_object")
        # asyncio's own event loop calls this in both cases.
        self._has_eof = tls is None or _has_close_notify(tls)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if exc is not None and self.user is not None:
            self._read_rest()
        self._owner.lost(self)
        user, self.user = self.user, None
        if user is None:
            return
        body = self._body
        if body is None:
            user.unanswered(nothing_came=not self._buffer and not self._interim)
            return
        last = body.end() if exc is None and self._has_eof else None
        if last is None:
            user.cut()
        else:
            user.send(last)
            user.complete()

    def _read_rest(self) -> None:
        """Read what came before the connection broke under a write.

        An upstream that answers early and does not read the rest of the body resets the connection. Its answer, such
        as a 413, then waits in the socket.
        """
        opened = self.transport.get_extra_info("socket")
        if opened is None or self.transport.get_extra_info("ssl_object") is not None:
            return
        try:
            with socket.socket(fileno=os.dup(opened.fileno())) as connection:
                connection.setblocking(False)
                while self.user is not None and (data := connection.recv(65_536)):
                    self.data_received(data)
        # Nothing waits, or the socket is closed already.
        except OSError:
            return

    def has_news(self) -> bool:
        """Return whether the idle connection has an end or bytes to read that the event loop has not seen yet."""
        poll = self._poll
        if poll is None:
            opened = self.transport.get_extra_info("socket")
            if opened is None:
                return True
            poll = self._poll = select.poll()
            poll.register(opened.fileno(), select.POLLIN | select.POLLRDHUP)
        return bool(poll.poll(0))

    def pause_writing(self) -> None:
        if self.user is not None:
            self.user.upstream_is_full()

    def resume_writing(self) -> None:
        if self.user is not None:
            self.user.upstream_can_take()

    def detach(self) -> asyncio.Transport:
        """Return the transport to be tunnelled. The connection does not come back to the pool."""
        self.user = None
        self._owner.lost(self)
        return self.transport

    def abort(self) -> None:
        """End the connection now. Its user is not told."""
        self.user = None
        self.transport.abort()


def _has_close_notify(tls: ssl.SSLObject) -> bool:
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:  # more is expected
        return False
