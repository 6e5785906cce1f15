"""The proxy of one worker: takes connections from given sockets, sweeps their deadlines, drains.

Deadlines are looked at four times a second instead of one timer for each. So a request costs no timer, and ten thousand
idle connections cost a millisecond a sweep. A connection outlives its deadline by a quarter of a second at most.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import ClassVar

from edge.messages.decider import Decider
from edge.messages.upstream import ServerOutcomes, ServersState
from edge.messages.watcher import Watcher
from edge.proxy.acceptor import Acceptor
from edge.proxy.client import Client
from edge.proxy.connection_table import ConnectionTable
from edge.proxy.greeting import Greeting
from edge.proxy.listener import Listener
from edge.proxy.state import LAST_WORD_S, SWEEP_S, ProxyState
from edge.settings.listener import ListenerSettings
from edge.settings.model import Settings

__all__ = ["LAST_WORD_S", "ProxyServer"]

#: Certificate files are looked at once a second.
LOOK_SWEEPS = round(1 / SWEEP_S)


class ProxyServer:
    """Serves visitors. A reload (`use`) replaces settings and decider between two requests."""

    state_type: ClassVar[type[ProxyState]] = ProxyState
    """The class of what all connections share. A listener for others than visitors has another one."""

    def __init__(
        self,
        settings: Settings,
        decider: Decider,
        watcher: Watcher,
        clock: Callable[[], float],
        uniform: Callable[[], float],
        report: Callable[[ServerOutcomes], None] = lambda _: None,
    ) -> None:
        """`clock` returns wall-clock seconds, `uniform` a random number in [0, 1).

        report(message): called with what requests to the upstream's servers met, for the supervisor, which answers with
        their state (`use_servers_state`). Without one, every server counts as up.
        """
        self._listen = self.listeners_of(settings)
        self._listeners: list[Listener] = []
        self._acceptor = Acceptor(self.make_client, self._greet)
        self._sweeps = 0
        self._sweep_timer: asyncio.TimerHandle | None = None
        connections = ConnectionTable(self._acceptor, settings)
        self.state = self.state_type(settings, decider, watcher, clock, uniform, connections, report)

    def __repr__(self) -> str:
        step = "draining" if self.state.is_draining else "serving"
        return f"<ProxyServer {step}, {self.state.connections!r}, {self.state.upstreams!r}>"

    def listeners_of(self, settings: Settings) -> tuple[ListenerSettings, ...]:
        """Return the listeners with sockets that are served here."""
        return settings.listen

    def make_client(self) -> Client:
        """Return what serves a new connection."""
        return Client(self.state)

    @property
    def connection_count(self) -> int:
        return len(self.state.connections)

    @property
    def accept_pauses(self) -> int:
        """How often there was no space for more connections."""
        return self._acceptor.pauses

    @property
    def greeting_faults(self) -> int:
        """How many connections failed before they came to HTTP."""
        return sum(listener.faults for listener in self._listeners)

    @property
    def certificate_ends(self) -> dict[str, float]:
        """By the URL of the listener: when its first certificate expires, in seconds since 1970."""
        return {listener.url: listener.tls.ends_at for listener in self._listeners if listener.tls is not None}

    def use(self, settings: Settings, decider: Decider) -> None:
        """Serve the next requests by these. Requests under way end as they began."""
        self.state.use(settings, decider)
        self._listen = self.listeners_of(settings)
        for listener, changed in zip(self._listeners, self._listen, strict=False):
            listener.use(changed)

    def use_servers_state(self, state: ServersState) -> None:
        """Take in which servers of the upstream are down."""
        self.state.use_servers_state(state)

    async def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Serve connections to these bound sockets: those of `listen`, in its order."""
        self._listeners = [
            Listener(listening, settings, f"listen[{at}]")
            for at, (listening, settings) in enumerate(zip(sockets, self._listen, strict=True))
        ]
        self.state.start(asyncio.get_running_loop().time())
        self._sweep()
        greeted = [at for at, listener in enumerate(self._listeners) if not listener.is_plain]
        await self._acceptor.listen([listener.socket for listener in self._listeners], greeted)

    def _greet(self, at: int, connection: socket.socket) -> None:
        Greeting(self.state, self._listeners[at], connection).start()

    async def drain(self, grace_s: float, last_word_s: float = LAST_WORD_S) -> None:
        """Accept no more connections, let requests under way end within `grace_s`, and close.

        Idle connections are still answered for `last_word_s`, because a request may be on its way. HTTP/1.1 has no
        other way to tell a client that is about to send, and a client that sends a POST cannot repeat it.
        """
        state = self.state
        state.is_draining = True
        state.last_word_s = last_word_s
        await self._acceptor.close()
        state.connections.drain()
        try:
            async with asyncio.timeout(grace_s):
                await state.connections.wait_empty()
        except TimeoutError:
            pass
        await self.close()

    async def close(self) -> None:
        """End everything now."""
        state = self.state
        state.is_draining = True
        await self._acceptor.close()
        state.connections.abort()
        for listener in self._listeners:
            await listener.greetings.close()
        await state.upstreams.close()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        # Aborted connections report in the next turn of the loop.
        await asyncio.sleep(0)

    def _sweep(self) -> None:
        """Move the time, end what is over its deadline, and come back."""
        loop, state = asyncio.get_running_loop(), self.state
        now = state.advance(loop.time())
        state.connections.sweep(now)
        state.upstreams.sweep(now)
        self._sweeps += 1
        if self._sweeps % LOOK_SWEEPS == 0:
            for listener in self._listeners:
                listener.look()
        self._sweep_timer = loop.call_later(SWEEP_S, self._sweep)
