"""What a configured worker does: it acts on the supervisor's messages, takes the control steps, reports, and drains.

channel --> _receive_all --> pipeline, heartbeat, redemption, dependencies    (one `match`, by type)
_tick, every 0.1 s:          control steps, parked polls, heartbeat; a report every 0.5 s
"""

import asyncio
import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from edge.decision.pipeline import Pipeline
from edge.messages.channel import Channel
from edge.messages.cluster import LimitsSpent, NodeSummary, RoomEvent, TicketRedeemedAgain
from edge.messages.processes import (
    Adapt,
    BusState,
    Configure,
    Drain,
    LinkAnswer,
    Ready,
    RedemptionAnswer,
    StockKnown,
    ToSupervisor,
    ToWorker,
)
from edge.messages.upstream import ServersState
from edge.operations.access_log import AccessLog
from edge.operations.logs import facts
from edge.operations.metrics import Metrics
from edge.plugins.asking import AskDecider
from edge.proxy.server import LAST_WORD_S, ProxyServer
from edge.rooms.clock_steps import ClockSteps
from edge.rooms.dependencies import Dependencies
from edge.rooms.link_client import LinkClient
from edge.rooms.redemption import RedemptionClient
from edge.rooms.table import RoomTable
from edge.settings.model import Settings
from edge.shield.shield import Shield
from edge.support.build import FORM
from edge.support.event_loop import calm_collector
from edge.worker.ask_listeners import AskListeners
from edge.worker.heartbeat import Heartbeat
from edge.worker.load_watch import LoadWatch
from edge.worker.reporting import Reporter
from edge.worker.schedule import due_at

__all__ = ["Node", "Process", "Serving", "note_missing", "scale"]

log = logging.getLogger("edge.worker")

#: Seconds between two control steps, and between two reports.
TICK_S = 0.1
REPORT_S = 0.5


@dataclass(frozen=True, slots=True)
class Serving:
    """Everything that follows from one `Configure`. A reload replaces it as a whole and carries the state over."""

    settings: Settings
    rooms: RoomTable
    pipeline: Pipeline
    shield: Shield | None
    """None if the settings neither keep anybody out nor limit anything."""
    heartbeat: Heartbeat | None
    """None if this node is the only one."""
    redemption: RedemptionClient | None
    """None if no other node could have redeemed a ticket."""
    links: LinkClient
    """Asks whether a browser may open a link."""
    asked: AskDecider | None
    """Decides for load balancers. None if none asks."""

    def receive_summary(self, message: NodeSummary) -> None:
        """Take in the heartbeat of another node."""
        if self.heartbeat is not None:
            self.heartbeat.receive(message)

    def receive_answer(self, message: RedemptionAnswer) -> None:
        """Take in the answer to a redemption check."""
        if self.redemption is not None:
            self.redemption.receive(message)

    def charge(self, message: LimitsSpent, now: float) -> None:
        """Charge shared limits with what another node let through."""
        if self.shield is not None:
            self.shield.charge(message.limits, now)


@dataclass(frozen=True, slots=True)
class Process:
    """What a worker process has once, over all reloads."""

    channel: Channel[ToWorker, ToSupervisor]
    metrics: Metrics
    access: AccessLog
    proxy: ProxyServer
    asked: AskListeners | None
    """The listeners of load balancers. None if none asks."""
    clock_steps: ClockSteps
    dependencies: Dependencies
    reporter: Reporter
    random: random.Random


