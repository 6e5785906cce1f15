"""One server of the upstream as a worker sees it: its connections, whether it is up, and what its requests met.

The supervisor says whether it is up (`edge/supervisor/upstream_watch.py`), for all workers. The worker tells it what
requests met, but only while some fail or the supervisor asked: as long as all is well nothing is sent.
"""

from edge.messages.upstream import Outcome
from edge.proxy.server_address import ServerAddress
from edge.proxy.upstream_pool import UpstreamPool
from edge.settings.upstream import UpstreamSettings

__all__ = ["UpstreamServer"]

#: For this long after a failure of its own, a worker prefers other servers.
AVOID_S = 1.0
#: A server that requests wait for is silent if it answered none for this long.
SILENT_S = 1.0


class UpstreamServer:
    """Times are `ProxyState.now`."""

    __slots__ = (
        "_answered",
        "_failures",
        "_heard_at",
        "_is_silent",
        "_reason",
        "_unconnected",
        "address",
        "avoided_until",
        "awaited",
        "has_answered",
        "is_suspected",
        "is_up",
        "pool",
        "salt",
        "up_since",
        "url",
    )

    def __init__(self, address: ServerAddress, settings: UpstreamSettings, salt: int) -> None:
        """salt: orders the servers for the balance 'ticket'."""
        self.address = address
        self.url = address.url
        self.salt = salt
        self.pool = UpstreamPool(address, settings)
        self.is_up = True
        self.up_since: float | None = None
        """When it came back; None if it was up from the start."""
        self.avoided_until = 0.0
        self.awaited = 0
        """Requests that wait for the head of its response."""
        self.has_answered = False
        """A response came since the last sweep."""
        self.is_suspected = False
        """Its next response is news: a request failed, or the supervisor asked."""
        self._failures = self._unconnected = 0
        self._answered = self._is_silent = False
        self._reason = ""
        self._heard_at = 0.0

    def __repr__(self) -> str:
        return f"<UpstreamServer {self.url} {'up' if self.is_up else 'down'}, {self.awaited} awaited, {self.pool!r}>"

    def failed(self, reason: str, now: float, *, unconnected: bool = False) -> None:
        """Take note of a failed request."""
        self._failures += 1
        self._unconnected += unconnected
        self._reason = reason
        self.is_suspected = True
        self.avoided_until = now + AVOID_S

    def answered(self) -> None:
        """Take note of a response while it is suspected."""
        self._answered = True
        self._failures = self._unconnected = 0
        self._is_silent = False
        self.avoided_until = 0.0

    def sweep(self, now: float) -> None:
        """Close old connections, and notice that no response comes."""
        self.pool.sweep(now)
        if self.has_answered or not self.awaited:
            self._heard_at = now
            self.has_answered = False
        elif now - self._heard_at >= SILENT_S:
            self._heard_at = now
            self._is_silent = self.is_suspected = True
            self._reason = "no response comes"

    def take_outcome(self) -> Outcome | None:
        """Return what happened since the last call, None if nothing did."""
        if not (self._failures or self._answered or self._is_silent):
            return None
        taken = Outcome(self._failures, self._unconnected, self._answered, self._is_silent, self._reason)
        if self._answered and not self._failures:
            self.is_suspected = False  # until the next failure, or until the supervisor asks again
        self._failures = self._unconnected = 0
        self._answered = self._is_silent = False
        return taken
