"""How the edge stops: readiness fails, requests under way finish, nothing is left behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.edge.running import wait_until
from tests.edge.whole import Edge, Visitor, children, is_alive, settings, whole_edge

ENDLESS_S = 86_400.0


async def read_stream(edge: Edge, name: str) -> bytes:
    """Read a long response to its end."""
    async with aiohttp.ClientSession() as session, session.get(f"{edge.running.url}/stream/{name}") as answer:
        return await answer.read()


async def wait_for_streams(edge: Edge, count: int) -> None:
    async def are_open() -> bool:
        return len(edge.upstream.open) == count

    await wait_until(are_open, "the streams are under way")


async def wait_not_ready(edge: Edge) -> None:
    async def is_not_ready() -> bool:
        return (await edge.ask_admin("/readyz"))[0] == 503

    await wait_until(is_not_ready, "readiness fails")


async def test_term_fails_readiness_then_finishes_what_is_under_way(tmp_path: Path):
    """After TERM the edge is not ready and serves on for the delay. Then streams may end within the grace time; longer
    ones are cut. The exit code is 0 and no process is left."""
    async with whole_edge(tmp_path, shutdown={"delay_seconds": 1.5, "grace_seconds": 1.0}) as edge:
        pids = await edge.running.worker_pids()
        assert (await edge.ask_admin("/readyz"))[0] == 200
        async with asyncio.TaskGroup() as group:
            short = group.create_task(read_stream(edge, "short"))
            long = group.create_task(asyncio.wait([asyncio.ensure_future(read_stream(edge, "long"))]))
            await wait_for_streams(edge, 2)
            edge.running.send(signal.SIGTERM)
            await wait_not_ready(edge)
            assert not edge.said("draining")
            visitor = Visitor(edge)
            assert (await visitor.ask())[0] == "admitted"
            assert (await edge.ask_admin("/livez"))[0] == 200
            await edge.running.wait_logged("draining")
            edge.upstream.open["short"].set()
        assert (await short).endswith(b"end")
        [cut] = (await long)[0]
        assert isinstance(cut.exception(), aiohttp.ClientError)
        assert await edge.running.wait_ended() == 0
        assert not any(map(is_alive, pids))
        with pytest.raises(aiohttp.ClientConnectorError):
            await visitor.ask()


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGQUIT]], ids=["int", "term-then-quit"])
async def test_int_is_quick(tmp_path: Path, signals: list[signal.Signals]):
    """INT and QUIT skip the delay and give streams one second, also after a TERM that waits longer."""
    async with whole_edge(tmp_path, shutdown={"delay_seconds": ENDLESS_S, "grace_seconds": ENDLESS_S}) as edge:
        pids = await edge.running.worker_pids()
        stream = asyncio.ensure_future(read_stream(edge, "endless"))
        await wait_for_streams(edge, 1)
        for name in signals:
            edge.running.send(name)
            if name == signal.SIGTERM:
                await wait_not_ready(edge)
        assert await edge.running.wait_ended() == 0
        with pytest.raises(aiohttp.ClientError):
            await stream
        assert not any(map(is_alive, pids))


async def test_int_shortens_a_drain(tmp_path: Path):
    """An operator no longer wants to wait for the last stream."""
    async with whole_edge(tmp_path, shutdown={"grace_seconds": ENDLESS_S}) as edge:
        stream = asyncio.ensure_future(read_stream(edge, "endless"))
        await wait_for_streams(edge, 1)
        edge.running.send(signal.SIGTERM)
        await edge.running.wait_logged("draining")
        edge.running.send(signal.SIGINT)
        assert await edge.running.wait_ended() == 0
        with pytest.raises(aiohttp.ClientError):
            await stream


async def test_a_worker_that_hangs_does_not_keep_the_edge_from_ending(tmp_path: Path):
    """A worker that has not ended some seconds after the grace time is killed, and the log says so."""
    async with whole_edge(tmp_path, workers=1, shutdown={"grace_seconds": 0.1}) as edge:
        [pid] = await edge.running.worker_pids()
        os.kill(pid, signal.SIGSTOP)
        edge.running.send(signal.SIGTERM)
        assert await edge.running.wait_ended() == 0
        assert not is_alive(pid)
        assert edge.said("did not end in time")[0]["pid"] == pid


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_while_workers_start_leaves_nothing(tmp_path: Path, name: signal.Signals):
    """A signal between a worker's start and its first message ends that worker too."""
    file = tmp_path / "edge.yaml"
    file.write_text(yaml.safe_dump(settings("http://127.0.0.1:9")))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge.cli", "run", str(file)),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "STANCHION_KEYS": "k" * 43},
    )
    started: set[int] = set()

    async def has_a_child() -> bool:
        started.update(children(process.pid))
        return bool(started) or process.returncode is not None

    await wait_until(has_a_child, "a worker is started")
    process.send_signal(name)
    async with asyncio.timeout(20):
        _, output = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"Traceback" not in output, output.decode()
    assert not any(map(is_alive, started))


async def test_workers_ignore_signals_to_the_whole_group(tmp_path: Path):
    """systemd sends TERM to every process of a service; workers wait for the supervisor's `Drain`."""
    async with whole_edge(tmp_path, shutdown={"delay_seconds": ENDLESS_S}) as edge:
        for pid in await edge.running.worker_pids():
            for name in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                os.kill(pid, name)
        edge.running.send(signal.SIGTERM)
        await wait_not_ready(edge)
        for _ in range(8):
            assert (await Visitor(edge).ask())[0] == "admitted"
        assert not edge.said("starting another")
        edge.running.send(signal.SIGINT)
        assert await edge.running.wait_ended() == 0


async def test_workers_end_when_the_supervisor_is_killed(tmp_path: Path):
    """No worker may serve by settings that no operator can change."""
    async with whole_edge(tmp_path) as edge:
        pids = await edge.running.worker_pids()
        edge.running.send(signal.SIGKILL)

        async def all_ended() -> bool:
            return not any(map(is_alive, pids))

        await wait_until(all_ended, "the workers end")
