"""Connections: keep-alive, close, pipelining, `Expect`, upgrades, draining."""

import asyncio
import contextlib
import socket

import pytest


async def test_one_connection_serves_many_requests_over_one_upstream_connection(edge_in_front_of, upstream):
    visitor = await (await edge_in_front_of(upstream)).connect()
    for _ in range(10):
        assert (await visitor.get("/")).body == b"ok"
    assert upstream.connections == 1


async def test_pipelined_requests_are_answered_in_order(edge_in_front_of, upstream):
    async def by_path(reader, writer):
        while True:
            request = await upstream.read(reader)
            path = request.line.split()[1]
            if path == "/slow":
                await asyncio.sleep(0.1)
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(path)}\r\n\r\n{path}".encode())

    upstream.handler = by_path
    visitor = await (await edge_in_front_of(upstream)).connect()
    paths = ["/slow", "/_stanchion/nothing", "/1", "/slow", "/2", "/_stanchion/nothing"]
    visitor.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for path in paths))
    for path in paths:
        response = await visitor.response()
        if path.startswith("/_"):
            assert response.status == 404
        else:
            assert response.body == path.encode()


async def test_responses_for_a_client_that_does_not_read_do_not_fill_the_memory(edge_in_front_of, upstream):
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.writer.transport.pause_reading()
    poll = b"GET /_stanchion/status?room=checkout HTTP/1.1\r\nHost: a\r\n\r\n"
    sent = 0
    try:
        while sent < 50_000_000:
            visitor.send(poll * 1000)
            sent += len(poll) * 1000
            async with asyncio.timeout(1):
                await visitor.writer.drain()
    except TimeoutError:
        pass
    assert sent < 25_000_000
    visitor.writer.transport.resume_reading()
    for _ in range(2000):
        assert (await visitor.response()).status == 200
    visitor.writer.transport.abort()


async def test_connection_close_is_honoured_and_announced(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream)
    for target in ("/", "/_stanchion/nothing"):
        visitor = await edge.connect()
        response = await visitor.get(target, "Connection: close")
        assert response["Connection"] == "close"
        assert await visitor.wait_closed() == b""


async def test_http_1_0_gets_no_chunks_and_closes_unless_asked(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    visitor.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    response = await visitor.response()
    assert (response.body, response["Connection"]) == (b"ok", "close")
    assert await visitor.wait_closed() == b""

    visitor = await edge.connect()
    for _ in range(2):
        visitor.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        response = await visitor.response()
        assert (response.body, response["Connection"]) == (b"ok", "keep-alive")

    upstream.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
    visitor.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    response = await visitor.response()
    assert (response.body, response["Connection"]) == (b"abcd", "close")
    assert "Transfer-Encoding" not in response


async def test_expect_100_continue_is_answered_before_the_body_is_sent(edge_in_front_of, upstream):
    async def asks(reader, writer):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await reader.readexactly(5) == b"hello"
            writer.write(upstream.answer)

    upstream.handler = asks
    visitor = await (await edge_in_front_of(upstream)).connect()
    for _ in range(2):
        visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert (await visitor.response()).status == 100
        visitor.send(b"hello")
        assert (await visitor.response()).body == b"ok"


async def test_a_waiting_visitor_is_not_asked_for_the_body(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, rate=0.001)
    await edge.get("/checkout")
    visitor = await edge.connect()
    visitor.send(b"POST /checkout HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    response = await visitor.response()
    assert (response.status, response["Stanchion-State"], response["Connection"]) == (503, "waiting", "close")
    assert await visitor.wait_closed() == b""


async def test_other_expectations_are_refused(edge_in_front_of, upstream):
    response = await (await edge_in_front_of(upstream)).get("/", "Expect: the-unexpected")
    assert response.status == 417
    assert not upstream.requests


async def test_an_upgrade_becomes_a_tunnel(edge_in_front_of, upstream):
    async def websocket(reader, writer):
        request = await upstream.read(reader)
        assert request["Connection"] == "Upgrade"
        assert request["Sec-WebSocket-Key"] == "x3JJHMbDL1EzLkh9GBhXDw=="
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n\r\nhello"
        )
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.write(b"bye")

    upstream.handler = websocket
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    response = await visitor.get(
        "/checkout",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==",
    )
    assert (response.status, response["Upgrade"], response["Connection"]) == (101, "websocket", "Upgrade")
    assert response["Sec-WebSocket-Accept"] == "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
    assert response["Stanchion-State"] == "admitted"
    assert await visitor.reader.readexactly(5) == b"hello"
    for _ in range(3):
        visitor.send(b"\x81\x01abc")
        assert await visitor.reader.readexactly(5) == b"\x81\x01ABC"
    visitor.writer.write_eof()
    assert await visitor.wait_closed() == b"bye"
    assert edge.outcomes == ["admitted"]


async def test_the_tunnel_of_a_visitor_that_half_closed_ends_with_the_upstream(edge_in_front_of, upstream):
    """Nothing more can come from the visitor, so the tunnel ends with the upstream, not after its idle time."""

    async def says_one_thing(reader, writer):
        await upstream.read(reader)
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n")
        assert await reader.read() == b""
        writer.write(b"bye")

    upstream.handler = says_one_thing
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n")
    visitor.writer.write_eof()
    assert (await visitor.response()).status == 101
    assert await visitor.wait_closed() == b"bye"
    assert edge.outcomes == ["forwarded"]


async def test_nothing_behind_an_upgrade_is_sent_before_the_upstream_agrees(edge_in_front_of, upstream):
    """Bytes behind the head are the next request until a 101 makes them part of the tunnel (CVE-2026-2833)."""
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.send(
        b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n"
        b"GET /checkout HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert (await visitor.response()).body == b"ok"
    assert (await visitor.response())["Stanchion-State"] == "admitted"
    assert [request.line.split()[1] for request in upstream.requests] == ["/a", "/checkout"]


async def test_an_unrequested_101_becomes_a_502(edge_in_front_of, upstream):
    upstream.answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
    visitor = await (await edge_in_front_of(upstream)).connect()
    assert (await visitor.get("/")).status == 502
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert (await visitor.get("/")).body == b"ok"


@pytest.mark.parametrize(("how", "settings"), [("reset", ""), ("closed", "limits: {serve_half_closed: false}")])
async def test_a_visitor_that_leaves_ends_the_request_to_the_upstream(edge_in_front_of, upstream, how, settings):
    called, gone = asyncio.Event(), asyncio.Event()

    async def waits(reader, writer):
        await upstream.read(reader)
        called.set()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        gone.set()

    upstream.handler = waits
    edge = await edge_in_front_of(upstream, settings=settings)
    visitor = await edge.connect()
    visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    async with asyncio.timeout(5):
        await called.wait()
        if how == "reset":
            visitor.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, *[0] * 7])
            )
        visitor.writer.close()
        await gone.wait()
    assert edge.outcomes == ["abandoned"]


