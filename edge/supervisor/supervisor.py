"""The supervisor: owns sockets, shared counters and settings; starts, restarts, replaces and ends the workers.

    TERM        readiness fails at once; after `shutdown.delay_seconds` the workers stop accepting, finish what is under
                way within `shutdown.grace_seconds`, and end
    INT, QUIT   the same without the delay and with a grace of one second; also while a TERM is under way
    HUP         the settings file is read again; if it has a fault everything stays as it was, and the log names it
    USR2        the workers are replaced one after the other: each finishes what is under way, its successor serves the
                connections that came meanwhile, and only then the next one is replaced

The supervisor never touches a visitor's byte. A killed worker loses no place in line: visitors carry theirs, its
backlog and its count of active visitors are kept here, and its gate resumes from its last report with an empty bucket,
so that a restart is never a second burst.

This is the composition root of the process; `edge/supervisor/workers.py` runs the worker processes.
"""

import asyncio
import logging
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, assert_never

from prometheus_client import CollectorRegistry

from edge.messages.cluster import LimitsSpent, NodeSummary, RoomEvent
from edge.messages.processes import Configure, LinkQuestion, Ready, Recorded, RedemptionQuestion, Report, ToSupervisor
from edge.messages.upstream import ServerOutcomes
from edge.operations.audit import audit, changes
from edge.operations.logs import facts
from edge.rooms.clock_steps import ClockSteps
from edge.settings.model import Settings
from edge.supervisor.adaptation import Adaptation
from edge.supervisor.cluster_parts import cluster_parts
from edge.supervisor.happenings import Happenings
from edge.supervisor.history import History
from edge.supervisor.line_state import LineState
from edge.supervisor.list_sync import ListSync
from edge.supervisor.operators import Operators
from edge.supervisor.other_nodes import OtherNodes
from edge.supervisor.plugin_listeners import PluginListeners
from edge.supervisor.recording import Recording
from edge.supervisor.relay import Relay
from edge.supervisor.reloading import LastReload, keep_until_restart
from edge.supervisor.room_control import room_named
from edge.supervisor.sockets import address_of, open_sockets, remove_socket_files, systemd_sockets
from edge.supervisor.state_folder import StateFolder
from edge.supervisor.status import StatusSources
from edge.supervisor.stock_watch import StockWatch
from edge.supervisor.upstream_watch import UpstreamWatch
from edge.supervisor.watchdog import Watchdog
from edge.supervisor.worker_handle import WorkerHandle
from edge.supervisor.workers import StopRequest, Workers
from edge.support.errors import ConfigurationError, SettingFault
from edge.support.shared_counters import MAX_ROOMS, create_counters_file

__all__ = ["Supervisor"]

log = logging.getLogger("edge.supervisor")

Source = Callable[[], tuple[Settings, tuple[bytes, ...]]]


