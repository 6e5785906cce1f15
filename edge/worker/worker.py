"""One worker: a node. It is told its settings by the supervisor, serves its sockets, and reports.

This is the composition root of a serving process: everything is made here and handed down.
"""

import argparse
import asyncio
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from prometheus_client import values

from edge.decision.pipeline import Pipeline
from edge.decision.responses import Responses
from edge.messages.channel import Channel, Message
from edge.operations.access_log import Access
from edge.operations.logs import configure_logging, facts
from edge.operations.metrics import Metrics
from edge.proxy.acceptor import raise_descriptor_limit
from edge.proxy.server import LAST_WORD_S, ProxyServer
from edge.rooms.clock_steps import ClockSteps
from edge.rooms.dependencies import Dependencies
from edge.rooms.redemption import RedemptionClient
from edge.rooms.stock import RoomEvent
from edge.rooms.table import RoomTable, build_rooms
from edge.settings.model import Settings
from edge.shield.shield import Shield
from edge.support.entropy import Entropy
from edge.support.event_loop import calm_collector, run_loop
from edge.support.shared_counters import SharedCounters
from edge.worker.heartbeat import Heartbeat
from edge.worker.reporting import Reporter
from edge.worker.schedule import due_at
from waiting_room.assets import Assets
from waiting_room.ticket import Keyring

__all__ = ["main"]

log = logging.getLogger("edge.worker")

#: How often the gates take a control step, and how often the supervisor is told.
TICK_S = 0.1
REPORT_S = 0.5


