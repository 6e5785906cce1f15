"""Workers that hang, workers that cannot be started, signals that come early: none of it ends the edge."""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import yaml

from edge.supervisor.watchdog import Watchdog
from tests.edge.running import wait_until
from tests.edge.whole import Visitor, settings, whole_edge


def test_who_reports_in_time_does_not_hang():
    watch = Watchdog(4.0)
    watch.look(0.0)
    watch.heard(0, 0.0)
    watch.heard(1, 0.0)
    for now in (1.0, 2.0, 3.0, 4.0):
        watch.heard(1, now)
        assert watch.look(now) == []
    assert watch.look(5.0) == [0]
    watch.forget(0)
    assert watch.look(6.0) == []


def test_who_starts_slowly_does_not_hang_and_who_never_starts_does():
    watch = Watchdog(1.0)
    watch.look(0.0)
    watch.begun(0, 0.0)
    assert all(watch.look(now / 4) == [] for now in range(1, 80))
    watch.heard(0, 20.0)
    assert all(watch.look(now / 4) == [] for now in range(80, 85))
    assert watch.look(21.25) == [0]
    watch.begun(0, 21.5)
    assert any(watch.look(now / 4) for now in range(86, 200))


def test_when_the_whole_machine_stood_still_nobody_hangs():
    watch = Watchdog(4.0)
    watch.look(0.0)
    watch.heard(0, 0.0)
    assert watch.look(3600.0) == []
    assert watch.look(3601.0) == []
    assert watch.look(3602.0) == watch.look(3603.0) == watch.look(3604.0) == []
    assert watch.look(3605.0) == [0]


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
    """No descriptors left for its channel; the other worker serves, and when there are some it is back."""
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
    environment = {**os.environ, "STANCHION_KEYS": "a-key-for-tests-only-" + "x" * 22}
    # A HUP before Python runs our first line would end any program, so the command says when it does.
    code = "import sys, edge.cli.main; sys.stderr.write('begun\\n'); sys.exit(edge.cli.main.main(['run', sys.argv[1]]))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(file), stderr=asyncio.subprocess.PIPE, env=environment
    )
    assert process.stderr is not None
    said = b""
    try:
        async with asyncio.timeout(30):
            assert await process.stderr.readline() == b"begun\n"
            await asyncio.sleep(0.02)
            while b"settings reloaded" not in said:
                if b'"ready"' not in said:
                    process.send_signal(signal.SIGHUP)
                line = await process.stderr.readline()
                assert line, said
                said += line
    finally:
        if process.returncode is None:
            process.terminate()
        assert await process.wait() == 0