class Supervisor:
    """Runs a settings file.

    source(): read settings and keys; called again at HUP. Raises ConfigurationError. state: what is kept over restarts.
    record: the folder of the record; None keeps none.
    """

    def __init__(self, source: Source, state: StateFolder | None = None, record: Path | None = None) -> None:
        self._source = source
        self.settings, self._keys = source()
        listeners, self.passed_sockets = self.settings.listen, systemd_sockets(os.environ)
        sockets = open_sockets(listeners, self.settings.workers, passed=self.passed_sockets)
        self.plugins = PluginListeners(self.settings)
        self._socket_files, self._handles = self.plugins.files(listeners), self.plugins.handles(sockets)
        self.addresses = [
            address_of(listening, is_secure=listener.is_secure)
            for listening, listener in zip(sockets[0], listeners, strict=True)
        ]
        self.registry = CollectorRegistry()
        self._last_reload = LastReload(self.registry)
        self.metrics_folder = ""
        """Where the workers keep their metrics; '' until `serve`."""
        self._counted_since = time.time()
        self._counter_rows: dict[str, int] = {}
        self._assign_counter_rows()
        self.machine = secrets.token_hex(6)
        self._clock_steps = ClockSteps()
        self._stop = StopRequest()
        self._all_ready = asyncio.Event()

        folder = state or StateFolder()
        bus, redemption, links = cluster_parts(self.settings.cluster, self.machine, folder, self.registry)
        self.lists = ListSync(self._configure_all, bus.send, self.registry)
        self.operators = Operators(self._follow_operators, bus.send, folder, lambda: (self.settings, self._keys))
        self._line_state = LineState(folder, self._handles, lambda: self.settings.line_keys)
        self._line_state.resume(time.time())
        self.upstream_watch = UpstreamWatch(lambda state: self._relay.publish(state), bus.send, self.registry)
        receivers = (self.lists.receive, self.operators.receive, self.upstream_watch.receive_news)
        self._relay = Relay(self._handles, bus, redemption, links, *receivers)
        self._stock_watch = StockWatch(self._relay.receive_shop, self._relay.publish_stock_known, self.registry)
        self._adaptation = Adaptation(self._relay.publish, self.registry)
        self._status = StatusSources(self._handles, self._relay, self._stock_watch, self._adaptation)
        self.history = History(self.rooms_status)
        self.happenings = Happenings()
        self.recording = Recording(
            record, self.machine, self.rooms_status, self.workers_status, lambda: self.metrics_folder, self.registry
        )
        self._watchdog = Watchdog(self.settings.worker_stall_seconds)
        counters = create_counters_file(self.settings.workers)
        self._workers = Workers(
            self._handles, counters, self._stop, self._watchdog, self._configure, self._receive, self.registry
        )
        self._use_settings()

    def __repr__(self) -> str:
        return f"<Supervisor {self._workers!r}, {self._stop!r}>"

    @property
    def is_ready(self) -> bool:
        """Whether visitors should be sent here: a worker serves, and no stop was asked for."""
        return not self._stop.asked.is_set() and any(handle.is_ready for handle in self._handles)

    @property
    def is_stopping(self) -> bool:
        return self._stop.asked.is_set()

    @property
    def worker_pids(self) -> list[int]:
        return self._workers.pids

    async def wait_ready(self) -> None:
        """Wait until every worker serves for the first time."""
        await self._all_ready.wait()

    async def wait_stop_asked(self) -> None:
        """Wait until a stop is asked for."""
        await self._stop.asked.wait()

    def stop(self, *, quick: bool = False) -> None:
        """End the edge: in order, or within a second if quick."""
        self._stop.ask(quick=quick)

    def _stop_on(self, name: str) -> None:
        audit(f"signal {name}", "stop", "done")
        self.stop(quick=name != "TERM")

    async def serve(self) -> None:
        """Serve until a stop is asked for and every worker has ended."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop_on, "TERM")
        loop.add_signal_handler(signal.SIGINT, self._stop_on, "INT")
        loop.add_signal_handler(signal.SIGQUIT, self._stop_on, "QUIT")
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        loop.add_signal_handler(signal.SIGUSR2, self._workers.ask_replace)
        with tempfile.TemporaryDirectory(prefix="stanchion-metrics-") as self.metrics_folder:
            async with asyncio.TaskGroup() as group:
                watches = (self._stock_watch, self.upstream_watch, self._adaptation)
                parts = (*watches, self._relay, self.lists, self.operators, self._line_state, self.history)
                helpers = [group.create_task(part.run()) for part in (*parts, self.recording)]
                await self._workers.run(
                    self.metrics_folder,
                    delay_s=lambda: self.settings.shutdown.delay_seconds,
                    grace_s=lambda: self.settings.shutdown.grace_seconds,
                )
                for helper in helpers:
                    helper.cancel()
        remove_socket_files(self._socket_files)

    def reload(self, actor: str = "signal HUP") -> bool:
        """Read the settings again and send them to the workers. Return False if they have a fault: nothing changed."""
        try:
            self.change_settings(actor)
        except ConfigurationError:
            return False
        return True

    def change_settings(self, actor: str) -> list[str]:
        """Read the settings again and send them to the workers.

        Return the paths that changed but wait for the next start. Raises ConfigurationError: then nothing changed.
        """
        try:
            waiting = self._change_settings(actor)
        except ConfigurationError as fault:
            self._last_reload.refused(actor, fault)
            raise
        self._last_reload.accepted()
        return waiting

    def _change_settings(self, actor: str) -> list[str]:
        fresh, keys = self._source()
        if len(self._counter_rows.keys() | {room.name for room in fresh.rooms}) > MAX_ROOMS:
            fault = SettingFault("rooms", f"more than {MAX_ROOMS} rooms in the life of a process; restart it")
            raise ConfigurationError("reload", [fault])
        changed, fresh = keep_until_restart(self.settings, fresh)
        if changed:
            log.warning("changed, but takes effect at the next start only: %s", ", ".join(changed))
        result = f"done, but for {', '.join(changed)}, until the next start" if changed else "done"
        audit(actor, "reload", result, *changes(self.settings, fresh, self._keys, keys))
        self.settings, self._keys = fresh, keys
        self._assign_counter_rows()
        self._use_settings()
        self._configure_all()
        log.info("settings reloaded", extra=facts(rooms=[room.name for room in fresh.rooms]))
        return changed

    def status(self) -> dict[str, Any]:
        """Return every room over all nodes of this machine, and every node's own view, as JSON values."""
        return {
            "ready": self.is_ready,
            "time": time.time(),
            "upstream": self.upstream_watch.status(),
            "nodes": self.workers_status(),
            "rooms": list(self.rooms_status().values()),
        }

    def workers_status(self) -> list[dict[str, Any]]:
        """Return the processes of this machine as JSON values."""
        now = time.time()
        return [handle.status(now) for handle in self._handles]

    @property
    def redis_state(self) -> Literal["up", "down", "unused"]:
        if self.settings.cluster.redis_url is None:
            return "unused"
        return "up" if self._relay.hears_machines else "down"

    @property
    def other_nodes(self) -> OtherNodes:
        return self._relay.other_nodes

    def rooms_status(self) -> dict[str, dict[str, Any]]:
        """Return every room over all nodes of this machine, by name, as JSON values."""
        in_force = self._in_force()
        return {room.name: self._status.room(room, in_force.cluster.machines) for room in in_force.rooms}

    def room_status(self, name: str) -> dict[str, Any]:
        """Return one room over all nodes of this machine, as JSON values. Raises NoSuchRoom."""
        in_force = self._in_force()
        return self._status.room(room_named(in_force, name), in_force.cluster.machines)

    def _in_force(self) -> Settings:
        """Return the settings with what operators changed since they were read."""
        return self.operators.extended(self.lists.extended(self.settings))

    def _follow_operators(self) -> None:
        """Let everything follow what operators changed."""
        self._use_settings()
        self._configure_all()

    def _use_settings(self) -> None:
        """Let the parts of this process follow the settings; the workers are configured apart."""
        self._watchdog.set_patience(self.settings.worker_stall_seconds)
        in_force = self._in_force()
        self._stock_watch.use(in_force)
        self.upstream_watch.use(in_force)
        self._adaptation.use(in_force)
        self.recording.use(in_force, self._keys[-1])

    def _assign_counter_rows(self) -> None:
        """Give every new room a row of the shared counters, which it keeps for the life of this process."""
        for room in self.settings.rooms:
            self._counter_rows.setdefault(room.name, len(self._counter_rows))

    def _configure_all(self) -> None:
        for handle in self._handles:
            self._configure(handle)

    def _configure(self, handle: WorkerHandle) -> None:
        """Send a worker its settings, and what the other nodes know."""
        self._clock_steps.look()
        in_force = self._in_force()
        handle.send(
            Configure(
                settings=self.plugins.resolved(in_force).model_dump(mode="json"),
                keys=tuple(key.decode() for key in self._keys),
                counter_rows=self._counter_rows,
                counted_since=self._counted_since,
                machine=self.machine,
                clock_steps=tuple(self._clock_steps.steps),
                checkpoints=handle.checkpoints(self.settings.line_keys, time.time()),
                factors=self._adaptation.factors,
                stock_known=self._stock_watch.known,
                seeds=self.operators.seeds(in_force),
                page_files=dict(self.settings.page_files),
                revoked=self.operators.links.revoked,
            )
        )
        self._relay.send_state(handle)
        handle.send(self.upstream_watch.state)

    def _receive(self, message: ToSupervisor, handle: WorkerHandle) -> None:
        """Act on a worker's message."""
        match message:
            case Ready():
                handle.note_ready()
                if all(other.is_ready for other in self._handles):
                    self._all_ready.set()
            case Report():
                handle.receive_report(message)
                self._watchdog.note_report(handle.index, time.monotonic())
                self._adaptation.receive(message, time.monotonic())
            case Recorded():
                self.recording.receive(message, handle.index)
            case RoomEvent() | NodeSummary() | LimitsSpent():
                self._relay.receive_worker(message, handle)
            case ServerOutcomes():
                self.upstream_watch.receive(message)
            case RedemptionQuestion() | LinkQuestion():
                self._relay.receive_question(message, handle)
            case _:
                assert_never(message)
