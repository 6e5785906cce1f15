"""One probe of a server: the edge's own request, on a connection of its own, that no visitor waits for.

    HEAD /             without `health.path`: any server understands it, and it has no body
    GET health.path    with one: health addresses often know GET only

The response is read up to the end of its head.
"""

import asyncio

from edge.proxy.response import BadResponse, end_of_response_head, parse_response
from edge.proxy.server_address import ServerAddress, failure_text
from edge.settings.upstream import HealthSettings
from edge.supervisor.server_health import Found, Probe

__all__ = ["probe"]

#: Statuses that say a server, or one behind it, is down.
DOWN = frozenset((502, 503, 504))
MAX_HEAD = 65_536


async def probe(address: ServerAddress, health: HealthSettings, wait_s: float) -> Probe:
    """Ask once. wait_s: for the answer; the connection has `health.timeout_seconds`."""
    try:
        async with asyncio.timeout(health.timeout_seconds):
            connection = await address.connect(_Connection)
    except OSError as fault:  # TimeoutError and ssl.SSLError among them
        return Probe(Found.UNREACHABLE, failure_text(fault))
    try:
        async with asyncio.timeout(wait_s):
            return await _ask(connection, address, health)
    except TimeoutError:
        return Probe(Found.SILENT, f"no response within {wait_s:g} s")
    except OSError as fault:
        return Probe(Found.UNREACHABLE, f"the connection broke: {failure_text(fault)}")
    finally:
        connection.transport.abort()


class _Connection(asyncio.Protocol):
    """Puts what comes into a reader."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=MAX_HEAD)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.reader.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self.reader.feed_eof()
        else:
            self.reader.set_exception(exc)


async def _ask(connection: _Connection, address: ServerAddress, health: HealthSettings) -> Probe:
    line = "HEAD / HTTP/1.1" if health.path is None else f"GET {health.path} HTTP/1.1"
    host = health.host or address.host_field
    request = f"{line}\r\nHost: {host}\r\nUser-Agent: stanchion-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    connection.transport.write(request.encode())
    try:
        while True:
            response = parse_response(await _head(connection.reader))
            if response.status >= 200:
                break
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, BadResponse) as fault:
        is_cut = isinstance(fault, asyncio.IncompleteReadError)
        return Probe(Found.UNREACHABLE, "the connection ended without a response" if is_cut else "no HTTP response")
    if health.path is None:
        is_good = response.status not in DOWN
    else:
        is_good = 200 <= response.status < 400
    return Probe(Found.GOOD if is_good else Found.BAD, f"{line.rpartition(' ')[0]} was answered {response.status}")


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Return the next head. Its lines may end in LF alone. Raises IncompleteReadError, LimitOverrunError."""
    head = b""
    while not end_of_response_head(head):
        if len(head) > MAX_HEAD:
            raise asyncio.LimitOverrunError("the head is too large", len(head))
        head += await reader.readuntil(b"\n")
    return head
