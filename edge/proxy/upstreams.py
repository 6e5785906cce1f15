"""The upstream's servers of one worker: which one a request goes to, and which are down.

    least_connections   the server with the fewest requests; of equal ones, the next in turn
    round_robin         the next in turn
    ticket              a visitor stays with a server (rendezvous hashing: Thaler and Ravishankar, 1996). If it goes
                        down, its visitors spread over the others, and nobody else moves

A server is passed over while it is down, and by a request that it failed. As long as another one is left, it is also
passed over for a second after a failure, and by a part of the requests during its slow start.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Final
from zlib import crc32

from edge.messages.upstream import Outcome, ServerOutcomes, ServersState
from edge.messages.verdict import Forward
from edge.proxy.parsed_head import ParsedHead
from edge.proxy.server_address import ServerAddress, tls_context
from edge.proxy.upstream_server import UpstreamServer
from edge.settings.upstream import UpstreamSettings
from edge.support.errors import ConfigurationError

__all__ = ["Upstreams"]

log = logging.getLogger("edge.upstream")

#: Between two messages about failures.
REPORT_S: Final = 0.03
#: The least part of its requests that a server gets in its slow start.
LEAST_PART: Final = 0.1
#: While the upstream is down, visitors are asked to come back after this part of the outage so far, within bounds.
RETRY_PART, LEAST_RETRY_S, MOST_RETRY_S = 0.25, 1.0, 30.0


class Upstreams:
    """report(message): what requests met, for the supervisor. uniform(): a random number in [0, 1)."""

    __slots__ = (
        "_balance",
        "_is_reporting",
        "_leaving",
        "_now",
        "_report",
        "_settings",
        "_slow_start_s",
        "_turn",
        "_uniform",
        "down_since",
        "only",
        "servers",
    )

    def __init__(
        self, settings: UpstreamSettings, report: Callable[[ServerOutcomes], None], uniform: Callable[[], float]
    ) -> None:
        self._report = report
        self._uniform = uniform
        self._settings = settings
        self._is_reporting = False
        self._turn = 0
        self._now = 0.0
        self._leaving: list[UpstreamServer] = []
        """Servers of earlier settings that exchanges still use."""
        self.servers: list[UpstreamServer] = []
        self.only: UpstreamServer | None = None
        """The server, if there is one only."""
        self.down_since: float | None = None
        """Since when no server is up."""
        self._follow(settings)

    def __repr__(self) -> str:
        return f"<Upstreams {self._balance} {self.servers}>"

    def use(self, settings: UpstreamSettings) -> None:
        """Follow these settings. A server that is named no more finishes its requests and gets no others."""
        if settings == self._settings:
            self._read_tls_again()
        else:
            keeps = _connects_alike(settings, self._settings)
            before = {server.url: server for server in self.servers}
            self._settings = settings
            self._follow(settings, before if keeps else {})
            for server in before.values():
                if server not in self.servers:
                    server.pool.close()
                    self._leaving.append(server)
            self._leaving = [server for server in self._leaving if not server.pool.is_unused]

    def _read_tls_again(self) -> None:
        """Open the next connections by what the files of `tls` hold now."""
        if any(server.url.startswith("https:") for server in self.servers):
            try:
                tls = tls_context(self._settings.tls)
            except ConfigurationError as fault:  # a file is gone since the supervisor checked the settings
                log.error("the files of upstream.tls stay as they were read before: %s", fault)
                return
            for server in self.servers:
                server.address.use_tls(tls)

    def _follow(self, settings: UpstreamSettings, before: dict[str, UpstreamServer] | None = None) -> None:
        self._balance = settings.balance
        self._slow_start_s = settings.slow_start_seconds
        tls: ssl.SSLContext | None = None
        if any(url.startswith("https:") for url in settings.addresses):
            tls = tls_context(settings.tls)
        self.servers = []
        for url in settings.addresses:
            server = (before or {}).get(url)
            if server is None:
                server = UpstreamServer(ServerAddress(url, settings.tls, tls), settings, crc32(url.encode()))
            self.servers.append(server)
        self.only = self.servers[0] if len(self.servers) == 1 else None
        self._turn = int(self._uniform() * len(self.servers))

    def use_state(self, state: ServersState) -> None:
        """Take in which servers are down. Requests that can be sent again leave a server that went down."""
        gone: list[UpstreamServer] = []
        for server in self.servers:
            is_up = server.url not in state.down
            if is_up and not server.is_up:
                server.up_since = self._now
            if server.is_up and not is_up:
                gone.append(server)
            server.is_up = is_up
            server.is_suspected = server.url in state.suspected
        if any(server.is_up for server in self.servers):
            self.down_since = None
        elif self.down_since is None:
            self.down_since = self._now
        for server in gone:
            server.pool.empty()

    def choose(self, parsed: ParsedHead, forward: Forward, tried: tuple[UpstreamServer, ...]) -> UpstreamServer | None:
        """Return the server for a request, None if none is left that is up and was not tried."""
        only = self.only
        if only is not None:
            return only if only.is_up and not tried else None
        if self._balance == "ticket":
            visitor_pass = forward.visitor_pass
            key = parsed.context.head.client_ip if visitor_pass is None else visitor_pass.id
            return self._by_key(key, tried)
        return self._in_turn(tried, shy=False) or self._in_turn(tried, shy=True)

    def _in_turn(self, tried: tuple[UpstreamServer, ...], *, shy: bool) -> UpstreamServer | None:
        """shy: take servers that are better passed over, too."""
        servers, count, is_least = self.servers, len(self.servers), self._balance == "least_connections"
        best: UpstreamServer | None = None
        best_at = least = 0
        for step in range(count):
            at = (self._turn + step) % count
            server = servers[at]
            if not server.is_up or server in tried or not (shy or self._is_good(server)):
                continue
            load = server.pool.load
            if best is None or load < least:
                best, best_at, least = server, at, load
            if not is_least:
                break
        if best is not None:
            self._turn = (best_at + 1) % count
        return best

    def _by_key(self, key: str, tried: tuple[UpstreamServer, ...]) -> UpstreamServer | None:
        hashed = crc32(key.encode("utf-8", "surrogateescape"))
        left = [server for server in self.servers if server.is_up and server not in tried]
        good = [server for server in left if self._is_good(server)] or left
        return max(good, key=lambda server: _mixed(hashed ^ server.salt)) if good else None

    def _is_good(self, server: UpstreamServer) -> bool:
        if server.avoided_until > self._now:
            return False
        if server.up_since is None or not self._slow_start_s:
            return True
        part = (self._now - server.up_since) / self._slow_start_s
        if part >= 1.0:
            server.up_since = None
            return True
        return self._uniform() < max(part, LEAST_PART)

    def retry_after_s(self) -> int:
        """Return the whole seconds after which a visitor may try again."""
        age_s = 0.0 if self.down_since is None else self._now - self.down_since
        return round(min(max(RETRY_PART * age_s, LEAST_RETRY_S), MOST_RETRY_S))

    def news(self) -> None:
        """Tell the supervisor soon what happened: many failures come together."""
        if not self._is_reporting:
            self._is_reporting = True
            asyncio.get_running_loop().call_later(REPORT_S, self._send)

    def _send(self) -> None:
        self._is_reporting = False
        outcomes: dict[str, Outcome] = {}
        for server in self.servers:
            outcome = server.take_outcome()
            if outcome is not None:
                outcomes[server.url] = outcome
        if outcomes:
            self._report(ServerOutcomes(outcomes))

    def sweep(self, now: float) -> None:
        """Move the time, and end what is over its time."""
        self._now = now
        for server in self._leaving:
            server.pool.sweep(now)
        for server in self.servers:
            server.sweep(now)
            if server.is_suspected:
                self.news()

    async def close(self) -> None:
        """Close all connections now."""
        for server in (*self._leaving, *self.servers):
            server.pool.close()
            await server.pool.wait_closed()


def _connects_alike(settings: UpstreamSettings, before: UpstreamSettings) -> bool:
    """Return whether connections of earlier settings serve these, too."""
    kept = before.model_dump(include={"url", "servers", "balance", "health", "slow_start_seconds"})
    kept |= before.model_dump(include={"breaker_failures", "breaker_seconds"})
    return settings.model_dump() | kept == before.model_dump()


def _mixed(number: int) -> int:
    """Return a number of 32 bits. Each bit depends on all bits of `number` (Murmur3's last step)."""
    number ^= number >> 16
    number = number * 0x85EBCA6B & 0xFFFFFFFF
    number ^= number >> 13
    number = number * 0xC2B2AE35 & 0xFFFFFFFF
    return number ^ number >> 16
