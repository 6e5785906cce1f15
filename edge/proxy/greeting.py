"""A connection before it comes to HTTP: the PROXY header, then the TLS handshake, then a `Client` has it.

    accepted --> PROXY header --> TLS handshake --> Client        each is left out if the listener does not ask for it
        '----------- deadline, fault, hang-up ----> closed

Such a connection counts like any other, and all of it must be done within `limits.head_seconds`.
"""

import asyncio
import socket

from edge.proxy.client import Client
from edge.proxy.connection import Predecessor, peer_of
from edge.proxy.connection_table import Endpoint
from edge.proxy.listener import Listener
from edge.proxy.proxy_header import HeaderReader, ProxyHeader
from edge.proxy.state import ProxyState
from edge.support.errors import ClientError

__all__ = ["Greeting"]

#: The most bytes of an encrypted response that wait to be sent before the upstream is paused, as without TLS.
WRITE_BUFFER_BYTES = 65_536


class Greeting(Predecessor):
    """Works on the socket itself, because a transport reads at once, and beyond the header's end."""

    __slots__ = ("_connection", "_is_over", "_listener", "_state", "_task")

    def __init__(self, state: ProxyState, listener: Listener, connection: socket.socket) -> None:
        self._state = state
        self._listener = listener
        self._connection = connection
        self._is_over = False
        self._task: asyncio.Task[None] | None = None
        self.peer = ""
        self.network = ""
        self.deadline = state.now + state.limits.head_s

    def __repr__(self) -> str:
        return f"<Greeting of {self.peer} on {self._listener.url}>"

    def start(self) -> None:
        try:
            self.peer = peer_of(self._connection.getpeername())
        except OSError:  # it has hung up
            self._connection.close()
            return
        self._task = self._listener.greetings.start(self._greet(), "greeting")
        # Not in the task, which never runs if it is cancelled at once.
        self._task.add_done_callback(lambda _: self._end())
        # Last, because it aborts the connection if there are too many from this address.
        self._state.connections.opened(self, self.peer)

    def expire(self) -> None:
        self.abort()

    def drain(self) -> None:
        """It is let come to its first request."""

    def abort(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _greet(self) -> None:
        state, listener, is_secure = self._state, self._listener, self._listener.tls is not None
        try:
            if listener.reads_proxy_header and state.connections.trusts(self.peer):
                header = await self._header()
                self.peer = header.source or self.peer
                is_secure = is_secure or header.is_secure
            await self._hand_over(Client(state, is_secure=is_secure, greeting=self))
        # A hang-up, an alert, a fault in the header, bytes that are no handshake.
        except (OSError, ClientError) as fault:
            listener.note_fault(self.peer, fault)

    async def _header(self) -> ProxyHeader:
        loop, connection = asyncio.get_running_loop(), self._connection
        reader = HeaderReader(connection)
        while (header := reader.read()) is None:
            readable = loop.create_future()
            loop.add_reader(connection.fileno(), _wake, readable)
            try:
                await readable
            finally:
                loop.remove_reader(connection.fileno())
        return header

    async def _hand_over(self, client: Client) -> None:
        """Let the event loop have the socket; return when the client has it, which takes this connection's place."""
        tls, limits = self._listener.tls, self._state.limits
        loop, connection = asyncio.get_running_loop(), self._connection
        if tls is None:
            await loop.connect_accepted_socket(lambda: client, connection)
            return
        transport, _ = await loop.connect_accepted_socket(
            lambda: client,
            connection,
            ssl=tls.context,
            ssl_handshake_timeout=limits.head_s,
            # A visitor may take the rest of the last response until then. `Connection` has a deadline of its own.
            ssl_shutdown_timeout=limits.write_s,
        )
        if isinstance(transport, asyncio.WriteTransport):
            transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)

    def succeeded_by(self, client: Endpoint) -> None:
        """The client has the connection."""
        self._is_over = True
        self._state.connections.hand_over(self, client, self.peer)

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._connection.close()
            self._state.connections.closed(self)


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
