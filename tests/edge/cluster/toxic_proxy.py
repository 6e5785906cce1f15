"""A TCP proxy that treats a connection as networks do: it delays it, and it loses one direction or both.

    toxic.delay_s = 0.2                 every piece arrives 0.2 s later, in each direction
    toxic.lost = {"there"}              nothing reaches the server; {"back"}: nothing comes from it

Lost pieces arrive when the direction is open again, as TCP sends them once more. Connections are accepted meanwhile.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

__all__ = ["ToxicProxy", "toxic_proxy"]

Direction = Literal["there", "back"]


class ToxicProxy:
    def __init__(self, port: int) -> None:
        self._server_port = port
        self.delay_s = 0.0
        self.lost: set[Direction] = set()
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        other: asyncio.StreamWriter | None = None
        try:
            answers, other = await asyncio.open_connection("127.0.0.1", self._server_port)
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._pump(reader, other, "there")),
                    asyncio.ensure_future(self._pump(answers, writer, "back")),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in (writer, other):
                if end is not None:
                    end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        now = asyncio.get_running_loop().time

        async def deliver() -> None:
            while True:
                due, piece = await pieces.get()
                await asyncio.sleep(max(0.0, due - now()))
                while way in self.lost:
                    await asyncio.sleep(0.02)
                writer.write(piece)

        delivering = asyncio.ensure_future(deliver())
        try:
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(65_536):
                    pieces.put_nowait((now() + self.delay_s, piece))
        finally:
            delivering.cancel()

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def toxic_proxy(port: int) -> AsyncIterator[ToxicProxy]:
    """Run a proxy in front of a server on this port of this machine."""
    proxy = ToxicProxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.end()
        server.close()
        await server.wait_closed()