async def test_draining_answers_requests_under_way_and_accepts_no_connection(edge_in_front_of, upstream):
    go_on = asyncio.Event()

    async def slow(reader, writer):
        await upstream.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await go_on.wait()
        writer.write(b"1\r\nb\r\n0\r\n\r\n")
        await reader.read()

    upstream.handler = slow
    edge = await edge_in_front_of(upstream)
    streaming, idle = await edge.connect(), await edge.connect()
    assert (await idle.get("/_stanchion/nothing")).status == 404
    streaming.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await streaming.head()
    stopping = asyncio.get_running_loop().create_task(edge.stop(5.0))
    await asyncio.sleep(0.05)
    await edge.connect()
    async with asyncio.timeout(5):
        left_for_a_successor, _ = await asyncio.get_running_loop().sock_accept(edge.queue)
    left_for_a_successor.close()
    assert (await idle.get("/_stanchion/nothing"))["Connection"] == "close"
    assert not stopping.done()
    go_on.set()
    async with asyncio.timeout(3):
        await stopping
    assert (await streaming.reader.read()).endswith(b"1\r\nb\r\n0\r\n\r\n")


@pytest.mark.parametrize("turns", range(5))
async def test_draining_loses_no_connection_that_is_being_accepted(edge_in_front_of, upstream, turns):
    """A connection is accepted some turns of the loop before its protocol hears of it."""
    edge = await edge_in_front_of(upstream)
    with socket.create_connection(("127.0.0.1", edge.port)) as newcomer:
        newcomer.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\norder")
        newcomer.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        await edge.stop(5.0)
        try:
            # Not accepted: left for the next process.
            edge.queue.accept()[0].close()
        except BlockingIOError:
            # Without another turn of the loop, because the process would have ended.
            assert newcomer.recv(100).startswith(b"HTTP/1.1 200 ")


async def test_draining_ends_with_the_grace_time(edge_in_front_of, upstream):
    async def hangs(reader, writer):
        await reader.read()

    upstream.handler = hangs
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(0.05)
    async with asyncio.timeout(2):
        await edge.stop(0.2)


async def test_idle_connections_end_in_time(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, settings="limits: {keepalive_seconds: 0.2}")
    visitor = await edge.connect()
    assert (await visitor.get("/")).body == b"ok"
    async with asyncio.timeout(2):
        assert await visitor.wait_closed() == b""
