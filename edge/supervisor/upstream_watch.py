"""Watches the upstream's servers for all workers of this machine: probes them, and tells the workers which are down.

    workers --ServerOutcomes--> UpstreamWatch --ServersState--> all workers
    other machines --ServerNews-->  |   ^
                                    '---'  a probe a server: only while it is suspected or down, unless `health.path`
                                           is set

The rule between machines: a machine believes what it sees itself. News of another machine never takes a server down
here and never brings one back; they make this machine look at once. So if only the network of one machine is
broken, it takes itself out and no other machine. All machines learn of a real outage, and of its end, within one probe.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from edge.messages.upstream import ServerNews, ServerOutcomes, ServersState
from edge.operations.logs import facts
from edge.proxy.server_address import ServerAddress, tls_context
from edge.settings.model import Settings
from edge.settings.upstream import UpstreamSettings
from edge.supervisor.probe import probe
from edge.supervisor.server_health import HealthRules, Probe, ServerHealth
from edge.support.errors import ConfigurationError

__all__ = ["UpstreamWatch"]

log = logging.getLogger("edge.upstream")

#: Part by which the interval varies, so that machines do not probe together.
JITTER = 0.1


class UpstreamWatch:
    """publish(state): called with the state of all servers when it changes. tell(news): for the other machines."""

    def __init__(
        self,
        publish: Callable[[ServersState], None],
        tell: Callable[[ServerNews], None],
        registry: CollectorRegistry,
    ) -> None:
        self._publish = publish
        self._tell = tell
        self._settings: UpstreamSettings | None = None
        self._tls: ssl.SSLContext | None = None
        self._servers: dict[str, ServerHealth] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._published = ServersState({})
        self._changed = asyncio.Event()
        self._up = Gauge(
            "stanchion_upstream_up", "1 while the server of the upstream counts as up.", ["server"], registry=registry
        )
        self._probes = Counter(
            "stanchion_upstream_probes", "The edge's own requests to a server, by result.", ["server", "result"],
            registry=registry,
        )  # fmt: skip
        self._outages = Counter(
            "stanchion_upstream_outages", "Times a server of the upstream went down.", ["server"], registry=registry
        )

    def __repr__(self) -> str:
        return f"<UpstreamWatch {self._servers}>"

    @property
    def state(self) -> ServersState:
        """What workers must know."""
        return ServersState(
            {server: health.reason for server, health in self._servers.items() if not health.is_up},
            tuple(server for server, health in self._servers.items() if health.is_suspected),
        )

    def use(self, settings: Settings) -> None:
        """Follow these settings from now on. Servers that stay keep their state."""
        upstream = settings.upstream
        if upstream == self._settings and not any(server.startswith("https:") for server in upstream.addresses):
            return  # the files of `tls` may have changed
        self._settings = upstream
        rules = _rules(upstream)
        before, self._servers = self._servers, {}
        for server in upstream.addresses:
            health = before.get(server) if upstream.is_watched else None
            health = health or ServerHealth(rules)
            health.rules = rules
            self._servers[server] = health
            self._up.labels(server).set(health.is_up)
        for gone in before.keys() - self._servers.keys():
            self._up.remove(gone)
        self._changed.set()

    def status(self) -> dict[str, Any]:
        """Return the state of all servers as JSON values."""
        now = time.monotonic()
        servers = [
            {
                "server": server,
                "up": health.is_up,
                "seconds": round(now - health.since, 1) if health.since else None,
                "reason": None if health.is_up else health.reason,
            }
            for server, health in self._servers.items()
        ]
        return {"is_down": self._is_down, "servers": servers}

    def receive(self, message: ServerOutcomes) -> None:
        """Take in what the requests of a worker met."""
        for server, outcome in message.by_server.items():
            health = self._servers.get(server)
            if health is not None:
                was_up = health.is_up
                health.met(outcome, time.monotonic())
                self._note(server, health, was_up, 0.0)

    def receive_news(self, news: ServerNews) -> None:
        """Look at a server, because another machine sees that it went down or came back."""
        health = self._servers.get(news.server)
        if health is not None and health.is_up != news.is_up:
            health.look()
            self._wake(news.server)

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            settings = self._settings
            if settings is None or not settings.is_watched:
                self._send()
                continue
            if any(server.startswith("https:") for server in settings.addresses):
                self._read_tls(settings)
            tls = self._tls
            async with asyncio.TaskGroup() as group:
                watches = [
                    group.create_task(self._watch(ServerAddress(server, settings.tls, tls), settings))
                    for server in settings.addresses
                ]
                self._send()
                await self._changed.wait()
                for watch in watches:
                    watch.cancel()

    def _read_tls(self, settings: UpstreamSettings) -> None:
        """Read the files of `tls`; keep what was read before if one is gone since the settings were checked."""
        try:
            self._tls = tls_context(settings.tls)
        except ConfigurationError as fault:
            log.error("the files of upstream.tls stay as they were read before: %s", fault)
            self._tls = self._tls or ssl.create_default_context()

    async def _watch(self, address: ServerAddress, settings: UpstreamSettings) -> None:
        server, health = address.url, self._servers[address.url]
        wake = self._wakes[server] = asyncio.Event()
        loop = asyncio.get_running_loop()
        probed_at, jitter = loop.time(), 1.0
        while True:
            pause_s = health.next_probe_s()
            wake.clear()
            try:
                async with asyncio.timeout_at(None if pause_s is None else probed_at + pause_s * jitter):
                    await wake.wait()
            except TimeoutError:
                self._probed(server, health, await probe(address, settings.health, health.wait_s))
                probed_at, jitter = loop.time(), random.uniform(1 - JITTER, 1 + JITTER)

    def _probed(self, server: str, health: ServerHealth, found: Probe) -> None:
        self._probes.labels(server, found.found.value).inc()
        was_up, since, now = health.is_up, health.since, time.monotonic()
        is_last = not any(other.is_up for other in self._servers.values() if other is not health)
        health.probed(found, now, is_last=is_last)
        self._note(server, health, was_up, now - since)

    def _note(self, server: str, health: ServerHealth, was_up: bool, seconds: float) -> None:
        """Tell everybody if the server went down or came back. seconds: how long it was in its state before."""
        self._wake(server)
        if health.is_up == was_up:
            self._send()
            return
        self._up.labels(server).set(health.is_up)
        self._send()
        self._tell(ServerNews(server, health.is_up))
        left = sum(each.is_up for each in self._servers.values())
        if health.is_up:
            named = facts(server=server, down_seconds=round(seconds, 1), servers_up=left)
            log.warning("the upstream is back" if left == 1 else "a server of the upstream is back", extra=named)
            return
        self._outages.labels(server).inc()
        what = "the upstream is down, so rooms with `when_upstream_down: hold` admit nobody"
        log.warning(
            "a server of the upstream is down" if left else what,
            extra=facts(server=server, reason=health.reason, servers_up=left),
        )

    def _send(self) -> None:
        state = self.state
        if state != self._published:
            self._published = state
            self._publish(state)

    def _wake(self, server: str) -> None:
        wake = self._wakes.get(server)
        if wake is not None:
            wake.set()

    @property
    def _is_down(self) -> bool:
        return bool(self._servers) and not any(health.is_up for health in self._servers.values())


def _rules(upstream: UpstreamSettings) -> HealthRules:
    health = upstream.health
    return HealthRules(
        has_path=health.path is not None,
        interval_s=health.interval_seconds,
        timeout_s=health.timeout_seconds,
        unhealthy_after=health.unhealthy_after,
        healthy_after=health.healthy_after,
        breaker_failures=upstream.breaker_failures,
        breaker_s=upstream.breaker_seconds,
    )
