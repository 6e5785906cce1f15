"""Fixtures for black-box tests of the proxy: a running edge in front of an upstream that the test controls.

The tests know two addresses and the bytes that go over them, and nothing of what is between.
"""

import asyncio
import os
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from edge.decision.forms import Forms
from edge.decision.pipeline import Pipeline
from edge.decision.responses import Responses
from edge.messages.head import RequestHead
from edge.messages.upstream import ServersState
from edge.messages.watcher import Watcher
from edge.operations.metrics import Metrics
from edge.proxy.server import ProxyServer
from edge.rooms.redemption import RedemptionClient
from edge.rooms.table import build_rooms
from edge.settings.loading import parse_settings
from edge.settings.model import Settings
from edge.shield.shield import Shield
from edge.supervisor.sockets import open_sockets
from edge.supervisor.upstream_watch import UpstreamWatch
from edge.support.shared_counters import SharedCounters, create_counters_file
from edge.support.tasks import TaskOwner
from waiting_room.assets import Assets
from waiting_room.ticket import Keyring

KEYS = (b"k" * 32,)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Response:
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.fields if each.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))


@dataclass
class Request:
    line: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    raw: bytes = b""

    all = Response.all
    __getitem__ = Response.__getitem__
    __contains__ = Response.__contains__


def fields_of(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    return first, [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]


async def read_chunks(reader: asyncio.StreamReader) -> tuple[list[bytes], list[tuple[str, str]]]:
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        chunks.append(await reader.readexactly(size))
        assert await reader.readexactly(2) == b"\r\n"
    trailers = []
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        name, _, value = line.decode("latin-1").partition(":")
        trailers.append((name, value.strip()))
    return chunks, trailers


class Upstream:
    """A raw server. handler: serves each connection; without one, every request is recorded and answered 'ok'."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler = handler or self.serve
        self.requests: list[Request] = []
        self.connections = 0
        self._open: set[asyncio.StreamWriter] = set()
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.port = 0

    async def __aenter__(self) -> "Upstream":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        # The loop may have no turn left after these. uvloop closes a socket at the end of a turn, and a connection that
        # is being accepted, such as a probe's, reaches `_connected` some turns later.
        for _ in range(6):
            for writer in list(self._open):
                writer.transport.abort()
            await asyncio.sleep(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def read(self, reader: asyncio.StreamReader) -> Request:
        """Read one whole request."""
        raw = await reader.readuntil(b"\r\n\r\n")
        line, fields = fields_of(raw)
        request = Request(line, fields, raw=raw)
        if "Transfer-Encoding" in request:
            chunks, trailers = await read_chunks(reader)
            request.body = b"".join(chunks)
            request.fields += [("trailer " + name, value) for name, value in trailers]
        elif "Content-Length" in request:
            request.body = await reader.readexactly(int(request["Content-Length"]))
        self.requests.append(request)
        return request

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self.read(reader)
            writer.write(self.answer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            await self.handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


class Visitor:
    """A raw connection to the edge."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def get(self, target: str = "/", *fields: str, method: str = "GET") -> Response:
        lines = "".join(f"{each}\r\n" for each in fields)
        self.send(f"{method} {target} HTTP/1.1\r\nHost: shop.example\r\n{lines}\r\n".encode("latin-1"))
        return await self.response(method)

    async def head(self) -> Response:
        line, fields = fields_of(await self.reader.readuntil(b"\r\n\r\n"))
        _, status, reason = (line + " ").split(" ", 2)
        return Response(int(status), reason.strip(), fields)

    async def response(self, method: str = "GET") -> Response:
        async with asyncio.timeout(10):
            response = await self.head()
            if response.status in (204, 304) or response.status < 200 or method == "HEAD":
                return response
            if "Transfer-Encoding" in response:
                assert "Content-Length" not in response
                response.chunks, response.trailers = await read_chunks(self.reader)
                response.body = b"".join(response.chunks)
            elif "Content-Length" in response:
                response.body = await self.reader.readexactly(int(response["Content-Length"]))
            else:
                response.body = await self.reader.read()
            return response

    async def wait_closed(self) -> bytes:
        """Return what still arrived before the edge closed the connection."""
        async with asyncio.timeout(10):
            return await self.reader.read()


@dataclass
class Edge:
    """A running edge."""

    port: int
    stop: Callable[[float], Awaitable[None]]
    """stop(grace_s) drains the edge."""
    outcomes: list[str]
    stack: AsyncExitStack
    server: ProxyServer
    recorder: "Recorder"
    queue: socket.socket
    """A duplicate of the listener, so that connections in the queue survive the server, as under a supervisor."""
    use_servers_state: Callable[[ServersState], None]
    reload: Callable[[str], None]
    """reload(upstream_settings)"""

    async def connect(self, tls: ssl.SSLContext | None = None, server_name: str = "", first: bytes = b"") -> Visitor:
        """first: bytes that are sent before all else, before the TLS handshake too."""
        where = self.queue.getsockname()
        if self.queue.family == socket.AF_UNIX:
            reader, writer = await asyncio.open_unix_connection(where, limit=2**22)
        else:
            reader, writer = await asyncio.open_connection(*where[:2], limit=2**22)
        # Not closed: TLS would say good-bye first, and the loop may have ended before it has.
        self.stack.callback(lambda: writer.transport.abort())
        writer.write(first)
        if tls is not None:
            await writer.start_tls(tls, server_hostname=server_name or None)
        return Visitor(reader, writer)

    async def get(self, target: str = "/", *fields: str, method: str = "GET") -> Response:
        return await (await self.connect()).get(target, *fields, method=method)


class Recorder(Watcher):
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.failures: list[str] = []

    def record(
        self, head: RequestHead | None, outcome: str, status: int, sent: int, seconds: float, *, to_upstream: bool
    ) -> None:
        self.outcomes.append(outcome)

    def upstream_answered(self, seconds: float) -> None:
        pass

    def upstream_failed(self, kind: str) -> None:
        self.failures.append(kind)


EdgeInFrontOf = Callable[..., Awaitable[Edge]]

SETTINGS = """
listen: ["tcp://127.0.0.1:0"]
secret_keys_env: KEYS
upstream: {%s}
%s
rooms:
  - name: checkout
    match: {paths: ["/checkout*"]}
    capacity: {admissions_per_second: %s, burst_seconds: 1}
"""


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """Both event loops that the edge may run on."""
    if "edge_in_front_of" in getattr(item, "fixturenames", ()):
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.SelectorEventLoop}
    return {"asyncio": asyncio.SelectorEventLoop}


