"""Connections that are kept: how long each request may wait for one, and which request may use one."""

import asyncio
import socket

import pytest

from tests.edge.conftest import Upstream

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


def closing(upstream: Upstream, pause_s: float, fields: str = ""):
    """Return a handler that answers one request, and closes the idle connection a moment later without saying so."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read(reader)
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok".encode())
        await asyncio.sleep(pause_s)

    return handler


@pytest.mark.parametrize("pause_s", [0.0, 0.01, 0.03])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_a_request_that_is_sent_once_meets_no_closing_connection(edge_in_front_of, upstream, method, pause_s):
    upstream.handler = closing(upstream, pause_s)
    edge = await edge_in_front_of(upstream, "breaker_failures: null")
    visitor = await edge.connect()
    for _ in range(15):
        visitor.send(f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".encode())
        assert (await visitor.response()).status == 200
        await asyncio.sleep(pause_s)
    assert len(upstream.requests) == 15


@pytest.mark.parametrize(
    ("says", "pause_s", "is_kept"),
    [
        ("Keep-Alive: timeout=60\r\n", 0.2, True),
        ("keep-alive: max=100, timeout=60\r\n", 0.2, True),
        ('Keep-Alive: timeout="60"\r\n', 0.2, True),
        ("", 0.05, False),
        ("Keep-Alive: timeout=0\r\n", 0.05, False),
        ("Keep-Alive: max=5\r\n", 0.05, False),
    ],
)
async def test_a_post_uses_a_connection_that_the_upstream_says_it_keeps(
    edge_in_front_of, upstream, says, pause_s, is_kept
):
    upstream.answer = f"HTTP/1.1 200 OK\r\n{says}Content-Length: 2\r\n\r\nok".encode()
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    for _ in range(3):
        visitor.send(POST)
        assert (await visitor.response()).status == 200
        await asyncio.sleep(pause_s)
    assert upstream.connections == (1 if is_kept else 3)


@pytest.mark.parametrize(("kept_s", "pause_s", "connections"), [(1, 0.7, 2), (1, 0.2, 1), (0, 0.0, 2), (9, 0.7, 1)])
async def test_an_idle_connection_is_left_before_the_upstream_closes_it(
    edge_in_front_of, upstream, kept_s, pause_s, connections
):
    upstream.answer = f"HTTP/1.1 200 OK\r\nKeep-Alive: timeout={kept_s}\r\nContent-Length: 2\r\n\r\nok".encode()
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    assert (await visitor.get("/")).status == 200
    await asyncio.sleep(pause_s)
    response = await visitor.get("/")
    assert response.status == 200
    assert "Keep-Alive" not in response
    assert upstream.connections == connections


async def test_a_get_uses_any_kept_connection(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    for _ in range(3):
        assert (await visitor.get("/")).status == 200
        await asyncio.sleep(0.05)
    assert upstream.connections == 1


@pytest.mark.parametrize("request_", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", POST])
async def test_the_wait_for_a_free_connection_is_bounded(edge_in_front_of, upstream, request_):
    free = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await upstream.read(reader)
            await free.wait()
            writer.write(upstream.answer)

    upstream.handler = slow
    edge = await edge_in_front_of(upstream, "max_connections: 1, connect_timeout_seconds: 0.4, breaker_failures: null")
    first = await edge.connect()
    first.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(5):
        while not upstream.requests:
            await asyncio.sleep(0.01)
    for _ in range(2):
        visitor = await edge.connect()
        visitor.send(request_)
        assert (await visitor.response()).status == 504
    assert edge.outcomes == ["timeout", "timeout"]
    # The one that was served meanwhile gets its answer, and so does the next one.
    free.set()
    assert (await first.response()).body == b"ok"
    assert (await edge.get("/")).body == b"ok"
    assert len(upstream.requests) == 2


async def test_a_connection_that_becomes_free_in_time_is_used(edge_in_front_of, upstream):
    free = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await upstream.read(reader)
            await free.wait()
            writer.write(upstream.answer)

    upstream.handler = slow
    edge = await edge_in_front_of(upstream, "max_connections: 1, connect_timeout_seconds: 5")
    visitors = [await edge.connect() for _ in range(4)]
    for visitor in visitors:
        visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(5):
        while not upstream.requests:
            await asyncio.sleep(0.01)
    free.set()
    assert [(await visitor.response()).body for visitor in visitors] == [b"ok"] * 4
    assert upstream.connections == 1


async def test_a_connection_that_is_closed_at_once_is_a_502(edge_in_front_of, upstream):
    async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    upstream.handler = closes
    edge = await edge_in_front_of(upstream, "breaker_failures: null")
    visitor = await edge.connect()
    for _ in range(20):
        visitor.send(POST)
        assert (await visitor.response()).status == 502


async def test_a_slow_reader_leaves_no_connection_that_is_not_read(edge_in_front_of, upstream):
    """The end of a response fills the visitor's connection. The upstream's is free then, and must be read again."""
    big = b"x" * 6_000_000

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = big if "/big" in (await upstream.read(reader)).line else b"ok"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    upstream.handler = handler
    edge = await edge_in_front_of(upstream, "max_connections: 1")
    quick, loop = await edge.connect(), asyncio.get_running_loop()
    for turn in range(3):
        with socket.socket() as slow:
            slow.setblocking(False)
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(slow, ("127.0.0.1", edge.port))
            await loop.sock_sendall(slow, b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            while len(edge.outcomes) == 2 * turn:
                assert await loop.sock_recv(slow, 16_384)
            assert (await quick.get("/")).body == b"ok"
    assert upstream.connections == 1
