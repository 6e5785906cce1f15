"""The composition root of a worker: everything that serves is made here and handed down.

Configure --> Composition --> Process    once: proxy, metrics, clock, channel
                          '-> Serving    at every reload: rooms, pipeline, shield, heartbeat, redemption
                                 '-----> Node (`edge/worker/node.py`), which runs
"""

import asyncio
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Sequence
from zlib import crc32

from edge.decision.bypass import Bypass
from edge.decision.forms import Forms
from edge.decision.pipeline import Pipeline
from edge.decision.responses import Responses
from edge.messages.channel import Channel
from edge.messages.processes import Configure, ToSupervisor, ToWorker
from edge.operations.access_log import AccessLog
from edge.operations.admission_tracer import AdmissionTracer
from edge.operations.logs import configure_logging
from edge.operations.metrics import Metrics
from edge.proxy.server import ProxyServer
from edge.rooms.clock_steps import ClockSteps
from edge.rooms.dependencies import Dependencies
from edge.rooms.link_client import LinkClient
from edge.rooms.pages import languages_of
from edge.rooms.recorder import Recorder
from edge.rooms.redemption import RedemptionClient
from edge.rooms.table import RoomTable, build_rooms
from edge.settings.bypass import BypassSettings
from edge.settings.model import Settings
from edge.shield.crawlers import Crawlers
from edge.shield.shield import Shield
from edge.support.entropy import Entropy
from edge.support.errors import InternalError
from edge.support.shared_counters import SharedCounters
from edge.worker.ask_listeners import AskListeners, ask_decider
from edge.worker.heartbeat import Heartbeat
from edge.worker.node import Node, Process, Serving, note_missing, scale
from edge.worker.reporting import Reporter
from waiting_room.assets import Assets
from waiting_room.ticket import Keyring

__all__ = ["run_worker"]

log = logging.getLogger("edge.worker")

#: A visitor is gone if they have not polled for so many of the longest pauses, and so many seconds more.
GONE_AFTER_POLLS = 2.0
GONE_AFTER_S = 15.0

SupervisorChannel = Channel[ToWorker, ToSupervisor]


async def run_worker(
    index: int,
    listening: Sequence[socket.socket],
    counters: SharedCounters,
    channel: SupervisorChannel,
    plugin_listening: Sequence[socket.socket] = (),
) -> None:
    """Wait for the settings, then serve until the supervisor sends `Drain` or is gone.

    listening: where visitors connect. plugin_listening: where load balancers ask.
    """
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2):
        # systemd sends them to every process of a service; the supervisor decides what they mean.
        signal.signal(ignored, signal.SIG_IGN)
    messages = channel.messages()
    first = await anext(messages, None)
    if isinstance(first, Configure):
        composition = Composition(index, counters, channel, first)
        await composition.node(first).serve(listening, messages, plugin_listening)
        composition.close()
    elif first is not None:
        raise InternalError(f"the first message must be Configure, got {first!r}")
    channel.close()


