"""The listening sockets, which may pause for a while without dropping anybody.

    open      connections are accepted as they come
    paused    they wait in the kernel's queue (BACKLOG), unanswered but not refused, until there is room

A process that accepts until its descriptors run out breaks connections at random: the event loop accepts and drops
them, and files and upstream connections find no descriptor left. So the acceptor pauses well before that
(`limits.connections`, `limits.descriptors_share`). An event loop's server cannot pause, but its socket outlives it:
each server works on a duplicate of the socket's descriptor, and the queue belongs to both.
"""

import asyncio
import resource
import socket
import sys
from collections.abc import Callable, Iterable
from functools import partial

from edge.settings.model import Settings
from edge.support.tasks import TaskOwner

__all__ = ["Acceptor", "most_connections", "raise_descriptor_limit"]

#: Descriptors of a worker itself, some 25: listeners and their duplicates, loop, channel, shared counters, metric
#: files, logs.
OWN_DESCRIPTORS = 40
#: Connections that may wait in the kernel's queue while a crowd arrives at once (Linux's somaxconn: 4096).
BACKLOG = 4096
#: An accepted connection reaches its protocol this many turns of the loop later at most (uvloop: 1, asyncio: 3).
ACCEPT_TURNS = 5
#: Connections that are accepted as sockets in one turn of the loop.
ACCEPTS_AT_ONCE = 100


def most_connections(settings: Settings) -> int:
    """Return how many visitors' connections this process may hold: its share of the machine's and of its descriptors.

    Each visitor may need a connection to the upstream as well, up to `upstream.max_connections`. Those need
    descriptors too.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = settings.limits.connections // settings.workers
    if soft != resource.RLIM_INFINITY:
        free = soft - OWN_DESCRIPTORS
        upstream = min(settings.upstream.max_connections, free // 2)
        most = min(most, int(soft * settings.limits.descriptors_share), free - upstream)
    return max(1, most)


def raise_descriptor_limit() -> None:
    """Take all descriptors that the system grants, as nginx and Go programs do: the soft limit is for `select` only."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Acceptor:
    """Accepts connections on bound sockets.

    make(): return a protocol for a connection. greet(n, connection): take a connection to the n-th socket that begins
    with something else than HTTP.
    """

    def __init__(
        self, make: Callable[[], asyncio.Protocol], greet: Callable[[int, socket.socket], None] | None = None
    ) -> None:
        self._make = make
        self._greet = greet
        self._greeted: frozenset[int] = frozenset()
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server | _SocketServer] = []
        # These accept no more, but may not be closed yet.
        self._stopped: list[asyncio.Server] = []
        self._tasks = TaskOwner()
        self.is_paused = True
        self.pauses = 0
        """How often the acceptor paused because there was no space for more connections."""

    def __repr__(self) -> str:
        state = "paused" if self.is_paused else "open"
        return f"<Acceptor {state}, {len(self._sockets)} sockets, {self.pauses} pauses>"

    async def listen(self, sockets: Iterable[socket.socket], greeted: Iterable[int] = ()) -> None:
        """Accept connections on these bound sockets, which the acceptor owns from now on.

        greeted: the numbers of those with connections that are given to `greet`.
        """
        self._sockets = list(sockets)
        self._greeted = frozenset(greeted)
        await self._open()

    def pause(self) -> None:
        """Accept no more for now."""
        if not self.is_paused:
            self.pauses += 1
            self._close_servers()

    def resume(self) -> None:
        """Accept again. Returns at once; the servers start in a task."""
        if self.is_paused and self._sockets and not self._tasks:
            self._tasks.start(self._open(), "resume accepting")

    async def close(self) -> None:
        """Accept no more. When this returns, every accepted connection has reached its protocol."""
        # First, so that `resume` finds nothing to open while this method waits.
        sockets, self._sockets = self._sockets, []
        self._close_servers()
        # A task that is starting a server closes it itself. Cancelled, it would leave the server accepting.
        await self._tasks.wait()
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        self._close_stopped()
        for listening in sockets:
            listening.close()

    async def _open(self) -> None:
        self.is_paused = False
        self._close_stopped()
        loop = asyncio.get_running_loop()
        for at, listening in enumerate(self._sockets):
            server: asyncio.Server | _SocketServer
            if at in self._greeted and self._greet is not None:
                server = _SocketServer(loop, listening.dup(), partial(self._greet, at), self.pause)
            else:
                server = await _serve(loop, self._make, listening.dup())
            # Paused again, or closed, while the server started.
            if self.is_paused:
                server.close()
                return
            self._servers.append(server)

    def _close_servers(self) -> None:
        self.is_paused = True
        loop = asyncio.get_running_loop()
        for server in self._servers:
            if isinstance(server, _SocketServer):
                server.close()
                continue
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


class _SocketServer:
    """Accepts connections as sockets. An event loop's server would read from them at once."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        accepted: Callable[[socket.socket], None],
        pause: Callable[[], None],
    ) -> None:
        """pause(): there is no descriptor or memory left, although the acceptor pauses before that."""
        self._loop = loop
        self._listening = listening
        self._accepted = accepted
        self._pause = pause
        loop.add_reader(listening.fileno(), self._accept)

    def close(self) -> None:
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            # Closed, or paused, by the connection before.
            if self._listening.fileno() < 0:
                return
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._pause()
                return
            connection.setblocking(False)
            self._accepted(connection)


async def _serve(
    loop: asyncio.AbstractEventLoop, make: Callable[[], asyncio.Protocol], listening: socket.socket
) -> asyncio.Server:
    if listening.family != socket.AF_UNIX:
        return await loop.create_server(make, sock=listening, backlog=BACKLOG)
    # The file stays when a server pauses or ends, because other workers accept on it. Python 3.13 would remove it.
    if sys.version_info >= (3, 13):
        return await loop.create_unix_server(make, sock=listening, backlog=BACKLOG, cleanup_socket=False)
    return await loop.create_unix_server(make, sock=listening, backlog=BACKLOG)
