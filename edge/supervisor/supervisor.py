"""The supervisor: owns sockets, board and settings; starts the workers, restarts those that die, ends them in order.

    TERM        readiness fails at once; after `shutdown.delay_seconds` the workers stop accepting, finish what is under
                way within `shutdown.grace_seconds`, and end
    INT, QUIT   the same without the delay and with a second's grace; also when a TERM is under way already
    HUP         the file is read again; with a fault in it everything stays as it was, and the log says what is wrong
    USR2        the workers are replaced, one after the other: each finishes what is under way, its successor serves the
                connections that have come meanwhile, and only then the next one's turn comes

It never touches a visitor's byte. A worker that is killed loses no place in line: visitors carry theirs, its backlog
and its count of active visitors are kept here, and its gate resumes from its last report with an empty bucket, so that
a restart is never a second burst.
"""

import asyncio
import logging
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from typing import Any

from prometheus_client import CollectorRegistry, multiprocess

from edge.operations.audit import audit, changes
from edge.operations.logs import facts
from edge.rooms.clock_steps import ClockSteps
from edge.settings.model import Settings
from edge.supervisor.adaptation import Adaptation
from edge.supervisor.list_sync import ListSync
from edge.supervisor.relay import Relay
from edge.supervisor.sockets import address_of, open_sockets
from edge.supervisor.status import room_status
from edge.supervisor.stock_watch import StockWatch
from edge.supervisor.watchdog import Watchdog
from edge.supervisor.worker_handle import QUICK_GRACE_S, WorkerHandle
from edge.support.errors import ConfigurationError
from edge.support.shared_counters import MAX_ROOMS, create_counters_file

__all__ = ["NEEDS_RESTART", "Supervisor"]

log = logging.getLogger("edge.supervisor")

#: What a reload cannot change: sockets and processes are made at the start. `configs/reference.yaml` binding_digest the same.
NEEDS_RESTART = (
    "listen",
    "admin.listen",
    "admin.token_env",
    "workers",
    "cluster.name",
    "cluster.redis_url",
    "cluster.redis_password_env",
)
#: A worker that dies again and again is restarted ever more slowly, up to this.
MAX_RESTART_PAUSE_S = 5.0
#: A worker that lived this long is restarted at once when it dies.
SETTLED_S = 10.0
#: A worker that has not ended so long after its grace time hangs, and is killed.
HANGS_AFTER_S = 3.0

Source = Callable[[], tuple[Settings, tuple[bytes, ...]]]


