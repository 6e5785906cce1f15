"""The state that all connections of a proxy share: what they are served by, the time, the limits.

One object a worker. `ProxyServer` makes it and moves its time; connections and exchanges read it.

    now    seconds in which the event loop turned, up to the last sweep: deadlines are on this clock
    date   the `Date` line of the edge's own responses, as new as `now`

While the loop stalls or a crowd keeps it busy, received bytes lie unread, and no visitor may be cut off because the
edge is slow. So `now` moves by at most LONGEST_STEP_S a sweep.
"""

from collections.abc import Callable
from email.utils import formatdate

from edge.messages.decider import Decider
from edge.messages.upstream import ServerOutcomes, ServersState
from edge.messages.watcher import Watcher
from edge.proxy.connection_table import ConnectionTable
from edge.proxy.head_cache import HeadCache
from edge.proxy.limits import ProxyLimits
from edge.proxy.response_writer import ResponseWriter
from edge.proxy.upstreams import Upstreams
from edge.settings.model import Settings
from edge.support.client_address import TrustedProxies

__all__ = ["LAST_WORD_S", "SWEEP_S", "ProxyState"]

#: Between two sweeps. A connection outlives its deadline by this at most.
SWEEP_S = 0.25
LONGEST_STEP_S = 2 * SWEEP_S
#: How long an idle connection is still answered while draining: a poll may be on its way.
LAST_WORD_S = 1.0


class ProxyState:
    """`clock` returns wall-clock seconds, `uniform` a random number in [0, 1).

    report(message): called with what requests to the servers met, for the supervisor.
    """

    __slots__ = (
        "_swept_at",
        "clock",
        "connections",
        "date",
        "decider",
        "head_cache",
        "is_draining",
        "last_word_s",
        "limits",
        "now",
        "secure_head_cache",
        "uniform",
        "upstreams",
        "watcher",
        "writer",
    )

    decider: Decider
    limits: ProxyLimits
    head_cache: HeadCache
    secure_head_cache: HeadCache
    """The same for encrypted connections, because a head says different things on them."""

    def __init__(
        self,
        settings: Settings,
        decider: Decider,
        watcher: Watcher,
        clock: Callable[[], float],
        uniform: Callable[[], float],
        connections: ConnectionTable,
        report: Callable[[ServerOutcomes], None],
    ) -> None:
        self.watcher = watcher
        self.clock = clock
        self.uniform = uniform
        self.connections = connections
        self.writer = ResponseWriter()
        self.is_draining = False
        self.last_word_s = LAST_WORD_S
        self.now = 0.0
        self.date = b""
        self._swept_at = 0.0
        self.upstreams = Upstreams(settings.upstream, report, uniform)
        self.use(settings, decider)

    def use(self, settings: Settings, decider: Decider) -> None:
        """Serve the next requests by these. Requests under way end as they began."""
        self.decider = decider
        self.limits = ProxyLimits(settings)
        self.connections.use(settings)
        # What is cached depends on the settings, so a reload begins with an empty cache.
        self.head_cache = self.make_head_cache(settings, decider, "http")
        self.secure_head_cache = self.make_head_cache(settings, decider, "https")
        self.upstreams.use(settings.upstream)
        if self.upstreams.down_since is not None:
            decider.set_upstream_down(True, self.clock())

    def use_servers_state(self, state: ServersState) -> None:
        """Take in which servers of the upstream are down; let the decider know if none is left."""
        self.upstreams.use_state(state)
        self.decider.set_upstream_down(self.upstreams.down_since is not None, self.clock())

    def start(self, loop_time: float) -> None:
        """Begin to count the time of the event loop."""
        self._swept_at = loop_time

    def advance(self, loop_time: float) -> float:
        """Move the time up to this moment; return `now`."""
        self.now += min(loop_time - self._swept_at, LONGEST_STEP_S)
        self._swept_at = loop_time
        self.date = f"Date: {formatdate(self.clock(), usegmt=True)}\r\n".encode()
        return self.now

    def make_head_cache(self, settings: Settings, decider: Decider, scheme: str) -> HeadCache:
        """Return an empty cache for these settings. Another listener may read heads in another way."""
        limits, upstream = settings.limits, settings.upstream
        return HeadCache(
            decider,
            TrustedProxies(settings.trusted_proxies),
            max_fields=limits.headers,
            max_target=limits.target_bytes,
            upstream_host=upstream.addresses[0].partition("://")[2].encode()
            if upstream.host_header == "upstream"
            else None,
            via=None if upstream.via is None else upstream.via.encode(),
            passed=frozenset(name.lower().encode() for name in upstream.pass_client_fields),
            scheme=scheme,
            named=settings.named_fields,
            removed=settings.secret_fields,
        )
