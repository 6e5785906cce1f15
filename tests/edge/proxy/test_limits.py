"""Slow and greedy clients are cut within their limit and a second, and cost the upstream nothing meanwhile."""

import asyncio
import contextlib
import socket
import time

import pytest

LIMITS = (
    "limits: {head_seconds: 0.6, body_seconds: 0.6, body_bytes_per_second: 1000, write_seconds: 0.6,"
    " keepalive_seconds: 0.9, body_buffer_bytes: 2000}"
)
LIMIT_S = 0.6
P = b"POST / HTTP/1.1\r\nHost: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def seconds_until_closed(edge, begin: bytes, drip: bytes = b"", answers: int = 0) -> float:
    """Send `begin`, read its responses, then send a byte of `drip` each 50 ms; return the seconds until the end."""
    visitor = await edge.connect()
    visitor.send(begin)
    for _ in range(answers):
        await visitor.response()
    began = time.monotonic()

    async def dripping():
        for at in range(1000):
            visitor.send(drip[at % len(drip) :][:1])
            await asyncio.sleep(0.05)

    task = asyncio.get_running_loop().create_task(dripping()) if drip else None
    try:
        with contextlib.suppress(ConnectionError):
            await visitor.wait_closed()
    finally:
        if task is not None:
            task.cancel()
    return time.monotonic() - began


CASES = {
    "nothing sent": (b"", b"", 0),
    "one byte": (b"G", b"", 0),
    "half a head": (GET[:20], b"", 0),
    "dripped head": (GET[:20], b"x", 0),
    "dripped empty lines": (b"", b"\r\n", 0),
    "dripped second head": (GET + GET[:20], b"x", 1),
    "stalled body": (P + b"Content-Length: 900\r\n\r\nab", b"", 0),
    "dripped body": (P + b"Content-Length: 900\r\n\r\nab", b"x", 0),
    "stalled large body": (P + b"Content-Length: 9000\r\n\r\n" + b"x" * 3000, b"", 0),
    "dripped large body": (P + b"Content-Length: 9000\r\n\r\n" + b"x" * 3000, b"x", 0),
    "stalled chunk": (P + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", b"", 0),
    "dripped chunks": (P + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0),
    "dripped trailers": (P + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: ", b"x", 0),
    "body of a waiting visitor": (b"POST /checkout HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\nab", b"x", 1),
}


async def test_every_slow_case_ends_within_its_limit_and_a_second(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, settings=LIMITS, rate=0.001)
    # The room's only admission for a long time.
    await edge.get("/checkout")
    took = await asyncio.gather(*(seconds_until_closed(edge, *case) for case in CASES.values()))
    late = {name: round(s, 2) for name, s in zip(CASES, took, strict=True) if not 0.3 < s < LIMIT_S + 1.0}
    # While bytes trickle in, the edge lingers for LINGER_S after its refusal. The visitor has the response by then.
    assert all(name.startswith("dripped") and s < LIMIT_S + 3.0 for name, s in late.items()), late


async def test_no_visitor_is_cut_off_while_the_edge_itself_stalls(edge_in_front_of, upstream):
    """After a stall of the loop, deadlines have passed and heads are unread. The heads come first."""
    # Long enough for a slow machine to send the beginnings of all heads before the stall.
    edge = await edge_in_front_of(upstream, settings=LIMITS.replace("head_seconds: 0.6", "head_seconds: 2.0"))
    visitors = [await edge.connect() for _ in range(20)]
    for visitor in visitors:
        visitor.send(GET[:20])
    await asyncio.sleep(0.1)

    def stall() -> None:
        """Stall where sockets are read, so that the sweep runs next."""
        loop.remove_reader(near)
        for visitor in visitors:
            visitor.send(GET[20:])
        time.sleep(3.0)

    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    with near, far:
        loop.add_reader(near, stall)
        far.send(b"now")
        for visitor in visitors:
            assert (await visitor.response()).body == b"ok"


async def test_a_visitor_that_does_not_read_is_cut(edge_in_front_of, upstream):
    async def endless(reader, writer):
        await upstream.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(65_536))
                await writer.drain()
        cut.set()

    upstream.handler = endless
    cut = asyncio.Event()
    edge = await edge_in_front_of(upstream, settings=LIMITS)
    visitor = await edge.connect()
    visitor.writer.transport.pause_reading()
    visitor.send(GET)
    async with asyncio.timeout(LIMIT_S + 5.0):
        await cut.wait()
    assert edge.outcomes == ["unread"]


async def test_a_visitor_that_does_not_read_gives_way_to_one_that_waits(edge_in_front_of, upstream):
    """If others need the upstream connection, the visitor is cut long before their own time limit."""

    async def by_path(reader, writer):
        while True:
            request = await upstream.read(reader)
            if "/big" in request.line:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + bytes(50_000_000))
            else:
                writer.write(upstream.answer)

    upstream.handler = by_path
    edge = await edge_in_front_of(upstream, "max_connections: 2")
    for _ in range(2):
        visitor = await edge.connect()
        visitor.writer.transport.pause_reading()
        visitor.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    while len(upstream.requests) < 2:
        await asyncio.sleep(0.01)
    # Without visitors that wait, the limit is 30 seconds.
    async with asyncio.timeout(10):
        assert (await edge.get("/")).body == b"ok"
    assert edge.outcomes[0] == "unread"


async def test_a_response_that_is_not_read_ends_the_connection(edge_in_front_of, upstream):
    """Requests behind it are not served, because their responses would only fill the memory."""
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + bytes(40_000)
    edge = await edge_in_front_of(upstream, settings=LIMITS)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", edge.port))
    with raw:
        await loop.sock_sendall(raw, GET * 200)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while True:
                    await asyncio.sleep(0.1)
                    await loop.sock_sendall(raw, b"GET")
    served = len(upstream.requests)
    assert served < 200, "the edge forwarded requests of a visitor that does not read"


