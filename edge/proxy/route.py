"""The way of one exchange to a server, and what it reports: to the room's observer, the server, and the watcher.

open -> [repeat | move ->] answered | failed -> ended      `ended` exactly once. `repeat` is for a connection that the
                                                           server had closed, `move` for a server that failed
"""

from time import monotonic

from edge.messages.verdict import Forward
from edge.proxy.parsed_head import ParsedHead
from edge.proxy.state import ProxyState
from edge.proxy.upstream import UpstreamUser
from edge.proxy.upstream_server import UpstreamServer

__all__ = ["Route"]

#: Responses which say that the upstream, or a server behind it, is down.
OVERLOADED = frozenset((502, 503, 504))


#: Why a request failed, for the log. A failure to connect has a reason of its own.
REASONS = {
    "timeout": "no response in time",
    "broken": "the connection ended, or what came was no response",
    "upgrade": "an upgrade that was not asked for",
}


class Route:
    """Its time starts when it is made. The observer knows the exchange by this object."""

    __slots__ = (
        "_awaited",
        "_began",
        "_forward",
        "_observer",
        "_parsed",
        "_server",
        "_state",
        "_tried",
        "_was_repeated",
        "is_sent",
    )

    def __init__(self, state: ProxyState, parsed: ParsedHead, forward: Forward) -> None:
        self._state = state
        self._parsed = parsed
        self._forward = forward
        self._observer = forward.observer
        self._server: UpstreamServer | None = None
        """The server that the request went to last."""
        self._awaited: UpstreamServer | None = None
        """The same while its response is awaited."""
        self._tried: tuple[UpstreamServer, ...] = ()
        self._was_repeated = False
        self.is_sent = False
        """Bytes of the request went to a server."""
        self._began = monotonic()

    def open(self, user: UpstreamUser) -> bool:
        """Ask for a connection to a server. Return False if none is up."""
        server = self._state.upstreams.choose(self._parsed, self._forward, self._tried)
        if server is None:
            return False
        self._await(server)
        if self._observer is not None:
            self._observer.asked(self, monotonic())
        server.pool.acquire(user)
        return True

    def repeat(self, user: UpstreamUser) -> bool:
        """Ask for a fresh connection to the same server, once: the one before was closed before the request came."""
        server = self._server
        if self._was_repeated or server is None:
            return False
        self._was_repeated = True
        server.pool.acquire(user, fresh=True)
        return True

    def move(self, user: UpstreamUser, kind: str, reason: str = "") -> bool:
        """Ask for a connection to another server, because this one failed. Return False if there is none.

        The visitor sees nothing of it.
        """
        failed = self._server
        if failed is None:
            return False
        tried = (*self._tried, failed)
        server = self._state.upstreams.choose(self._parsed, self._forward, tried)
        if server is None:
            return False
        self._tried = tried
        self._state.watcher.upstream_failed("retried")
        self._blame(kind, reason)
        self._await(server)
        self._was_repeated = False
        server.pool.acquire(user)
        return True

    def answered(self, status: int) -> None:
        """The head of the final response has arrived."""
        state, now = self._state, monotonic()
        state.watcher.upstream_answered(now - self._began)
        if self._observer is not None:
            self._observer.answered(self, now, is_failure=status >= 500)
        server = self._let_go()
        if server is None:
            return
        server.has_answered = True
        if status in OVERLOADED:
            server.failed(f"answered {status}", state.now)
            state.upstreams.news()
        elif server.is_suspected:
            server.answered()
            state.upstreams.news()

    def upgraded(self) -> None:
        """The upstream has agreed to leave HTTP."""
        self._let_go()
        if self._observer is not None:
            self._observer.answered(self, monotonic(), is_failure=False)

    def failed(self, kind: str, reason: str = "") -> None:
        """No response will be passed on. 'shunned': the upstream is down, so it was not asked."""
        replay = self._forward.replay
        if replay is not None and not self.is_sent:
            replay.put_back()
        self._state.watcher.upstream_failed(kind)
        if self._observer is not None:
            self._observer.answered(self, monotonic(), is_failure=True)
        self._blame(kind, reason)

    def ended(self, outcome: str, status: int, sent: int) -> None:
        """The exchange is over; `sent` bytes went to the visitor."""
        self._let_go()
        if self._observer is not None:
            self._observer.ended(self)
        seconds = monotonic() - self._began
        self._state.watcher.record(self._parsed.context.head, outcome, status, sent, seconds, to_upstream=True)

    def _blame(self, kind: str, reason: str) -> None:
        server = self._let_go()
        if server is not None and server.is_up:
            server.failed(reason or REASONS.get(kind, kind), self._state.now, unconnected=bool(reason))
            self._state.upstreams.news()

    def _await(self, server: UpstreamServer) -> None:
        server.awaited += 1
        self._server = self._awaited = server

    def _let_go(self) -> UpstreamServer | None:
        server, self._awaited = self._awaited, None
        if server is not None:
            server.awaited -= 1
        return server
