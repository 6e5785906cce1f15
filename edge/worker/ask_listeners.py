"""The listeners of load balancers in one worker: HTTP, and gRPC if the settings ask for it."""

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence

from edge.decision.pipeline import Pipeline
from edge.messages.watcher import Watcher
from edge.operations.metrics import Metrics
from edge.plugins.asking import AskDecider
from edge.plugins.report_datagrams import ReportDatagrams
from edge.plugins.server import PluginServer
from edge.settings.model import Settings
from edge.support.errors import InternalError

__all__ = ["AskListeners", "ask_decider"]


def ask_decider(settings: Settings, pipeline: Pipeline, metrics: Metrics) -> AskDecider | None:
    """Return what decides for load balancers; None if no dialect is set."""
    return AskDecider(pipeline, metrics, time.time, _call_later) if settings.plugins.is_asked else None


class AskListeners:
    """One worker's, over all reloads."""

    def __init__(self, settings: Settings, decider: AskDecider, watcher: Watcher, chance: random.Random) -> None:
        self._http = PluginServer(settings, decider, watcher, time.time, chance.random)
        self._decider = decider
        report = settings.plugins.report
        self._datagrams_at = report.listen
        self._datagrams = None if report.listen is None else ReportDatagrams(settings, self._take_report)
        self._grpc = None
        self._grpc_address = settings.plugins.grpc_listen
        if self._grpc_address is not None:
            # Not at the top, because the packages of stanchion[grpc] may be missing.
            from edge.plugins.ext_authz import ExtAuthzServer

            self._grpc = ExtAuthzServer(settings, decider, watcher, time.time, chance.random)

    def __repr__(self) -> str:
        return f"<AskListeners {self._http!r}, {'gRPC' if self._grpc else 'no gRPC'}>"

    def use(self, settings: Settings, decider: AskDecider | None) -> None:
        """Answer the next questions by these."""
        if decider is None:
            raise InternalError("a reload has removed the listeners of load balancers")
        self._decider = decider
        self._http.use(settings, decider)
        if self._datagrams is not None:
            self._datagrams.use(settings)
        if self._grpc is not None:
            self._grpc.use(settings, decider)

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Serve load balancers that connect to these bound sockets, and those that speak gRPC."""
        await self._http.listen(sockets)
        if self._datagrams is not None and self._datagrams_at is not None:
            await self._datagrams.listen(self._datagrams_at)
        if self._grpc is not None and self._grpc_address is not None:
            await self._grpc.listen(self._grpc_address.removeprefix("tcp://"))

    async def drain(self, grace_s: float, last_word_s: float) -> None:
        """Accept no more, let questions under way end within `grace_s`, and close."""
        if self._datagrams is not None:
            self._datagrams.close()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._http.drain(grace_s, last_word_s))
            if self._grpc is not None:
                group.create_task(self._grpc.drain(grace_s))

    def _take_report(self, body: bytes) -> None:
        self._decider.take_report(body, time.time())

    async def close(self) -> None:
        """End everything now."""
        await self._http.close()
        if self._grpc is not None:
            await self._grpc.drain(0.0)


def _call_later(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    return asyncio.get_running_loop().call_later(seconds, call).cancel