async def test_a_trickling_upload_takes_no_upstream_connection(edge_in_front_of, upstream):
    """There are more such uploads than upstream connections, and all other visitors are served."""
    edge = await edge_in_front_of(upstream, "max_connections: 2")
    for _ in range(20):
        visitor = await edge.connect()
        visitor.send(P + b"Content-Length: 900\r\n\r\nab")
    await asyncio.sleep(0.05)
    assert upstream.connections == 0
    for _ in range(3):
        assert (await edge.get("/")).body == b"ok"


async def test_a_body_that_keeps_the_minimum_rate_may_last_any_time(edge_in_front_of, upstream):
    """It lasts longer than `body_seconds`, the longest silence, which is longer than a busy machine stalls."""
    limits = "limits: {body_seconds: 2.0, body_bytes_per_second: 1000, body_buffer_bytes: 2000}"
    visitor = await (await edge_in_front_of(upstream, settings=limits)).connect()
    visitor.send(P + b"Content-Length: 12000\r\n\r\n")
    for _ in range(60):
        visitor.send(b"x" * 200)
        await asyncio.sleep(0.05)
    assert (await visitor.response()).body == b"ok"
    assert len(upstream.requests[0].body) == 12_000


@pytest.mark.parametrize("framing", ["sized", "chunked"])
async def test_a_body_may_be_as_large_as_the_limit(edge_in_front_of, upstream, framing):
    edge = await edge_in_front_of(upstream, settings="limits: {body_bytes: 100}")
    for size, expected in ((100, 200), (101, 413)):
        visitor = await edge.connect()
        body = b"Content-Length: %d\r\n\r\n" % size + b"x" * size
        if framing == "chunked":
            body = b"Transfer-Encoding: chunked\r\n\r\n32\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
                b"x" * 50,
                size - 50,
                b"x" * (size - 50),
            )
        visitor.send(P + body + GET)
        response = await visitor.response()
        assert response.status == expected
    assert response["Connection"] == "close"
    assert await visitor.wait_closed() == b""


async def test_the_edge_itself_answers_expect_continue(edge_in_front_of, upstream):
    """Otherwise the upstream would need a connection while the visitor trickles."""
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.send(P + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert (await visitor.response()).status == 100
    assert upstream.connections == 0
    visitor.send(b"hello")
    assert (await visitor.response()).body == b"ok"
    assert "Expect" not in upstream.requests[0]


async def test_a_long_target_is_a_414(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, settings="limits: {target_bytes: 300}")
    assert (await edge.get("/" + "a" * 299)).status == 200
    response = await edge.get("/" + "a" * 300)
    assert (response.status, response["Connection"]) == (414, "close")


async def test_a_connection_serves_requests_per_connection_and_no_more(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, settings="limits: {requests_per_connection: 3}")
    for last in ("/", "/_stanchion/nothing"):
        visitor = await edge.connect()
        for target in ("/", "/_stanchion/nothing"):
            assert "Connection" not in await visitor.get(target)
        assert (await visitor.get(last))["Connection"] == "close"
        assert await visitor.wait_closed() == b""


@pytest.mark.parametrize("pipelined", [1, 3])
async def test_a_visitor_that_half_closes_is_still_answered(edge_in_front_of, upstream, pipelined):
    async def slow(reader, writer):
        while True:
            await upstream.read(reader)
            await asyncio.sleep(0.1)
            writer.write(upstream.answer)

    upstream.handler = slow
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.send(GET * pipelined)
    await asyncio.sleep(0.05)
    visitor.writer.write_eof()
    for _ in range(pipelined):
        assert (await visitor.response()).body == b"ok"
    assert await visitor.wait_closed() == b""


async def test_an_incomplete_request_before_a_half_close_is_not_forwarded(edge_in_front_of, upstream):
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.send(P + b"Content-Length: 5\r\n\r\nhel")
    visitor.writer.write_eof()
    await visitor.wait_closed()
    assert not upstream.connections


async def test_connections_of_one_address_are_limited(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, settings="limits: {connections_per_address: 3}")
    visitors = [await edge.connect() for _ in range(3)]
    for visitor in visitors:
        assert (await visitor.get("/")).body == b"ok"
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await edge.get("/")
    visitors[0].writer.close()
    await asyncio.sleep(0.05)
    assert (await edge.get("/")).body == b"ok"
    assert (await visitors[1].get("/")).body == b"ok"


async def test_connections_of_trusted_proxies_are_not_limited(edge_in_front_of, upstream):
    settings = "limits: {connections_per_address: 1}\ntrusted_proxies: [127.0.0.1]"
    edge = await edge_in_front_of(upstream, settings=settings)
    for visitor in [await edge.connect() for _ in range(5)]:
        assert (await visitor.get("/")).body == b"ok"


async def test_at_the_connection_limit_newcomers_wait_and_none_is_dropped(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, settings="limits: {connections: 20}")
    inside = [await edge.connect() for _ in range(20)]
    for visitor in inside:
        assert (await visitor.get("/")).body == b"ok"
    # The kernel completes these connections; the edge has not accepted them.
    waiting = [await edge.connect() for _ in range(10)]
    asked = [asyncio.get_running_loop().create_task(visitor.get("/")) for visitor in waiting]
    await asyncio.sleep(0.3)
    assert not any(task.done() for task in asked)
    for visitor in inside:
        assert (await visitor.get("/")).body == b"ok"
    for visitor in inside[:15]:
        visitor.writer.close()
    assert [response.body for response in await asyncio.gather(*asked)] == [b"ok"] * 10
