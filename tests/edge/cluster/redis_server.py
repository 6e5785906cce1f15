"""A real Redis for tests: redis-server on a free port, with a folder of its own, ended by process id."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import redis.asyncio

from tests.ports import free_port

DEADLINE_S = 20.0


class RedisServer:
    """One server that can be killed, stopped and started again on the same port."""

    def __init__(self, port: int, folder: Path, options: tuple[str, ...]) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._port = port
        self._folder = folder
        self._options = options
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: run tests/system-packages.sh (apt-get install redis-server)"
        self.process = await asyncio.create_subprocess_exec(
            *(program, "--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""),
            *self._options,
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(redis.exceptions.RedisError, OSError):
                    async with redis.asyncio.Redis.from_url(self.url) as client:
                        await client.ping()
                        return
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def running_redis(folder: Path, *options: str) -> AsyncIterator[RedisServer]:
    server = RedisServer(free_port(), folder, options)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
