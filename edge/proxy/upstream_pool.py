"""The connections of one worker to one server, `max_connections` at most. The most recently used idle one goes first.

A request that finds none waits, `connect_timeout_seconds` at most; the one that has waited longest gets the next.

Which idle connection may be used. The upstream may have closed it while the request is on its way:

    keepalive_seconds                       for any request. Less if the upstream says `Keep-Alive: timeout=`
    SURELY_OPEN_S, or half of that timeout  for one that cannot be sent twice (POST), which else gets a new connection
    dns_refresh_seconds since it was made   for any, if a name stands for the server: connections follow the name
"""

import asyncio
import logging
import math
from collections import deque
from time import monotonic

from edge.proxy.server_address import ServerAddress, failure_text
from edge.proxy.upstream import Upstream, UpstreamOwner, UpstreamUser
from edge.settings.upstream import UpstreamSettings
from edge.support.tasks import TaskOwner

__all__ = ["UpstreamPool"]

log = logging.getLogger("edge.upstream")

#: A visitor that has not read for this long loses their connection if others wait for one (Envoy shortens timers too).
STALLED_S = 2.0
#: An idle connection is taken to be open for this long if the upstream does not say how long it keeps it.
SURELY_OPEN_S = 0.005
#: An idle connection is closed this much before the upstream closes it.
KEPT_MARGIN_S = 1.0
#: For connecting, if the time was spent on waiting for a free connection.
LEAST_CONNECT_S = 0.05


