"""The listening sockets, which may be shut for a while without losing anybody.

    open    connections are accepted as they come
    shut    they wait in the kernel's queue (BACKLOG), unanswered but not refused, until there is room

A process that accepts until its descriptors run out breaks connections at random: the event loop must then take and
drop them, and files and upstreams find none left. So the door is shut well before (`limits.connections`,
`limits.descriptors_share`). An event loop's server cannot pause, but the socket outlives it: each is served through a
duplicate of its descriptor, and the queue belongs to both.
"""

import asyncio
import resource
import socket
from collections.abc import Callable, Iterable

from edge.settings.model import Settings

__all__ = ["Acceptor", "most_connections", "raise_descriptor_limit"]

#: What a worker holds itself: listeners and their duplicates, loop, channel, board, metrics' files, logs; some 25.
OWN_DESCRIPTORS = 40
#: Connections that wait to be taken, while a crowd arrives at once (Linux' somaxconn: 4096).
BACKLOG = 4096
#: A connection that was accepted is told to its protocol so many turns of the loop later (uvloop: 1, asyncio: 3).
ACCEPT_TURNS = 5


def most_connections(settings: Settings) -> int:
    """How many connections of visitors this process may hold: its part of the machine's, and of its descriptors.

    Each visitor may need one to the upstream as well, up to `upstream.max_connections`: those take descriptors too.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = settings.limits.connections // settings.workers
    if soft != resource.RLIM_INFINITY:
        free = soft - OWN_DESCRIPTORS
        upstream = min(settings.upstream.max_connections, free // 2)
        most = min(most, int(soft * settings.limits.descriptors_share), free - upstream)
    return max(1, most)


def raise_descriptor_limit() -> None:
    """Take all the descriptors the system grants, as nginx and Go programs do: the soft limit is for `select` only."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Acceptor:
    """Serves connections of given bound sockets, which it owns, by protocols that `make` makes."""

    def __init__(self, sockets: Iterable[socket.socket], make: Callable[[], asyncio.Protocol]) -> None:
        self._sockets = list(sockets)
        self._make = make
        self._servers: list[asyncio.Server] = []
        self._stopped: list[asyncio.Server] = []  # they accept no more, but may not be closed yet
        self._opening: asyncio.Task[None] | None = None
        self.is_shut = True
        self.times_shut = 0
        """How often there was no room for more."""

    async def open(self) -> None:
        """Accept connections, those first that wait."""
        self.is_shut = False
        self._close_stopped()
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            server = await loop.create_server(self._make, sock=listening.dup(), backlog=BACKLOG)
            if self.is_shut:  # shut again, or closed, while it opened
                server.close()
                return
            self._servers.append(server)

    def shut(self) -> None:
        """Accept no more for now."""
        if not self.is_shut:
            self.times_shut += 1
            self._close_servers()

    def reopen(self) -> None:
        """Open again, without waiting for it."""
        if self.is_shut and self._sockets and (self._opening is None or self._opening.done()):
            self._opening = asyncio.get_running_loop().create_task(self.open(), name="open the entrance")

    async def close(self) -> None:
        """For good. Who was accepted has a protocol when this is over."""
        sockets, self._sockets = self._sockets, []  # at once: who asks to reopen meanwhile must find nothing to open
        self._close_servers()
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        self._close_stopped()
        for listening in sockets:
            listening.close()

    def _close_servers(self) -> None:
        self.is_shut = True
        loop = asyncio.get_running_loop()
        for server in self._servers:
            # asyncio's own loop attaches a connection to its server some turns after accepting it, and a closed server
            # takes none: there, only accepting ends for now. uvloop attaches at once, and has no such reader.
            accepted_by_reader = [loop.remove_reader(listening.fileno()) for listening in server.sockets]
            if any(accepted_by_reader):
                self._stopped.append(server)
            else:
                server.close()
        self._servers = []

    def _close_stopped(self) -> None:
        for server in self._stopped:
            server.close()
        self._stopped = []
