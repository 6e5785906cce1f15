"""All visitors' connections of a worker: how many there may be, and which deadline has passed.

    opened -> full?       the acceptor pauses: newcomers wait in the kernel's queue, nobody is dropped
           -> too many from one network?      this connection is aborted
    closed -> the last one?                   a drain is over

The acceptor goes on when the table is below REOPEN_BELOW of its size, so that it does not open for one connection.
"""

import asyncio
from abc import ABCMeta, abstractmethod

from edge.proxy.acceptor import Acceptor, most_connections
from edge.proxy.connection_counter import ConnectionCounter
from edge.settings.model import Settings
from edge.support.client_address import TrustedProxies, network_of

__all__ = ["ConnectionTable", "Endpoint"]

REOPEN_BELOW = 0.95


class Endpoint(metaclass=ABCMeta):
    """A visitor's connection as the table sees it: it speaks HTTP (`Client`), or no longer does (`Tunnel`).

    `metaclass=ABCMeta` rather than the base `ABC`: mypyc knows every base then, and finds attributes by their places.
    """

    __slots__ = ("deadline", "network")

    deadline: float
    """The time on the clock of `ProxyState.now` at which `expire` is called."""
    network: str
    """The network under which the connection is counted, '' if it is not."""

    @abstractmethod
    def expire(self) -> None:
        """The deadline has passed."""

    @abstractmethod
    def drain(self) -> None:
        """Take no further requests after those that are on their way."""

    @abstractmethod
    def abort(self) -> None:
        """End the connection now."""


class ConnectionTable:
    def __init__(self, acceptor: Acceptor, settings: Settings) -> None:
        self._acceptor = acceptor
        self._open: set[Endpoint] = set()
        self._counter = ConnectionCounter()
        self._empty = asyncio.Event()
        self.use(settings)

    def __repr__(self) -> str:
        return f"<ConnectionTable {len(self._open)} of {self._most}, {len(self._counter)} networks>"

    def __len__(self) -> int:
        return len(self._open)

    def use(self, settings: Settings) -> None:
        """Apply the limits of these settings to connections that are opened from now on."""
        self._most = most_connections(settings)
        self._most_per_network = settings.limits.connections_per_address
        self._trusted = TrustedProxies(settings.trusted_proxies)

    def opened(self, connection: Endpoint, peer: str) -> None:
        """A visitor has connected from the address `peer`. A trusted proxy's connections are not limited."""
        self._open.add(connection)
        if len(self._open) >= self._most:
            self._acceptor.pause()
        most = self._most_per_network
        if most is not None and not self._trusted.trusts(peer):
            connection.network = network_of(peer)
            if self._counter.add(connection.network) > most:
                connection.abort()

    def replace(self, connection: Endpoint, successor: Endpoint) -> None:
        """A connection has left HTTP: count its successor in its place."""
        successor.network, connection.network = connection.network, ""
        self._open.discard(connection)
        self._open.add(successor)

    def hand_over(self, connection: Endpoint, successor: Endpoint, peer: str) -> None:
        """A connection has come to HTTP: count its successor in its place, as one from `peer`."""
        self._open.discard(connection)
        if connection.network:
            self._counter.remove(connection.network)
            connection.network = ""
        self.opened(successor, peer)

    def trusts(self, peer: str) -> bool:
        """Return whether the address is a trusted proxy's."""
        return self._trusted.trusts(peer)

    def closed(self, connection: Endpoint) -> None:
        self._open.discard(connection)
        if connection.network:
            self._counter.remove(connection.network)
        if not self._open:
            self._empty.set()

    def sweep(self, now: float) -> None:
        """End the connections that are over their deadline, and accept again if there is room."""
        for connection in [each for each in self._open if each.deadline <= now]:
            connection.expire()
        if self._acceptor.is_paused and len(self._open) < self._most * REOPEN_BELOW:
            self._acceptor.resume()

    def drain(self) -> None:
        """Let every connection end after the requests that are on their way."""
        for connection in list(self._open):
            connection.drain()

    async def wait_empty(self) -> None:
        self._empty.clear()
        if self._open:
            await self._empty.wait()

    def abort(self) -> None:
        """End every connection now."""
        for connection in list(self._open):
            connection.abort()