class UpstreamPool(UpstreamOwner):
    def __init__(self, address: ServerAddress, settings: UpstreamSettings) -> None:
        self._address = address
        self._settings = settings
        self._idle: deque[Upstream] = deque()
        self._open: set[Upstream] = set()
        self._connecting = 0
        self._tasks = TaskOwner()
        self._waiting: deque[tuple[UpstreamUser, float]] = deque()
        """Requests that wait for a connection, and since when."""
        self._fault = ""
        """Why no connection could be made; '' if the last one was made."""
        self._surely_open_s = SURELY_OPEN_S
        """For how long an idle connection is open. The upstream lowers it if it closes one sooner."""
        self._keepalive_s = settings.keepalive_seconds
        self._most_age_s = settings.dns_refresh_seconds if address.is_name else math.inf
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
            waiting = self._waiting.popleft()
            if not waiting[0].leave_server():
                self._waiting.append(waiting)

    def acquire(self, user: UpstreamUser, *, fresh: bool = False) -> None:
        """Give the user a connection: now if one is idle, else as soon as one is free or made.

        `fresh`: not a connection that was used before.
        """
        now = monotonic()
        while self._idle and not fresh:
            upstream = self._idle[-1]
            if upstream.is_closed or upstream.transport.is_closing() or now >= upstream.idle_until:
                self._idle.pop().transport.close()
                continue
            if not user.may_repeat and not self._is_surely_open(upstream, now):
                break
            self._idle.pop()
            upstream.user = user
            user.connected(upstream)
            return
        if len(self._open) + self._connecting < self._settings.max_connections:
            self._connect(user, now)
        elif self._idle:
            self._idle.popleft().abort()
            self._connect(user, now)
        else:
            self._waiting.append((user, now))

    def release(self, upstream: Upstream) -> None:
        now, limit_s = monotonic(), self._idle_limit_s(upstream)
        if self.is_closed or limit_s <= 0.0 or now - upstream.born >= self._most_age_s:
            upstream.abort()
            return
        waiting = self._next()
        if waiting is not None:
            user = waiting[0]
            if not user.may_repeat and upstream.has_news():
                self._waiting.appendleft(waiting)
                upstream.abort()
                return
            upstream.user = user
            user.connected(upstream)
        else:
            upstream.idle_since, upstream.idle_until = now, now + limit_s
            self._idle.append(upstream)

    def lost(self, upstream: Upstream) -> None:
        """A connection has ended: make another if a request waits for one."""
        if upstream not in self._open:
            return
        self._open.discard(upstream)
        if upstream in self._idle:
            self._idle.remove(upstream)
            self._surely_open_s = min(self._surely_open_s, (monotonic() - upstream.idle_since) / 2)
        self._fill()

    def sweep(self, now: float) -> None:
        """Close connections that are too old or were idle for too long, and let no request wait for too long.

        `now` is `ProxyState.now`, the clock of visitors' deadlines.

        While a request waits for a connection, those of visitors that do not read are cut long before their time.
        """
        clock = monotonic()
        if self._waiting:
            self._end_waits(clock)
            users = [upstream.user for upstream in self._open if upstream.user is not None]
            for user in users:
                if user.stalled_s(now) > STALLED_S:
                    user.abandon("unread")
                    user.break_client()
        for upstream in [each for each in self._idle if self._is_over(each, clock)]:
            self._idle.remove(upstream)
            upstream.transport.close()

    def _is_over(self, idle: Upstream, now: float) -> bool:
        return now >= idle.idle_until or now - idle.born >= self._most_age_s

    def _idle_limit_s(self, upstream: Upstream) -> float:
        """Return how long the connection may be idle: less than the upstream itself allows."""
        kept_s, own_s = upstream.kept_s, self._keepalive_s
        return own_s if kept_s == math.inf else min(own_s, max(kept_s / 2, kept_s - KEPT_MARGIN_S))

    def _end_waits(self, now: float) -> None:
        """Let go the requests that have waited for a connection as long as making one may take."""
        most_s = self._settings.connect_timeout_seconds
        while self._waiting and now - self._waiting[0][1] >= most_s:
            user, _ = self._waiting.popleft()
            if not user.is_over:
                user.unconnected(504, "timeout", "no connection became free in time")

    def close(self) -> None:
        """Close the idle connections and keep none from now on. Those in use end with their exchanges."""
        self.is_closed = True
        while self._idle:
            self._idle.popleft().transport.close()

    async def wait_closed(self) -> None:
        await self._tasks.close()

    def _next(self) -> tuple[UpstreamUser, float] | None:
        """Return the request that has waited longest, and since when."""
        while self._waiting:
            user, since = self._waiting.popleft()
            if not user.is_over:
                return user, since
        return None

    def _fill(self) -> None:
        if len(self._open) + self._connecting < self._settings.max_connections:
            waiting = self._next()
            if waiting is not None:
                self._connect(*waiting)

    def _connect(self, user: UpstreamUser, since: float) -> None:
        self._connecting += 1
        self._tasks.start(self._make(user, since), "upstream connect")

    async def _make(self, user: UpstreamUser, since: float) -> None:
        """Make a connection for a request that waits since then."""
        upstream: Upstream | None = None
        failure = (502, "connect", "the connection was closed at once")
        left_s = self._settings.connect_timeout_seconds - (monotonic() - since)
        try:
            async with asyncio.timeout(max(left_s, LEAST_CONNECT_S)):
                upstream = await self._address.connect(lambda: Upstream(self))
        except TimeoutError as fault:
            failure = (504, "timeout", failure_text(fault))
        except OSError as fault:
            failure = (502, "connect", failure_text(fault))
        finally:
            self._connecting -= 1
        if upstream is None or upstream.is_closed:
            self._note_fault(failure[2])
            # Nothing was sent.
            if not user.is_over:
                user.unconnected(*failure)
            self._fill()
            return
        self._fault = ""
        self._open.add(upstream)
        if user.is_over:
            self.release(upstream)
        else:
            upstream.user = user
            user.connected(upstream)

    def _note_fault(self, reason: str) -> None:
        """Log why no connection can be made, once for each reason until one can be made again."""
        if reason != self._fault:
            self._fault = reason
            log.warning("cannot connect to %s: %s", self._address.url, reason)

    def _is_surely_open(self, upstream: Upstream, now: float) -> bool:
        """Return whether an idle connection may be used for a request that is sent only once."""
        safe_s = self._surely_open_s if upstream.kept_s == math.inf else upstream.kept_s / 2
        return now - upstream.idle_since < safe_s and not upstream.has_news()
