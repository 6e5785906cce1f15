"""Real edges for tests: `stanchion run FILE` in processes of its own, on free ports, ended by process id."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

#: Long enough for a busy machine. No test waits this long when all is well.
DEADLINE_S = 30.0


def one_room(upstream: str, paths: Sequence[str] = ("/checkout*",), **room: Any) -> str:
    """Return the settings of two workers with one room in front of `upstream`. room: its other sections."""
    return yaml.safe_dump(with_rooms(upstream, {"name": "checkout", "match": {"paths": list(paths)}, **room}))


def with_rooms(upstream: str, *rooms: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of two workers on free ports with these rooms in front of `upstream`."""
    return {
        "listen": ["tcp://127.0.0.1:0"],
        "admin": {"listen": "tcp://127.0.0.1:0"},
        "workers": 2,
        "secret_keys_env": "STANCHION_KEYS",
        "upstream": {"url": upstream},
        "log": {"format": "json", "access": "none"},
        "rooms": list(rooms),
    }


class RunningEdge:
    """A supervisor and its workers. log: every line that they wrote, as a JSON value."""

    def __init__(self, process: asyncio.subprocess.Process, file: Path) -> None:
        self.process = process
        self.file = file
        self.log: list[dict[str, Any]] = []
        self.output = b""
        self.url = self.admin = ""
        self._is_ready = asyncio.Event()

    async def read_log(self) -> None:
        stream = self.process.stderr
        assert stream is not None
        async for line in stream:
            self.output += line
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                self.log.append(entry)
                if entry.get("message") == "ready":
                    self.url, self.admin = entry["listening"], entry["admin"]
                    self._is_ready.set()
        self._is_ready.set()

    async def wait_ready(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self._is_ready.wait()
        assert self.url, f"the edge did not start: {self.output.decode()}"

    async def wait_logged(self, text: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until `count` log messages begin with a text. Return them. An answer may come before its log line."""

        def lines() -> list[dict[str, Any]]:
            return [line for line in self.log if line["message"].startswith(text)]

        async def are_there() -> bool:
            return len(lines()) >= count

        await wait_until(are_there, f"the log says: {text}")
        return lines()

    async def status(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/status") as response:
            status: dict[str, Any] = await response.json()
            return status

    async def metric(self, name: str) -> float | None:
        """Return the value of an unlabelled metric, None if there is none."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/metrics") as answer:
            text = await answer.text()
        values = [float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " ")]
        return values[0] if values else None

    async def worker_pids(self) -> list[int]:
        return [node["pid"] for node in (await self.status())["nodes"] if node["pid"]]

    def send(self, name: signal.Signals) -> None:
        self.process.send_signal(name)

    async def wait_ended(self) -> int:
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def running_edge(
    settings: str, folder: Path, *, prefix: Sequence[str] = (), **environment: str
) -> AsyncIterator[RunningEdge]:
    """Run `stanchion run` with a settings text. Its listen addresses should have port 0. Ready when entered.

    prefix: a command that runs it, such as `prlimit --nofile=64`; it must become `stanchion` by exec.
    """
    file = folder / "edge.yaml"
    file.write_text(settings)
    process = await asyncio.create_subprocess_exec(
        *(*prefix, sys.executable, "-m", "edge.cli", "run", str(file)),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "STANCHION_KEYS": "a-key-for-tests-only-" + "x" * 22, **environment},
        limit=1024 * 1024,
    )
    edge = RunningEdge(process, file)
    reader = asyncio.get_running_loop().create_task(edge.read_log())
    try:
        await edge.wait_ready()
        yield edge
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await edge.wait_ended()
            except TimeoutError:
                process.kill()
                raise
        await reader


@contextlib.asynccontextmanager
async def running_upstream(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Run a real HTTP server in this process; yield its address."""
    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def wait_until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds; fail with `what` after the deadline."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        await asyncio.sleep(0.05)
