"""Workers that hang, workers that cannot be started, signals that come early: the edge goes on."""

import asyncio
import os
import re
import resource
import signal
import sys
from pathlib import Path

import yaml

from edge.supervisor.watchdog import Watchdog
from tests.edge.running import DEADLINE_S, wait_until
from tests.edge.whole import Visitor, settings, whole_edge


def test_a_worker_that_reports_in_time_does_not_hang() -> None:
    watchdog = Watchdog(4.0)
    watchdog.look(0.0)
    watchdog.note_report(0, 0.0)
    watchdog.note_report(1, 0.0)
    for now in (1.0, 2.0, 3.0, 4.0):
        watchdog.note_report(1, now)
        assert watchdog.look(now) == []
    assert watchdog.look(5.0) == [0]
    watchdog.forget(0)
    assert watchdog.look(6.0) == []


def test_a_worker_that_starts_slowly_does_not_hang_and_one_that_never_starts_does() -> None:
    watchdog = Watchdog(1.0)
    watchdog.look(0.0)
    watchdog.note_started(0, 0.0)
    assert all(watchdog.look(now / 4) == [] for now in range(1, 80))
    watchdog.note_report(0, 20.0)
    assert all(watchdog.look(now / 4) == [] for now in range(80, 85))
    assert watchdog.look(21.25) == [0]
    watchdog.note_started(0, 21.5)
    assert any(watchdog.look(now / 4) for now in range(86, 200))


def test_no_worker_hangs_when_the_whole_machine_stood_still() -> None:
    watchdog = Watchdog(4.0)
    watchdog.look(0.0)
    watchdog.note_report(0, 0.0)
    assert watchdog.look(3600.0) == []
    assert watchdog.look(3601.0) == []
    assert watchdog.look(3602.0) == watchdog.look(3603.0) == watchdog.look(3604.0) == []
    assert watchdog.look(3605.0) == [0]


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    [mask] = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(mask, 16) >> (number - 1) & 1)


async def test_a_worker_that_hangs_is_replaced(tmp_path: Path):
    async with whole_edge(tmp_path, worker_stall_seconds=1.0) as edge:
        [hung, sound] = await edge.running.worker_pids()
        os.kill(hung, signal.SIGSTOP)

        async def is_replaced() -> bool:
            nodes = (await edge.running.status())["nodes"]
            return all(node["ready"] and node["pid"] != hung for node in nodes)

        await wait_until(is_replaced, "the hung worker is replaced")
        assert sound in await edge.running.worker_pids()
        assert edge.said("hangs and is killed")
        for _ in range(10):
            assert (await Visitor(edge).ask())[0] == "admitted"


async def test_a_worker_that_cannot_be_started_is_tried_again(tmp_path: Path):
    """No descriptor is left for its channel: the other worker serves, and the first is back once there are some."""
    async with whole_edge(tmp_path) as edge:
        supervisor = edge.running.process.pid
        [victim, sound] = await edge.running.worker_pids()
        used = max(int(name) for name in os.listdir(f"/proc/{supervisor}/fd"))
        before = resource.prlimit(
            supervisor, resource.RLIMIT_NOFILE, (used, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        )
        os.kill(victim, signal.SIGKILL)

        async def has_failed() -> bool:
            return bool(edge.said("could not be started"))

        await wait_until(has_failed, "a start has failed")
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)

        async def is_back() -> bool:
            pids = await edge.running.worker_pids()
            return len(pids) == 2 and all(node["ready"] for node in (await edge.running.status())["nodes"])

        await wait_until(is_back, "the worker is back")
        assert sound in await edge.running.worker_pids()
        assert (await Visitor(edge).ask())[0] == "admitted"


async def test_a_hup_at_any_moment_of_the_start_ends_nothing(tmp_path: Path):
    file = tmp_path / "edge.yaml"
    file.write_text(yaml.safe_dump(settings("http://127.0.0.1:1", workers=1)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge.cli", "run", str(file)),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "STANCHION_KEYS": "a-key-for-tests-only-" + "x" * 22},
    )
    assert process.stderr is not None

    async def catches_hup() -> bool:
        """Whether the program has come far enough: a HUP before its first line would end any program."""
        return catches(process.pid, signal.SIGHUP)

    written = b""
    try:
        await wait_until(catches_hup, "HUP is caught")
        async with asyncio.timeout(DEADLINE_S):
            while b"settings reloaded" not in written:
                if b'"ready"' not in written:
                    process.send_signal(signal.SIGHUP)
                line = await process.stderr.readline()
                assert line, written
                written += line
    finally:
        if process.returncode is None:
            process.terminate()
        assert await process.wait() == 0
