"""The connections of one worker to one server, `max_connections` at most. The most recently used idle one goes first.

A request that finds none waits; the one that has waited longest gets the next. An idle connection is closed after
`keepalive_seconds`: sooner than the upstream would close it, so that it is not closed under a request.
"""

import asyncio
from collections import deque
from contextlib import suppress

from edge.proxy.server_address import ServerAddress, failure_text
from edge.proxy.upstream import Upstream, UpstreamOwner, UpstreamUser
from edge.settings.upstream import UpstreamSettings
from edge.support.tasks import TaskOwner

__all__ = ["UpstreamPool"]

#: A visitor who has not read for this long loses their connection if others wait for one (Envoy shortens timers too).
STALLED_S = 2.0


class UpstreamPool(UpstreamOwner):
    def __init__(self, address: ServerAddress, settings: UpstreamSettings) -> None:
        self._address = address
        self._settings = settings
        self._idle: deque[Upstream] = deque()
        self._open: set[Upstream] = set()
        self._connecting = 0
        self._tasks = TaskOwner()
        self._waiting: deque[UpstreamUser] = deque()
        self._now = 0.0
        self.is_closed = False

    def __repr__(self) -> str:
        return (
            f"<UpstreamPool {self._address.url}: {len(self._open)} open, {len(self._idle)} idle,"
            f" {self._connecting} connecting, {len(self._waiting)} waiting>"
        )

    @property
    def is_unused(self) -> bool:
        """Whether no request uses the pool or waits for it."""
        return not self._open and not self._connecting and not self._waiting

    @property
    def load(self) -> int:
        """Return the number of requests that use the pool or wait for it."""
        return len(self._open) - len(self._idle) + self._connecting + len(self._waiting)

    def empty(self) -> None:
        """The server went down: let the requests go that can be sent to another one, and keep no connection.

        If its machine was lost, nothing tells that its old connections are dead.
        """
        while self._idle:
            self._idle.popleft().transport.close()
        for upstream in list(self._open):
            if upstream.user is not None:
                upstream.user.leave_server()
        for _ in range(len(self._waiting)):
            user = self._waiting.popleft()
            if not user.leave_server():
                self._waiting.append(user)

    def acquire(self, user: UpstreamUser, *, fresh: bool = False) -> None:
        """Give the user a connection: now if one is idle, else as soon as one is free or made.

        `fresh`: not a connection that was used before.
        """
        while self._idle and not fresh:
            upstream = self._idle.pop()
            if not upstream.is_closed and not upstream.transport.is_closing():
                upstream.user = user
                user.connected(upstream)
                return
        if len(self._open) + self._connecting < self._settings.max_connections:
            self._connect(user)
        elif fresh and self._idle:
            self._idle.popleft().abort()
            self._connect(user)
        else:
            self._waiting.append(user)

    def release(self, upstream: Upstream) -> None:
        if self.is_closed or not self._settings.keepalive_seconds:
            upstream.abort()
            return
        user = self._next()
        if user is not None:
            upstream.user = user
            user.connected(upstream)
        else:
            upstream.idle_since = self._now
            self._idle.append(upstream)

    def lost(self, upstream: Upstream) -> None:
        """A connection has ended: make another if a request waits for one."""
        if upstream not in self._open:
            return
        self._open.discard(upstream)
        with suppress(ValueError):
            self._idle.remove(upstream)
        self._fill()

    def sweep(self, now: float) -> None:
        """Close connections that were idle for too long. `now` is `ProxyState.now`.

        While a request waits for a connection, those of visitors who do not read are cut long before their time.
        """
        self._now = now
        if self._waiting:
            users = [upstream.user for upstream in self._open if upstream.user is not None]
            for user in users:
                if user.stalled_s(now) > STALLED_S:
                    user.abandon("unread")
                    user.break_client()
        while self._idle and now - self._idle[0].idle_since >= self._settings.keepalive_seconds:
            self._idle.popleft().transport.close()

    def close(self) -> None:
        """Close the idle connections and keep none from now on. Those in use end with their exchanges."""
        self.is_closed = True
        while self._idle:
            self._idle.popleft().transport.close()

    async def wait_closed(self) -> None:
        await self._tasks.close()

    def _next(self) -> UpstreamUser | None:
        while self._waiting:
            user = self._waiting.popleft()
            if not user.is_over:
                return user
        return None

    def _fill(self) -> None:
        if len(self._open) + self._connecting < self._settings.max_connections:
            user = self._next()
            if user is not None:
                self._connect(user)

    def _connect(self, user: UpstreamUser) -> None:
        self._connecting += 1
        self._tasks.start(self._make(user), "upstream connect")

    async def _make(self, user: UpstreamUser) -> None:
        upstream: Upstream | None = None
        failure: tuple[int, str, str] | None = None
        try:
            async with asyncio.timeout(self._settings.connect_timeout_seconds):
                upstream = await self._address.connect(lambda: Upstream(self))
        except TimeoutError as fault:
            failure = (504, "timeout", failure_text(fault))
        except OSError as fault:
            failure = (502, "connect", failure_text(fault))
        finally:
            self._connecting -= 1
        if upstream is None:
            if failure is not None and not user.is_over:
                user.unconnected(*failure)
            self._fill()
        elif upstream.is_closed:
            user.fail(502, "broken")
            self._fill()
        else:
            self._open.add(upstream)
            if user.is_over:
                self.release(upstream)
            else:
                upstream.user = user
                user.connected(upstream)
