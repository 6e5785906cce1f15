"""A visitor's connection as bytes: when it is read, which bytes it keeps unread, how it ends.

    reading <-> paused             while received bytes cannot be passed on
    reading --> ending -> closed   gently: received bytes are read and dropped for LINGER_S, or a reset would overtake
                                   the last response; those of a body while they keep coming, for BODY_LINGER_S

`Client` says what the bytes mean. The abstract methods are what a pending request may ask of its connection.
"""

import asyncio
from abc import abstractmethod

from edge.messages.verdict import Answer, Verdict
from edge.proxy.connection_table import Endpoint
from edge.proxy.head_cache import HeadCache
from edge.proxy.parsed_head import ParsedHead
from edge.proxy.state import ProxyState
from edge.support.client_address import plain_address

__all__ = ["Connection", "Predecessor", "peer_of"]

#: How long and how much is read after the last response (nginx: 5 s between reads, 30 s in all; Go: 256 KiB).
LINGER_S = 2.0
LINGER_BYTES = 262_144
#: The same for a body that nobody wants: browsers and programs read the response only after they have sent all of it.
BODY_LINGER_S = 30.0
BODY_LINGER_BYTES = 67_108_864
#: The most bytes of pipelined requests that are kept while one request is pending.
MAX_PIPELINED = 65_536


class Predecessor(Endpoint):
    """What a connection was before it came to HTTP (`Greeting`)."""

    __slots__ = ("peer",)

    peer: str
    """The visitor's address, as far as it is known by now."""

    @abstractmethod
    def succeeded_by(self, client: Endpoint) -> None:
        """The client has the connection."""


class Connection(Endpoint, asyncio.Protocol):
    __slots__ = (
        "_dropped_bytes",
        "_greeting",
        "_has_eof",
        "_is_ending",
        "_is_paused",
        "_lingers_until",
        "_pipelined",
        "_state",
        "is_full",
        "is_secure",
        "peer",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, state: ProxyState, *, is_secure: bool = False, greeting: Predecessor | None = None) -> None:
        """`is_secure`: the visitor's bytes are encrypted on their way. `greeting`: what the connection began with."""
        self._state = state
        self._greeting = greeting
        self.is_secure = is_secure
        self._pipelined = b""
        """Received bytes that are not served yet: the next requests, or the beginning of one."""
        self._dropped_bytes = 0
        self._lingers_until = 0.0
        """When a body is not read any longer, after the last response. 0: there is none."""
        self._is_ending = False
        self._has_eof = False
        self._is_paused = False
        self.is_full = False
        """The visitor does not take what was written."""
        self.peer = ""
        self.network = ""
        self.deadline = state.now + state.limits.head_s

    @property
    def _head_cache(self) -> HeadCache:
        return self._state.secure_head_cache if self.is_secure else self._state.head_cache

    # What a pending request may ask

    @property
    @abstractmethod
    def may_continue(self) -> bool:
        """Whether further requests are served after this one."""

    @abstractmethod
    def finished(self, *, keep_alive: bool) -> None:
        """The exchange is over and its response is written."""

    @abstractmethod
    def answer_instead(self, answer: Answer, parsed: ParsedHead, *, keep_alive: bool) -> None:
        """The upstream failed: write this answer."""

    @abstractmethod
    def refuse(
        self, status: int, detail: str, *, is_recorded: bool = False, wants_page: bool = False, is_head: bool = False
    ) -> None:
        """Write an error and end the connection, because it is not known where the next request begins."""

    @abstractmethod
    def detach(self) -> bytes:
        """Stop serving HTTP on this connection; return the bytes that came behind the request."""

    @abstractmethod
    def settled(self, parsed: ParsedHead, verdict: Verdict, raw: bytes) -> None:
        """Carry out the verdict that the connection waited for."""

    # Bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        greeting, self._greeting = self._greeting, None
        if greeting is None:
            self.peer = peer_of(transport.get_extra_info("peername"))
            self._state.connections.opened(self, self.peer)
            return
        self.peer = greeting.peer
        greeting.succeeded_by(self)
        if self._state.is_draining:
            self.drain()

    @property
    def has_eof(self) -> bool:
        """Whether the visitor has finished writing and still waits for the response."""
        return self._has_eof

    def pause_reading(self) -> None:
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._is_paused and not self._has_eof and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()

    def abort(self) -> None:
        self.transport.abort()

    def _keep(self, data: bytes) -> None:
        """Keep bytes to be served later. Beyond MAX_PIPELINED the visitor is not read meanwhile."""
        self._pipelined += data
        if len(self._pipelined) > MAX_PIPELINED:
            self.pause_reading()

    def _drop(self, data: bytes) -> None:
        """Drop bytes that come after the end."""
        self._dropped_bytes += len(data)
        if self._dropped_bytes > (BODY_LINGER_BYTES if self._lingers_until else LINGER_BYTES):
            self.transport.close()
        elif self._lingers_until:
            self.deadline = min(self._lingers_until, self._state.now + LINGER_S)

    def _wait_for_next(self) -> None:
        """Set the deadline of a connection that waits for another request."""
        state = self._state
        self.deadline = state.now + (state.last_word_s if state.is_draining else state.limits.first_look_s)

    def _extend_idle(self) -> bool:
        """Move the deadline at the first look at an idle connection; return whether it is still ahead."""
        state = self._state
        self.deadline += state.limits.keepalive_s - state.limits.first_look_s
        return self.deadline > state.now

    def _end(self, *, gently: bool, is_idle: bool = False, reads_body: bool = False) -> None:
        """End the connection after what is written. `gently`: read on for a moment, so that no reset overtakes it.
        `is_idle`: nothing was written for a while. `reads_body`: a body is still coming.
        """
        state = self._state
        self._is_ending = True
        self._pipelined = b""
        if gently and self.transport.can_write_eof() and not self.transport.is_closing():
            self.deadline = state.now + LINGER_S
            if reads_body:
                self._lingers_until = state.now + BODY_LINGER_S
            self.transport.write_eof()
            self.resume_reading()
            return
        # TLS has no half-closed connections. Closing reads on by itself, until the visitor has closed too. How much of
        # the last response is still on its way cannot be seen.
        self.deadline = state.now + (LINGER_S if is_idle else state.limits.write_s)
        self.transport.close()


def peer_of(address: object) -> str:
    """Return the IP address of the other end's socket address. One on a unix socket is on this machine."""
    return plain_address(address[0]) if isinstance(address, tuple) else "127.0.0.1"
