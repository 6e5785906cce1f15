"""The worker processes of a machine: started, restarted, replaced, killed when they hang, ended in time.

handle    start --> configure --> receive messages until the process is gone --> start again, unless draining;
          after a pause if the worker dies again and again

replace   one worker after the other: Drain, wait until it has ended, wait until its successor serves
stall     no report for `worker_stall_seconds`: KILL, and the handle starts the next one
end       Drain to all; a worker that has not ended HANGS_AFTER_S after its grace is killed
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, multiprocess

from edge.messages.processes import ToSupervisor
from edge.operations.audit import audit
from edge.operations.logs import facts
from edge.supervisor.watchdog import Watchdog
from edge.supervisor.worker_handle import QUICK_GRACE_S, WorkerHandle

__all__ = ["StopRequest", "Workers"]

log = logging.getLogger("edge.supervisor")

#: Longest pause before a restart of a worker that dies again and again.
MAX_RESTART_PAUSE_S = 5.0
#: A worker that lived this long is restarted at once when it dies.
SETTLED_S = 10.0
#: A worker that has not ended this long after its grace time hangs, and is killed.
HANGS_AFTER_S = 3.0


class StopRequest:
    """Whether the edge was asked to stop, and whether quickly. A quick request can follow a slow one."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.quick = asyncio.Event()

    def __repr__(self) -> str:
        state = "quick" if self.quick.is_set() else "asked" if self.asked.is_set() else "none"
        return f"<StopRequest {state}>"

    def ask(self, *, quick: bool) -> None:
        self.asked.set()
        if quick:
            self.quick.set()


class Workers:
    """All worker processes of one supervisor.

    counters: the descriptor of the shared counters. configure(handle): send the settings to a worker that was started.
    receive(message, handle): act on a message of a worker.
    """

    def __init__(
        self,
        handles: Sequence[WorkerHandle],
        counters: int,
        stop: StopRequest,
        watchdog: Watchdog,
        configure: Callable[[WorkerHandle], None],
        receive: Callable[[ToSupervisor, WorkerHandle], None],
        registry: CollectorRegistry,
    ) -> None:
        self._handles = handles
        self._counters = counters
        self._stop = stop
        self._watchdog = watchdog
        self._configure = configure
        self._receive = receive
        self._restarts = Counter(
            "stanchion_worker_restarts", "Workers that died or hung, and were started anew.", registry=registry
        )
        self._is_draining = False
        self._replace_asked = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Workers {list(self._handles)}{', draining' if self._is_draining else ''}>"

    @property
    def pids(self) -> list[int]:
        return [handle.pid for handle in self._handles if handle.pid is not None]

    def ask_replace(self) -> None:
        """Replace every worker by a fresh one, soon."""
        self._replace_asked.set()

    async def run(self, metrics_folder: str, delay_s: Callable[[], float], grace_s: Callable[[], float]) -> None:
        """Keep every worker running until a stop is asked for and every worker has ended.

        delay_s(): seconds between the request and the end of accepting, in which load balancers see that the edge is
        not ready. grace_s(): seconds that requests under way may take.
        """
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._keep_running(handle, metrics_folder)) for handle in self._handles]
            helpers = [group.create_task(self._replace_when_asked()), group.create_task(self._kill_stalled())]
            await self._stop.asked.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.quick.wait(), delay_s())
            self._drain()
            helpers.append(group.create_task(self._end_in_time(grace_s())))
            await asyncio.wait(running)
            for helper in helpers:
                helper.cancel()

    async def _keep_running(self, handle: WorkerHandle, metrics_folder: str) -> None:
        """Start a worker, and another one whenever it dies, until the workers drain."""
        pause_s = 0.0
        while not self._drains():
            began = time.monotonic()
            try:
                code = await self._run_worker(handle, metrics_folder)
                how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            except OSError as fault:  # no memory, descriptors or processes left: the other workers go on meanwhile
                how = f"could not be started: {fault}"
            if self._drains():
                return
            if handle.is_replaced:
                handle.is_replaced = False
                continue
            handle.restarts += 1
            self._restarts.inc()
            pause_s = 0.0 if time.monotonic() - began >= SETTLED_S else min(MAX_RESTART_PAUSE_S, pause_s * 2 + 0.1)
            log.error("worker %d %s; starting another", handle.index, how, extra=facts(pause_s=round(pause_s, 1)))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.asked.wait(), pause_s)

    def _drains(self) -> bool:
        """Whether workers were told to end. A call, because a type checker takes the attribute for unchanged."""
        return self._is_draining

    async def _run_worker(self, handle: WorkerHandle, metrics_folder: str) -> int:
        """Run one process from start to end; return its exit code."""
        process = await handle.start(self._counters, len(self._handles), metrics_folder)
        self._watchdog.note_started(handle.index, time.monotonic())
        try:
            self._configure(handle)
            if self._drains():  # told to stop while this worker was starting
                handle.drain(quick=self._stop.quick.is_set())
            async for message in handle.messages():
                self._receive(message, handle)
            return await process.wait()
        finally:
            self._watchdog.forget(handle.index)
            handle.note_ended()
            multiprocess.mark_process_dead(handle.index, metrics_folder)  # type: ignore[no-untyped-call]

    async def _replace_when_asked(self) -> None:
        while True:
            await self._replace_asked.wait()
            self._replace_asked.clear()
            before = self.pids
            for handle in self._handles:
                if handle.pid is None or self._is_draining:
                    continue
                handle.replace(quick=self._stop.quick.is_set())
                await handle.has_ended.wait()
                await handle.serves.wait()
            log.info("all workers were replaced", extra=facts(pids=self.pids))
            audit("signal USR2", "replace the workers", "done", before, self.pids)

    async def _kill_stalled(self) -> None:
        """Kill workers that hang; `_keep_running` starts the next ones."""
        while True:
            await asyncio.sleep(self._watchdog.pause_s)
            for index in self._watchdog.look(time.monotonic()):
                pid = self._handles[index].pid
                if pid is not None and not self._is_draining:
                    log.error("worker %d hangs and is killed", index, extra=facts(pid=pid))
                    os.kill(pid, signal.SIGKILL)

    def _drain(self) -> None:
        """Close the listening sockets and tell every worker to finish what is under way."""
        self._is_draining = True
        for handle in self._handles:
            for listening in handle.all_sockets:
                listening.close()
            handle.drain(quick=self._stop.quick.is_set())

    async def _end_in_time(self, grace_s: float) -> None:
        """Shorten the grace when a quick stop is asked for, and kill workers that hang."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.quick.wait(), grace_s + HANGS_AFTER_S)
            for handle in self._handles:
                handle.drain(quick=True)
            await asyncio.sleep(QUICK_GRACE_S + HANGS_AFTER_S)
        for pid in self.pids:
            log.error("a worker did not end in time and is killed", extra=facts(pid=pid))
            os.kill(pid, signal.SIGKILL)
