"""The plugin listener of one worker: load balancers connect, ask, and keep their connections.

It is the proxy's own HTTP/1.1 server (`edge/proxy/client.py`) with another reader of heads (`asked_heads.py`) and
another decider (`asking.py`), so limits, deadlines, pipelining and draining are the same. It has no upstream: an asked
request is never forwarded. Only peers may connect: everybody else gets a 403.
"""

import asyncio
import os
import secrets
from typing import ClassVar, cast

from edge.messages.decider import Decider
from edge.messages.verdict import Answer, Forward
from edge.plugins.asked_heads import MORE_BYTES, AskedHeadCache
from edge.plugins.asking import TAKE_REPORT, AskDecider
from edge.plugins.endpoint import endpoints_of
from edge.plugins.report_request import ReportRequest
from edge.proxy.client import Client
from edge.proxy.head_cache import HeadCache
from edge.proxy.parsed_head import ParsedHead
from edge.proxy.server import ProxyServer
from edge.proxy.state import ProxyState
from edge.settings.listener import ListenerSettings
from edge.settings.model import Settings
from edge.support.client_address import TrustedProxies
from edge.support.errors import InternalError

__all__ = ["PluginServer"]


class PluginState(ProxyState):
    """What all connections of load balancers share."""

    peers: TrustedProxies

    def use(self, settings: Settings, decider: Decider) -> None:
        super().use(_for_peers(settings), decider)
        self.peers = TrustedProxies(settings.plugins.peers)

    def make_head_cache(self, settings: Settings, decider: Decider, scheme: str) -> HeadCache:  # noqa: ARG002
        trusted = TrustedProxies(settings.trusted_proxies)
        # A head from another peer may be another visitor's, although the bytes are the same.
        trusted.is_empty = False
        limits, endpoints = settings.limits, endpoints_of(settings.plugins)
        return AskedHeadCache(
            decider,
            trusted,
            endpoints,
            max_fields=limits.headers,
            max_target=limits.target_bytes,
            report=_report_token(settings),
            named=settings.named_fields,
        )


def _report_token(settings: Settings) -> bytes | None:
    """Return the token that reports must carry, b'' if they need none, and None if there are no reports."""
    report = settings.plugins.report
    if not report.enabled:
        return None
    if report.token_env is None:
        return b""
    # Without a value nobody may report. The supervisor does not start then.
    return os.environ.get(report.token_env, "").strip().encode() or secrets.token_bytes(32)


def _for_peers(settings: Settings) -> Settings:
    """Return the settings with the limits of a load balancer. Its connections serve many visitors."""
    limits = settings.limits
    head_bytes = limits.head_bytes + limits.target_bytes + MORE_BYTES
    of_peers = limits.model_copy(update={"connections_per_address": None, "head_bytes": head_bytes})
    return settings.model_copy(update={"limits": of_peers})


class PluginClient(Client):
    """A connection of a load balancer."""

    def __init__(self, state: PluginState) -> None:
        super().__init__(state)
        self._peers = state.peers
        self._asked = state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # A unix socket is as private as its folder.
        if isinstance(transport.get_extra_info("peername"), tuple) and not self._peers.trusts(self.peer):
            self.refuse(403, f"{self.peer} is not one of plugins.peers")

    def _answer(self, answer: Answer, parsed: ParsedHead, data: bytes) -> bytes:
        if answer is not TAKE_REPORT:
            return super()._answer(answer, parsed, data)
        state, framing = self._asked, parsed.framing
        self._pending = request = ReportRequest(self, parsed, self._take_report)
        self.deadline = state.now + state.limits.body_s
        if framing.length == 0:
            request.finish_soon()
        elif data:
            data = request.receive(data)
        elif framing.expects_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if data and not self._is_ending:
            self._keep(data)
        return b""

    def _forward(self, parsed: ParsedHead, forward: Forward, raw: bytes, data: bytes) -> None:  # noqa: ARG002
        raise InternalError(f"the plugin listener was told to forward {parsed.context.head.target!r}")

    def _take_report(self, body: bytes) -> Answer:
        state = self._asked
        answer = cast(AskDecider, state.decider).take_report(body, state.clock())
        state.watcher.record(None, answer.outcome, answer.status, len(answer.body), 0.0, to_upstream=False)
        return answer


class PluginServer(ProxyServer):
    """Serves load balancers."""

    state_type: ClassVar[type[ProxyState]] = PluginState

    def __repr__(self) -> str:
        step = "draining" if self.state.is_draining else "serving"
        return f"<PluginServer {step}, {self.state.connections!r}>"

    def listeners_of(self, settings: Settings) -> tuple[ListenerSettings, ...]:
        address = settings.plugins.listen
        return () if address is None else (ListenerSettings(url=address),)

    def make_client(self) -> PluginClient:
        return PluginClient(cast(PluginState, self.state))