@pytest.fixture
async def edge_in_front_of() -> AsyncIterator[EdgeInFrontOf]:
    """edge_in_front_of(upstream, upstream_settings='...', settings='...', rate=admissions a second) -> Edge

    is_watched: the upstream is watched as by a supervisor, so it can go down.
    """
    async with AsyncExitStack() as stack:

        async def start(
            upstream: Upstream,
            upstream_settings: str = "",
            settings: str = "",
            rate: float = 1e5,
            room: str = "",
            redemption: RedemptionClient | None = None,
            listen: str = '"tcp://127.0.0.1:0"',
            is_watched: bool = False,
        ) -> Edge:
            def parse(upstream_settings: str) -> Settings:
                has_address = upstream_settings.startswith(("url:", "servers:"))
                address = "" if has_address else f'url: "{upstream.url}", '
                text = SETTINGS % (address + upstream_settings, settings, rate)
                text = text.replace('"tcp://127.0.0.1:0"', listen)
                if room.startswith("match:"):
                    return parse_settings(text.replace('match: {paths: ["/checkout*"]}', room))
                return parse_settings(text + (f"    {room}\n" if room else ""))

            parsed = parse(upstream_settings)
            counters = SharedCounters(create_counters_file(1), 1)
            assets = Assets.load()
            now = time.time()
            rooms = build_rooms(parsed, assets, lambda name: counters.rows(0), 0, now, now)
            pipeline = Pipeline(
                rooms,
                Keyring(KEYS),
                Responses(assets),
                Metrics(),
                parsed.cookies,
                os.urandom,
                lambda event: None,
                None if (shield := Shield(parsed.abuse)).is_off else shield,
                redemption=redemption,
                forms=Forms(counters.forms(), os.urandom, parsed.limits.form_bytes, parsed.limits.form_seconds),
            )
            recorder = Recorder()
            watch = UpstreamWatch(lambda state: server.use_servers_state(state), lambda _: None, CollectorRegistry())
            server = ProxyServer(parsed, pipeline, recorder, time.time, random.random, watch.receive)
            if is_watched:
                watch.use(parsed)
                owner = TaskOwner()
                owner.start(watch.run(), "watch")
                stack.push_async_callback(owner.close)
            ((listener,),) = open_sockets(parsed.listen, 1)
            queue = stack.enter_context(listener.dup())
            queue.setblocking(False)
            await server.listen([listener])
            stack.push_async_callback(server.close)
            return Edge(
                0 if queue.family == socket.AF_UNIX else queue.getsockname()[1],
                server.drain,
                recorder.outcomes,
                stack,
                server,
                recorder,
                queue,
                server.use_servers_state,
                lambda text: server.use(parse(text), pipeline),
            )

        yield start


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as running:
        yield running