class Worker:
    def __init__(self, index: int, listening: Sequence[socket.socket], board: SharedCounters, channel: Channel) -> None:
        self._index = index
        self._listening = listening
        self._board = board
        self._channel = channel
        self._metrics = Metrics()
        self._assets = Assets.load()
        self._answers = Responses(self._assets)
        self._random = random.Random()
        self._rooms: RoomTable | None = None
        self._access: Access
        self._pipeline: Pipeline | None = None
        self._clock_steps: ClockSteps
        self._plane: ProxyServer | None = None
        self._heartbeat: Heartbeat | None = None
        self._grants: RedemptionClient | None = None
        self._dependencies = Dependencies()
        self._reporter = Reporter(self._metrics, channel)
        self._draining = asyncio.Event()
        self._grace_s = 30.0
        self._last_word_s = LAST_WORD_S

    async def serve(self) -> None:
        """Until the supervisor says drain, or is gone."""
        for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2):
            # systemd sends them to every process of a service; the supervisor decides what they mean.
            signal.signal(ignored, signal.SIG_IGN)
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._listen_to_supervisor()), group.create_task(self._tick())]
            await self._draining.wait()
            await self._drain()
            for helper in helpers:
                helper.cancel()
        self._report(time.time())
        self._channel.close()

    async def _listen_to_supervisor(self) -> None:
        async for message in self._channel.messages():
            match message["kind"]:
                case "configure":
                    await self._configure(message)
                    self._channel.send("ready")
                case "event" | "news" | "granted" | "moved" | "spent":
                    self._hear_node(message)
                case "adapt":
                    self._adapt(message["factors"])
                case "bus":
                    self._hear_bus(message["up"])
                case "stock":
                    self._dependencies.note_stock(message["known"])
                    self._note_missing()
                case "drain":
                    await self._hear_drain(message["grace_s"], message["last_word_s"])
                case _:
                    raise ValueError(f"the supervisor said {message['kind']!r}, which no worker knows")
        self._draining.set()

    def _hear_node(self, message: Message) -> None:
        """What comes from other nodes. Before the first settings there is nobody here to hear it."""
        match message["kind"]:
            case "event" if self._pipeline is not None:
                self._pipeline.apply(RoomEvent(**message["event"]), time.time())
            case "news" if self._heartbeat is not None:
                self._heartbeat.hear(message["room"], message["summary"])
            case "granted" if self._grants is not None:
                self._grants.receive(message)
            case "moved" if self._pipeline is not None:
                self._pipeline.supersede(message["room"], message["ticket"], message["record"])
            case "spent" if self._pipeline is not None and self._pipeline.shield is not None:
                self._pipeline.shield.charge(message["limits"], time.time())

    def _hear_bus(self, up: bool) -> None:
        self._dependencies.has_redis = up
        if self._heartbeat is not None:
            self._heartbeat.is_connected = up
        self._note_missing()

    async def _hear_drain(self, grace_s: float | None, last_word_s: float | None) -> None:
        """grace_s: None is what the settings say. Said again while draining, it shortens the time that is left."""
        if not self._draining.is_set():
            self._last_word_s = LAST_WORD_S if last_word_s is None else last_word_s
            self._grace_s = self._grace_s if grace_s is None else grace_s
            self._draining.set()
        elif grace_s is not None and self._plane is not None:
            await asyncio.sleep(grace_s)
            await self._plane.close()

    async def _configure(self, message: Message) -> None:
        settings = Settings.model_validate(message["settings"])
        configure_logging(settings.log, f"worker {self._index}")
        self._grace_s = settings.shutdown.grace_seconds
        self._reporter.start_over()
        counter_rows: dict[str, int] = message["counter_rows"]
        self._rooms = build_rooms(
            settings,
            self._assets,
            lambda name: self._board.rows(counter_rows[name]),
            self._index,
            time.time(),
            message["board_since"],
            self._rooms,
            message["resume"],
            lambda name: self._board.claims(counter_rows[name]),
        )
        self._adapt(message["factors"])
        self._dependencies.needs_redis = settings.cluster.redis_url is not None
        self._dependencies.note_stock(message["stock_known"])
        self._note_missing()
        before = self._pipeline
        if before is None:
            self._clock_steps = ClockSteps(message["clock_steps"])
        self._pipeline = pipeline = Pipeline(
            self._rooms,
            Keyring([key.encode() for key in message["keys"]]),
            self._answers,
            self._metrics,
            settings.cookies,
            Entropy(os.urandom),
            lambda event: self._channel.send("event", event=asdict(event)),
            self._shield(settings),
            self._clock_steps,
            self._grants_for(settings),
        )
        self._join(settings, message["machine"])
        if self._plane is None:
            self._access = Access(self._metrics, settings.log)
            self._plane = ProxyServer(settings, pipeline, self._access, time.time, self._random.random)
            await self._plane.listen(self._listening)
            calm_collector()
        else:
            self._access.use(settings.log)
            self._plane.use(settings, pipeline)
        if before is not None:
            before.answer_parked(time.time())

    def _shield(self, settings: Settings) -> Shield | None:
        """What is asked before the room; None when the settings ask for nothing. Counts go on over a reload."""
        before = None if self._pipeline is None else self._pipeline.shield
        shortest_s = min(room.polling.min_seconds for room in settings.rooms)
        shield = Shield(settings.abuse, before, shortest_s=shortest_s, shares=settings.is_joined)
        return None if shield.is_off else shield

    def _grants_for(self, settings: Settings) -> RedemptionClient | None:
        """Ask before a ticket is let in, when other nodes may have let it in too. Questions go on over a reload."""
        if settings.cluster.redis_url is None and settings.workers == 1:
            self._grants = None
        elif self._grants is None:
            self._grants = RedemptionClient(
                lambda question: self._channel.send("grant", **question),
                asyncio.get_running_loop().call_later,
            )
        return self._grants

    def _join(self, settings: Settings, machine: str) -> None:
        """Tell and hear the other nodes when there are any."""
        if settings.is_joined and self._heartbeat is None:
            self._heartbeat = Heartbeat(
                f"{machine}/{self._index}",
                lambda room, summary: self._channel.send("news", room=room, summary=summary),
            )
        elif not settings.is_joined:
            self._heartbeat = None
        if self._heartbeat is not None:
            self._heartbeat.needs_bus = settings.cluster.redis_url is not None

    async def _tick(self) -> None:
        """The control steps, and the reports. A stalled loop makes a step late, never twice."""
        next_report = time.monotonic()
        step = 0
        while True:
            # Nodes of a machine must not step together, or they would all read the same moment's noise.
            await asyncio.sleep(TICK_S * self._random.uniform(0.9, 1.1))
            if self._rooms is None:
                continue
            self._note_clock_step()
            now = time.time()
            step += 1
            for room in due_at(self._rooms.rooms, step):
                room.door.tick(now)
            if self._heartbeat is not None:
                self._heartbeat.beat(self._rooms, now)
            if time.monotonic() >= next_report:
                next_report = time.monotonic() + REPORT_S
                self._report(now)
                self._tell_spent()

    def _tell_spent(self) -> None:
        """Limits hold over all nodes: the others charge what was let through here."""
        shield = None if self._pipeline is None else self._pipeline.shield
        if shield is not None and (spent := shield.spent()):
            self._channel.send("spent", limits=spent)

    def _note_clock_step(self) -> None:
        by_s = self._clock_steps.look()
        if by_s is not None:
            log.warning("the clock was set: places and passes are carried over", extra=facts(by_s=round(by_s, 1)))

    def _report(self, now: float) -> None:
        if self._plane is not None:
            self._metrics.connections.set(self._plane.connection_count)
            self._metrics.accept_pauses.follow(self._plane.accept_pauses)
        self._metrics.flush()
        is_down = self._pipeline is not None and self._pipeline.upstream_is_down
        self._reporter.report(self._rooms.rooms if self._rooms else (), now, upstream_is_down=is_down)

    def _note_missing(self) -> None:
        for room in self._rooms.rooms if self._rooms else ():
            room.set_missing(self._dependencies.missing(room.settings))

    def _adapt(self, factors: Mapping[str, float]) -> None:
        """Let rooms use these parts of their capacities."""
        for name, factor in factors.items():
            room = self._rooms.by_name.get(name) if self._rooms else None
            if room is not None:
                room.scale(factor, time.time())

    async def _drain(self) -> None:
        """Stop accepting, answer what is under way, end. Streams have the grace time to finish."""
        log.info("draining", extra=facts(grace_s=self._grace_s))
        if self._plane is not None:
            await self._plane.drain(self._grace_s, self._last_word_s)


def main() -> None:
    """`python -m edge.worker.worker`, started by the supervisor only: its descriptors are what it serves."""
    parser = argparse.ArgumentParser(prog="stanchion worker")
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--board", type=int, required=True)
    parser.add_argument("--listen", type=int, nargs="+", required=True)
    options = parser.parse_args()
    # Metrics are kept by seat, not by process: a worker goes on counting where the one before it was killed, and a
    # crash loop leaves no trail of files.
    values.ValueClass = values.MultiProcessValue(lambda: options.index)  # type: ignore[no-untyped-call]

    async def serve() -> None:
        channel = await Channel.over(socket.socket(fileno=options.control))
        listening = [socket.socket(fileno=descriptor) for descriptor in options.listen]
        await Worker(options.index, listening, SharedCounters(options.board, options.workers), channel).serve()

    raise_descriptor_limit()
    run_loop(serve())


if __name__ == "__main__":
    main()
