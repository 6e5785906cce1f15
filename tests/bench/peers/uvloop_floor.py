"""The limit of a Python server on uvloop: a protocol that decides nothing.

Usage: uvloop_floor.py PORT. It parses nothing and takes each read for one request.
"""

import asyncio
import sys

import uvloop

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: 186\r\n\r\n"
    + b'{"state": "waiting"'.ljust(185)
    + b"}"
)


class Floor(asyncio.Protocol):
    __slots__ = ("write",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.write(ANSWER)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


uvloop.run(main())