class Node:
    """build(message, before): make what follows from other settings, with the state of what served before."""

    def __init__(self, process: Process, serving: Serving, build: Callable[[Configure, Serving], Serving]) -> None:
        self._process = process
        self._serving = serving
        self._build = build
        self._draining = asyncio.Event()
        self._grace_s = serving.settings.shutdown.grace_seconds
        self._last_word_s = LAST_WORD_S

    def __repr__(self) -> str:
        state = "draining" if self._draining.is_set() else "serving"
        return f"<Node {state}, {len(self._serving.rooms.rooms)} rooms, {self._process.proxy!r}>"

    async def serve(
        self,
        listening: Sequence[socket.socket],
        messages: AsyncIterator[ToWorker],
        plugin_listening: Sequence[socket.socket] = (),
    ) -> None:
        """Serve these sockets until the supervisor sends `Drain` or is gone. plugin_listening: of load balancers."""
        await self._process.proxy.listen(listening)
        if self._process.asked is not None:
            await self._process.asked.listen(plugin_listening)
        calm_collector()
        self._process.channel.send(Ready())
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._receive_all(messages)), group.create_task(self._tick())]
            await self._draining.wait()
            log.info("draining", extra=facts(grace_s=self._grace_s))
            async with asyncio.TaskGroup() as draining:
                for server in self._servers:
                    draining.create_task(server.drain(self._grace_s, self._last_word_s))
            for helper in helpers:
                helper.cancel()
        now = time.time()
        if self._serving.heartbeat is not None:
            self._serving.heartbeat.end(self._serving.rooms, now)
        self._report(now, is_last=True)

    @property
    def _servers(self) -> list[ProxyServer | AskListeners]:
        asked = self._process.asked
        return [self._process.proxy] if asked is None else [self._process.proxy, asked]

    async def _receive_all(self, messages: AsyncIterator[ToWorker]) -> None:
        """Act on every message; drain when the supervisor is gone."""
        async for message in messages:
            serving = self._serving
            match message:
                case Configure():
                    self._reconfigure(message)
                    self._process.channel.send(Ready())
                case RoomEvent():
                    serving.pipeline.apply(message, time.time())
                case NodeSummary():
                    serving.receive_summary(message)
                case RedemptionAnswer():
                    serving.receive_answer(message)
                case LinkAnswer():
                    serving.links.receive(message)
                case TicketRedeemedAgain():
                    serving.pipeline.supersede(message.room, message.ticket, message.record)
                case LimitsSpent():
                    serving.charge(message, time.time())
                case Adapt():
                    scale(serving.rooms, message.factors)
                case BusState() | StockKnown() | ServersState():
                    self._receive_dependency(message)
                case Drain():
                    await self._receive_drain(message)
                case _:
                    assert_never(message)
        self._draining.set()

    def _reconfigure(self, message: Configure) -> None:
        """Serve by other settings from now on; rooms, counts and questions under way are carried over."""
        before, self._serving = self._serving, self._build(message, self._serving)
        settings = self._serving.settings
        self._grace_s = settings.shutdown.grace_seconds
        self._process.access.use(settings.log)
        self._process.proxy.use(settings, self._serving.pipeline)
        if self._process.asked is not None:
            self._process.asked.use(settings, self._serving.asked)
        before.pipeline.answer_parked(time.time())

    def _receive_dependency(self, message: BusState | StockKnown | ServersState) -> None:
        """Take in whether something that rooms depend on is there."""
        process, serving = self._process, self._serving
        match message:
            case ServersState():
                process.proxy.use_servers_state(message)
            case StockKnown():
                process.dependencies.note_stock(message.by_room)
            case BusState():
                process.dependencies.note_redis(is_up=message.is_up)
                if serving.heartbeat is not None:
                    serving.heartbeat.set_connected(message.is_up)
            case _:
                assert_never(message)
        note_missing(serving.rooms, process.dependencies)

    async def _receive_drain(self, message: Drain) -> None:
        if not self._draining.is_set():
            self._last_word_s = LAST_WORD_S if message.last_word_s is None else message.last_word_s
            self._grace_s = self._grace_s if message.grace_s is None else message.grace_s
            self._draining.set()
        elif message.grace_s is not None:
            await asyncio.sleep(message.grace_s)
            for server in self._servers:
                await server.close()

    async def _tick(self) -> None:
        """Take the control steps and report. A stalled loop makes a step late, never twice."""
        next_report = time.monotonic()
        load = LoadWatch(is_pure=FORM == "pure", now_s=next_report, cpu_s=time.process_time())
        step = 0
        while True:
            # Nodes of a machine must not step together, or they would all read the same moment's noise.
            pause_s = TICK_S * self._process.random.uniform(0.9, 1.1)
            # A sale opens when it is time, and not at the next step.
            await asyncio.sleep(max(0.0, min(pause_s, self._serving.rooms.next_turn_at() - time.time())))
            self._note_clock_step()
            serving, now = self._serving, time.time()
            step += 1
            for room in due_at(serving.rooms.rooms, step, now):
                room.tick(now)
            if serving.heartbeat is not None:
                serving.heartbeat.beat(serving.rooms, now)
            if time.monotonic() >= next_report:
                next_report = time.monotonic() + REPORT_S
                self._report(now)
                _warn_of_load(load)
                # Shared limits hold over all nodes: the others charge what was let through here.
                if serving.shield is not None and (spent := serving.shield.spent()):
                    self._process.channel.send(LimitsSpent(spent))

    def _note_clock_step(self) -> None:
        by_s = self._process.clock_steps.look()
        if by_s is not None:
            log.warning("the clock was set; tickets and passes are carried over", extra=facts(by_s=round(by_s, 1)))

    def _report(self, now: float, *, is_last: bool = False) -> None:
        self._process.metrics.connections.set(self._process.proxy.connection_count)
        self._process.metrics.accept_pauses.follow(self._process.proxy.accept_pauses)
        self._process.metrics.greeting_faults.follow(self._process.proxy.greeting_faults)
        for url, ends_at in self._process.proxy.certificate_ends.items():
            self._process.metrics.certificate_ends.labels(url).set(ends_at)
        self._process.metrics.flush()
        serving = self._serving
        self._process.channel.send(
            self._process.reporter.report(serving.rooms.rooms, now, upstream_is_down=serving.pipeline.upstream_is_down)
        )
        recorded = self._process.reporter.recorded(serving.rooms.rooms, now, is_last=is_last)
        if recorded is not None:
            self._process.channel.send(recorded)


def _warn_of_load(load: LoadWatch) -> None:
    share = load.look(time.monotonic(), time.process_time())
    if share is not None:
        log.warning(
            "this worker is under load in the pure form; install the compiled form, which serves about twice as many"
            " requests a core (docs/deploying.md)",
            extra=facts(cpu_share=round(share, 2)),
        )


def note_missing(rooms: RoomTable, dependencies: Dependencies) -> None:
    """Let every room know without which dependencies it admits nobody now."""
    for room in rooms.rooms:
        room.set_missing(dependencies.missing(room.settings), time.time())


def scale(rooms: RoomTable, factors: Mapping[str, float]) -> None:
    """Let rooms use these parts of their capacities."""
    for name, factor in factors.items():
        room = rooms.by_name.get(name)
        if room is not None:
            room.scale(factor, time.time())
