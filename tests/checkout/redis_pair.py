"""A Redis with a real replica behind one address, and a failover to the replica while it lags.

    shops ──▶ front ──▶ master ──▶ link ──▶ replica

Front and link are TCP relays. The front is like the virtual address of a production set-up. The link can be held up, so
that the replica lags.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from redis.asyncio import Redis

from tests.checkout.servers import RedisServer, redis_server

CHUNK = 1 << 16


class Relay:
    """Passes bytes on between its own port and a target port. `hold()` keeps the bytes from the target back."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        assert self._server is not None, "not started"
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def hold(self) -> None:
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def reset(self, target: int) -> None:
        """Break every connection and pass new ones on to another port."""
        self.target = target
        for writer in list(self._open):
            writer.transport.abort()
        self.flow()

    async def close(self) -> None:
        self.reset(self.target)
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._open |= pair
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, far_writer, is_held=False))
                both.create_task(self._copy(far_reader, writer, is_held=True))
        finally:
            self._open -= pair

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_held: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if is_held:
                    await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


class RedisPair:
    """Two servers. `url` leads to the one that is the master at present."""

    def __init__(self, one: RedisServer, other: RedisServer) -> None:
        self._master, self._replica = one, other
        self._front, self._link = Relay(one.port), Relay(one.port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._front.port}/0"

    async def start(self) -> None:
        await self._front.start()
        await self._link.start()
        await self._follow()

    async def close(self) -> None:
        await self._front.close()
        await self._link.close()

    async def failover(self, lag_s: float) -> None:
        """Hold the replica's link up for `lag_s`, kill the master, and let the replica take over without the rest."""
        self._link.hold()
        await asyncio.sleep(lag_s)
        self._master.kill()
        await self._ask(self._replica, "REPLICAOF", "NO", "ONE")
        self._front.reset(self._replica.port)
        self._master, self._replica = self._replica, self._master
        await asyncio.to_thread(self._replica.start)
        self._link.reset(self._master.port)
        await self._follow()

    async def _follow(self) -> None:
        """Make the second server a replica of the first, and wait until it has everything."""
        await self._ask(self._replica, "REPLICAOF", "127.0.0.1", str(self._link.port))
        async with asyncio.timeout(30):
            while b"up" not in (await self._ask(self._replica, "ROLE")):
                await asyncio.sleep(0.05)

    @staticmethod
    async def _ask(server: RedisServer, *command: str) -> list[bytes]:
        async with Redis.from_url(server.url) as client:
            reply = await client.execute_command(*command)
        return [b"up" if item == b"connected" else item for item in reply] if isinstance(reply, list) else []


@asynccontextmanager
async def redis_pair(*options: str) -> AsyncIterator[RedisPair]:
    async with AsyncExitStack() as stack:
        servers = [stack.enter_context(redis_server(*options)) for _ in range(2)]
        pair = RedisPair(*servers)
        await pair.start()
        stack.push_async_callback(pair.close)
        yield pair