class Supervisor:
    """Runs a settings file. source: reads settings and keys anew (called again at HUP), raising ConfigurationError."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.settings, self._keys = source()
        sockets = open_sockets(self.settings.listen, self.settings.workers)
        self._seats = [WorkerHandle(index, listening) for index, listening in enumerate(sockets)]
        self.addresses = [address_of(listening) for listening in sockets[0]]
        self._board = create_counters_file(self.settings.workers)
        self._board_since = time.time()
        self._machine = secrets.token_hex(6)
        self.registry = CollectorRegistry()
        self._counter_rows: dict[str, int] = {}
        self._relay = Relay(self._seats, self.settings, self._machine, self.registry)
        self._stock_watch = StockWatch(self._relay.hear_shop, self._relay.tell_stock, self.registry)
        self._stock_watch.use(self.settings)
        self._adaptation = Adaptation(
            lambda factors: self._relay.tell({"kind": "adapt", "factors": factors}), self.registry
        )
        self._adaptation.use(self.settings)
        self.listing = ListSync(self._configure_all, self._relay.tell_machines, self.registry)
        self._relay.on_lists = self.listing.hear
        self._clock_steps = ClockSteps()
        self._stalls = Watchdog(self.settings.worker_stall_seconds)
        self._stopping = asyncio.Event()
        self._quick = asyncio.Event()
        self._roll_asked = asyncio.Event()
        self._is_draining = False
        self._all_ready = asyncio.Event()
        self._assign_counter_rows()

    @property
    def is_ready(self) -> bool:
        """Whether visitors should be sent here: a worker listens by loaded settings, and nobody has said stop."""
        return not self._stopping.is_set() and any(seat.is_ready for seat in self._seats)

    @property
    def worker_pids(self) -> list[int]:
        return [seat.pid for seat in self._seats if seat.pid is not None]

    async def wait_ready(self) -> None:
        """Until every worker listens for the first time."""
        await self._all_ready.wait()

    def stop(self, *, quick: bool = False) -> None:
        self._stopping.set()
        if quick:
            self._quick.set()

    def _stop_on(self, name: str) -> None:
        audit(f"signal {name}", "stop", "done")
        self.stop(quick=name != "TERM")

    async def serve(self) -> None:
        """Until told to stop and every worker has ended."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop_on, "TERM")
        loop.add_signal_handler(signal.SIGINT, self._stop_on, "INT")
        loop.add_signal_handler(signal.SIGQUIT, self._stop_on, "QUIT")
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        loop.add_signal_handler(signal.SIGUSR2, self._roll_asked.set)
        with tempfile.TemporaryDirectory(prefix="stanchion-metrics-") as metrics_folder:
            self.metrics_folder = metrics_folder
            async with asyncio.TaskGroup() as group:
                filled = [group.create_task(self._keep_filled(seat)) for seat in self._seats]
                helpers = [group.create_task(self._stock_watch.run()), group.create_task(self._watch_stalls())]
                helpers += [group.create_task(self._roll()), group.create_task(self._adaptation.run())]
                helpers += [group.create_task(self._relay.run()), group.create_task(self.listing.run())]
                await self._stopping.wait()
                await self._drain()
                ending = group.create_task(self._end_workers())
                await asyncio.wait(filled)
                ending.cancel()
                for helper in helpers:
                    helper.cancel()

    def reload(self, who: str = "signal HUP") -> bool:
        """Read the settings again and hand them to the workers. False, and nothing changed, when they are faulty."""
        try:
            fresh, keys = self._source()
        except ConfigurationError as fault:
            log.error("reload refused, the settings stay as they were: %s", fault)
            audit(who, "reload", f"refused: {fault}")
            return False
        changed = [path for path in NEEDS_RESTART if attrgetter(path)(fresh) != attrgetter(path)(self.settings)]
        # A section is kept as a whole: `cluster.nodes` without the Redis that was to come with it means another share.
        keep = {name: getattr(self.settings, name) for name in {path.partition(".")[0] for path in changed}}
        if changed:
            log.warning("changed, but takes effect at the next start only: %s", ", ".join(changed))
        if len(self._counter_rows.keys() | {room.name for room in fresh.rooms}) > MAX_ROOMS:
            log.error("reload refused: more than %d rooms in the life of a process, restart it", MAX_ROOMS)
            audit(who, "reload", f"refused: more than {MAX_ROOMS} rooms")
            return False
        result = f"done, but for {', '.join(changed)}, until the next start" if changed else "done"
        fresh = fresh.model_copy(update=keep)
        audit(who, "reload", result, *changes(self.settings, fresh, self._keys, keys))
        self.settings, self._keys = fresh, keys
        self._assign_counter_rows()
        self._stock_watch.use(self.settings)
        self._adaptation.use(self.settings)
        self._configure_all()
        log.info("settings reloaded", extra=facts(rooms=[room.name for room in fresh.rooms]))
        return True

    def status(self) -> dict[str, Any]:
        """Every room over all nodes of this machine, and every node's own view; JSON-able."""
        now = time.time()
        parts = self.settings, self._seats, self._relay, self._stock_watch, self._adaptation
        return {
            "ready": self.is_ready,
            "time": now,
            "nodes": [seat.status(now) for seat in self._seats],
            "rooms": [room_status(room.name, *parts) for room in self.settings.rooms],
        }

    async def _keep_filled(self, seat: WorkerHandle) -> None:
        """Start a worker in this seat, and another whenever it dies, until workers are told to end."""
        pause_s = 0.0
        while not self._is_told_to_end():
            began = time.monotonic()
            try:
                code = await self._run_worker(seat)
                how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            except OSError as fault:  # no memory, descriptors or processes left: the other workers go on meanwhile
                how = f"could not be started: {fault}"
            if self._is_told_to_end():
                return
            if seat.is_rolled:
                seat.is_rolled = False
                continue
            seat.restarts += 1
            pause_s = 0.0 if time.monotonic() - began >= SETTLED_S else min(MAX_RESTART_PAUSE_S, pause_s * 2 + 0.1)
            log.error("worker %d %s; starting another", seat.index, how, extra=facts(pause_s=round(pause_s, 1)))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    def _is_told_to_end(self) -> bool:
        return self._is_draining

    async def _run_worker(self, seat: WorkerHandle) -> int:
        process = await seat.fill(self._board, len(self._seats), self.metrics_folder)
        self._stalls.begun(seat.index, time.monotonic())
        self._configure(seat)
        if self._is_draining:  # told to stop while this worker was starting
            seat.end(quick=self._quick.is_set())
        try:
            await self._hear(seat)
            return await process.wait()
        finally:
            self._stalls.forget(seat.index)
            seat.empty()
            multiprocess.mark_process_dead(seat.index, self.metrics_folder)  # type: ignore[no-untyped-call]

    async def _roll(self) -> None:
        """Replace the workers one after the other, whenever that is asked for."""
        while True:
            await self._roll_asked.wait()
            self._roll_asked.clear()
            before = self.worker_pids
            for seat in self._seats:
                if seat.pid is None or self._is_draining:
                    continue
                seat.is_rolled = True
                seat.end(quick=self._quick.is_set())
                await seat.has_ended.wait()
                await seat.serves.wait()
            log.info("all workers were replaced", extra=facts(pids=self.worker_pids))
            audit("signal USR2", "replace the workers", "done", before, self.worker_pids)

    async def _watch_stalls(self) -> None:
        """Kill workers that hang; what ends them in `_keep_filled` starts the next ones."""
        while True:
            self._stalls.patience_s = self.settings.worker_stall_seconds
            await asyncio.sleep(self._stalls.pause_s)
            for index in self._stalls.look(time.monotonic()):
                pid = self._seats[index].pid
                if pid is not None and not self._is_draining:
                    log.error("worker %d hangs and is killed", index, extra=facts(pid=pid))
                    os.kill(pid, signal.SIGKILL)

    def _configure_all(self) -> None:
        for seat in self._seats:
            self._configure(seat)

    def _configure(self, seat: WorkerHandle) -> None:
        self._clock_steps.look()
        seat.send(
            "configure",
            settings=self.listing.extended(self.settings).model_dump(mode="json"),
            keys=[key.decode() for key in self._keys],
            counter_rows=self._counter_rows,
            board_since=self._board_since,
            machine=self._machine,
            clock_steps=self._clock_steps.steps,
            resume=seat.checkpoints((room.name for room in self.settings.rooms), time.time()),
            factors=self._adaptation.factors,
            stock_known=self._stock_watch.known,
        )
        self._relay.greet(seat)

    async def _hear(self, seat: WorkerHandle) -> None:
        if seat.channel is None:
            raise RuntimeError("no worker sits there")
        async for message in seat.channel.messages():
            match message["kind"]:
                case "ready":
                    seat.is_ready = True
                    seat.serves.set()
                    if all(other.is_ready for other in self._seats):
                        self._all_ready.set()
                case "report":
                    seat.hear_report(message)
                    self._stalls.heard(seat.index, time.monotonic())
                    self._adaptation.hear(message["upstream"], time.monotonic())
                case "event" | "news" | "spent":
                    self._relay.hear_worker(message, seat)
                case "grant":
                    self._relay.hear_question(message, seat)
                case kind:
                    raise ValueError(f"worker {seat.index} said {kind!r}, which no supervisor knows")

    async def _drain(self) -> None:
        """Readiness has failed already; let whoever looks at it notice, then let the workers finish."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._quick.wait(), self.settings.shutdown.delay_seconds)
        self._is_draining = True
        for seat in self._seats:
            for listening in seat.sockets:
                listening.close()
            seat.end(quick=self._quick.is_set())

    async def _end_workers(self) -> None:
        """See to it that workers that were told to end do so in time: an INT makes it short, who hangs is killed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._quick.wait(), self.settings.shutdown.grace_seconds + HANGS_AFTER_S)
            for seat in self._seats:
                seat.end(quick=self._quick.is_set())
            await asyncio.sleep(QUICK_GRACE_S + HANGS_AFTER_S)
        for pid in self.worker_pids:
            log.error("a worker did not end in time and is killed", extra=facts(pid=pid))
            os.kill(pid, signal.SIGKILL)

    def _assign_counter_rows(self) -> None:
        for room in self.settings.rooms:
            self._counter_rows.setdefault(room.name, len(self._counter_rows))