class Composition:
    """Makes the parts of one worker. first: the message that the worker starts with."""

    def __init__(self, index: int, counters: SharedCounters, channel: SupervisorChannel, first: Configure) -> None:
        self._index = index
        self._counters = counters
        self._kept_forms = counters.forms()
        self._channel = channel
        self._metrics = Metrics()
        self._assets = Assets.load()
        self._dependencies = Dependencies()
        self._reporter = Reporter(self._metrics)
        self._clock_steps = ClockSteps(first.clock_steps)
        self._crawlers: tuple[BypassSettings, Crawlers | None] | None = None
        self._tracer = _tracer(Settings.model_validate(first.settings), f"{first.machine}/{index}")

    def close(self) -> None:
        """Send what is left to send. To be called when the node serves nobody any more."""
        if self._tracer is not None:
            self._tracer.close()

    def node(self, first: Configure) -> Node:
        """Make the node that serves by the first settings."""
        serving = self._serving(first, None)
        settings, chance = serving.settings, random.Random()
        access = AccessLog(self._metrics, settings.log)
        asked = None
        if serving.asked is not None:
            asked = AskListeners(settings, serving.asked, AccessLog(self._metrics, settings.log, "ask"), chance)
        process = Process(
            self._channel,
            self._metrics,
            access,
            ProxyServer(settings, serving.pipeline, access, time.time, chance.random, self._channel.send),
            asked,
            self._clock_steps,
            self._dependencies,
            self._reporter,
            chance,
        )
        return Node(process, serving, self._serving)

    def _serving(self, message: Configure, before: Serving | None) -> Serving:
        settings = Settings.model_validate(message.settings).with_page_files(message.page_files)
        configure_logging(settings.log, f"worker {self._index}")
        self._reporter.start_over()
        rooms = self._rooms(settings, message, None if before is None else before.rooms)
        shield = _shield(settings, None if before is None else before.shield)
        redemption = self._redemption(settings, None if before is None else before.redemption)
        links = (
            LinkClient(self._channel.send, asyncio.get_running_loop().call_later) if before is None else before.links
        )
        pipeline = Pipeline(
            rooms,
            Keyring([key.encode() for key in message.keys]),
            Responses(self._assets, languages_of(settings)),
            self._metrics,
            settings.cookies,
            Entropy(os.urandom),
            self._channel.send,
            shield,
            self._clock_steps,
            redemption,
            maker=crc32(message.machine.encode()) + self._index,
            forms=self._forms(settings),
            revoked=frozenset(message.revoked),
            link_client=links,
            bypass=self._bypass(settings),
        )
        heartbeat = self._heartbeat(settings, message.machine, None if before is None else before.heartbeat)
        asked = ask_decider(settings, pipeline, self._metrics)
        return Serving(settings, rooms, pipeline, shield, heartbeat, redemption, links, asked)

    def _rooms(self, settings: Settings, message: Configure, before: RoomTable | None) -> RoomTable:
        row_of = message.counter_rows
        rooms = build_rooms(
            settings,
            self._assets,
            lambda name: self._counters.rows(row_of[name]),
            self._index,
            time.time(),
            message.counted_since,
            before,
            message.checkpoints,
            lambda name: self._counters.claims(row_of[name]),
            self._counters.shown(),
            {
                room: {name: bytes.fromhex(seed) for name, seed in seeds.items()}
                for room, seeds in message.seeds.items()
            },
        )
        scale(rooms, message.factors)
        _record(rooms, settings)
        if self._tracer is not None:
            self._tracer.use(settings.tracing)
            for room in rooms.rooms:
                room.tracer = room.history.tracer = self._tracer
        self._dependencies.use(needs_redis=settings.cluster.redis_url is not None)
        self._dependencies.note_stock(message.stock_known)
        note_missing(rooms, self._dependencies)
        return rooms

    def _forms(self, settings: Settings) -> Forms | None:
        limits = settings.limits
        if not limits.form_bytes:
            return None
        return Forms(self._kept_forms, Entropy(os.urandom), limits.form_bytes, limits.form_seconds)

    def _bypass(self, settings: Settings) -> Bypass | None:
        """Return the senders that bypass the line, None if nobody does. Verified crawlers are kept over a reload."""
        wanted, value = settings.bypass_for, b""
        if wanted.header_value_env is not None:
            value = os.environ.get(wanted.header_value_env, "").strip().encode()
            if not value:
                log.warning("bypass_for.header has no effect: the variable %s is not set", wanted.header_value_env)
        if self._crawlers is None or wanted != self._crawlers[0]:
            self._crawlers = wanted, _crawlers(wanted) if wanted.crawlers else None
        bypass = Bypass(wanted, value, self._crawlers[1], self._metrics)
        return None if bypass.is_off else bypass

    def _redemption(self, settings: Settings, before: RedemptionClient | None) -> RedemptionClient | None:
        if settings.cluster.redis_url is None and settings.workers == 1:
            return None
        return before or RedemptionClient(self._channel.send, asyncio.get_running_loop().call_later)

    def _heartbeat(self, settings: Settings, machine: str, before: Heartbeat | None) -> Heartbeat | None:
        if not settings.is_joined:
            return None
        return before or Heartbeat(
            f"{machine}/{self._index}",
            self._channel.send,
            needs_bus=settings.cluster.redis_url is not None,
            is_connected=self._dependencies.has_redis,
        )


def _record(rooms: RoomTable, settings: Settings) -> None:
    """Give each room a recorder if the settings ask for a record. A recorder goes on over a reload."""
    now = time.time()
    for room in rooms.rooms:
        gone_after_s = GONE_AFTER_POLLS * room.settings.polling.max_seconds + GONE_AFTER_S
        kept = room.history.recorder
        if not settings.record.is_on:
            kept = None
        elif kept is None:
            kept = Recorder(gone_after_s, now)
        else:
            kept.gone_after_s = gone_after_s
        room.recorder = room.history.recorder = kept


def _shield(settings: Settings, before: Shield | None) -> Shield | None:
    """Return what is checked before the room, None if the settings ask for nothing. Counts go on over a reload."""
    shortest_s = min(room.polling.min_seconds for room in settings.rooms)
    shield = Shield(settings.abuse, before, shortest_s=shortest_s, shares=settings.is_joined)
    return None if shield.is_off else shield


def _crawlers(wanted: BypassSettings) -> Crawlers:
    # dnspython takes memory, and few edges verify crawlers.
    from edge.worker.crawler_lookup import CrawlerLookup, resolver_at, system_resolver

    resolver = system_resolver() if wanted.resolver is None else resolver_at(wanted.resolver)
    return Crawlers(wanted.crawlers, CrawlerLookup(resolver).start)


def _tracer(settings: Settings, node: str) -> AdmissionTracer | None:
    """Return what exports traces, None if the settings name no collector."""
    if settings.tracing.otlp_url is None:
        return None
    from edge.operations.tracing import OtlpTracer  # an optional dependency

    return OtlpTracer(settings.tracing, node)
