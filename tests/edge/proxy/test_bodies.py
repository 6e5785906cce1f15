"""Bodies stream both ways at the speed of the slower end and keep their framing, or get a new one."""

import asyncio
import contextlib
import gzip
import random

import pytest

BIG = random.Random(7).randbytes(1_000_000) * 20


async def test_a_sized_body_passes_unchanged_both_ways(edge_in_front_of, upstream):
    body = gzip.compress(b"hello " * 1000)

    async def echo(reader, writer):
        while True:
            request = await upstream.read(reader)
            head = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=60\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % len(request.body))
            writer.write(request.body)

    upstream.handler = echo
    visitor = await (await edge_in_front_of(upstream)).connect()
    for _ in range(3):
        visitor.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        response = await visitor.response()
        assert response.body == body
        assert response["Content-Encoding"] == "gzip"
        assert upstream.requests[-1]["Content-Length"] == str(len(body))
    assert upstream.connections == 1


async def test_chunks_and_trailers_pass_both_ways(edge_in_front_of, upstream):
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"5;ext=1\r\nhello\r\n0006\r\n world\r\n0\r\nX-Sum: 42\r\nContent-Length: 3\r\n\r\n"
    )
    visitor = await (await edge_in_front_of(upstream)).connect()
    for _ in range(2):
        visitor.send(
            b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
            b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\nHost: evil\r\n\r\n"
        )
        response = await visitor.response()
        assert response.body == b"hello world"
        assert response.trailers == [("X-Sum", "42")]
        assert upstream.requests[-1].body == b"abc0123456789"
        assert upstream.requests[-1]["trailer X-T"] == "1"
        assert "trailer Host" not in upstream.requests[-1]


@pytest.mark.parametrize("size", [1, 2, 7, 64])
async def test_a_body_may_come_in_any_pieces(edge_in_front_of, upstream, size):
    wire = (
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nwxyz"
    )
    visitor = await (await edge_in_front_of(upstream)).connect()
    for at in range(0, len(wire), size):
        visitor.send(wire[at : at + size])
        await visitor.writer.drain()
        await asyncio.sleep(0)
    assert (await visitor.response()).body == b"ok"
    assert (await visitor.response()).body == b"ok"
    assert [request.body for request in upstream.requests] == [b"abcde", b"wxyz"]


async def test_a_body_that_ends_with_the_connection_is_chunked_for_the_visitor(edge_in_front_of, upstream):
    async def close(reader, writer):
        await upstream.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall ")
        await writer.drain()
        writer.write(b"there is")

    upstream.handler = close
    visitor = await (await edge_in_front_of(upstream)).connect()
    for _ in range(2):
        response = await visitor.get("/")
        assert response.body == b"all there is"
        assert response["Transfer-Encoding"] == "chunked"


async def test_a_response_streams_while_it_is_written(edge_in_front_of, upstream):
    go_on = asyncio.Event()

    async def slow(reader, writer):
        await upstream.read(reader)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
        )
        await go_on.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await reader.read()

    upstream.handler = slow
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await visitor.head()).status == 200
    assert await visitor.reader.readexactly(8) == b"3\r\none\r\n"
    go_on.set()
    assert await visitor.reader.readexactly(13) == b"3\r\ntwo\r\n0\r\n\r\n"


async def test_an_upload_streams_while_it_is_read(edge_in_front_of, upstream):
    """This is so for an upload that outgrows the buffer; a smaller one waits until it is whole."""
    first = asyncio.Event()

    async def slow(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(3) == b"one"
        first.set()
        assert await reader.readexactly(3) == b"two"
        writer.write(upstream.answer)
        await reader.read()

    upstream.handler = slow
    visitor = await (await edge_in_front_of(upstream, settings="limits: {body_buffer_bytes: 2}")).connect()
    visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\none")
    async with asyncio.timeout(5):
        await first.wait()
    visitor.send(b"two")
    assert (await visitor.response()).body == b"ok"


async def test_20_megabytes_pass_both_ways(edge_in_front_of, upstream):
    async def echo(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
        left = len(BIG)
        while left:
            data = await reader.read(100_000)
            left -= len(data)
            writer.write(data)
            await writer.drain()

    upstream.handler = echo
    visitor = await (await edge_in_front_of(upstream, settings="limits: {body_bytes: 30000000}")).connect()
    visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BIG) + BIG)
    response = await visitor.response()
    assert response.body == BIG


async def test_an_upstream_is_read_only_as_fast_as_the_visitor_reads(edge_in_front_of, upstream):
    written = 0

    async def endless(reader, writer):
        nonlocal written
        await upstream.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            written += 65_536
            await writer.drain()

    upstream.handler = endless
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await visitor.head()
    visitor.writer.transport.pause_reading()
    before = -1
    # Until nothing moves any more.
    while written != before:
        before = written
        await asyncio.sleep(0.2)
    # Of a gigabyte, only what the sockets' buffers hold.
    assert written < 30_000_000


async def test_a_visitor_is_read_only_as_fast_as_the_upstream_reads(edge_in_front_of, upstream):
    async def lazy(reader, writer):
        reader._transport.pause_reading()
        await asyncio.sleep(60)

    upstream.handler = lazy
    visitor = await (await edge_in_front_of(upstream, settings="limits: {body_bytes: 1000000000}")).connect()
    visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
    sent = 0
    try:
        while sent < 200_000_000:
            visitor.send(bytes(65_536))
            sent += 65_536
            async with asyncio.timeout(0.5):
                await visitor.writer.drain()
    except TimeoutError:
        pass
    visitor.writer.transport.abort()
    assert sent < 40_000_000


@pytest.mark.parametrize("how", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_a_response_cut_short_is_not_taken_for_whole(edge_in_front_of, upstream, how):
    async def cut(reader, writer):
        await upstream.read(reader)
        writer.write(f"HTTP/1.1 200 OK\r\n{how}\r\n\r\n5\r\nhello\r\n".encode())

    upstream.handler = cut
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await visitor.response()


async def test_a_response_before_the_end_of_the_upload_arrives_and_ends_the_connection(edge_in_front_of, upstream):
    async def early(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too much\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()

    upstream.handler = early
    visitor = await (await edge_in_front_of(upstream, settings="limits: {body_buffer_bytes: 2}")).connect()
    visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nxxx")
    response = await visitor.response()
    assert (response.status, response.body, response["Connection"]) == (413, b"no", "close")
    assert await visitor.wait_closed() == b""


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n",
        b"5 \r\nhello\r\n",
        b"5\nhello\n",
        b"-5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5\r\nhelloo\r\n",
        b"5\r\nhello\n",
        b"FFFFFFFFFFFFFFFFF\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"5" + b"0" * 300,
        b"0\r\nbad trailer\r\n\r\n",
    ],
)
async def test_a_chunked_body_that_breaks_its_framing_is_refused(edge_in_front_of, upstream, body):
    async def patient(reader, writer):
        await reader.read()

    upstream.handler = patient
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    response = await visitor.response()
    assert (response.status, response["Connection"]) == (400, "close")


async def test_of_an_unwanted_body_not_everything_is_read(edge_in_front_of, upstream):
    """What is read behind an early response is bounded: 64 MiB, and what is in the sockets' buffers."""
    edge = await edge_in_front_of(upstream, rate=0.001)
    await edge.get("/checkout")
    for framing in ("Content-Length: 200000000", "Transfer-Encoding: chunked"):
        visitor = await edge.connect()
        visitor.send(f"POST /checkout HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 200_000_000:
                visitor.send(b"40000\r\n" + bytes(0x40000) + b"\r\n")
                sent += 0x40000
                await visitor.writer.drain()
        assert sent < 100_000_000
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "target",
    ["/Checkout", "//checkout", "/%63heckout", "/a/../checkout", "/checkout;x", "/checkout.", "/checkout/..;/x",
     "/checkout/%2e%2e/x", "/%2563heckout", "/checkout%00", "/x%2f..%2fcheckout", "/./checkout%20"],
)  # fmt: skip
async def test_no_spelling_of_a_path_gets_past_the_room(edge_in_front_of, upstream, target):
    """The path goes on byte for byte, so the upstream reads the same path that was matched."""
    edge = await edge_in_front_of(upstream, rate=0.001)
    assert (await edge.get(target))["Stanchion-State"] == "admitted"
    assert upstream.requests[0].line == f"GET {target} HTTP/1.1"
    assert (await edge.get(target))["Stanchion-State"] == "waiting"
    assert len(upstream.requests) == 1


async def test_an_unwanted_body_is_skipped_and_ends_the_connection_if_its_end_is_unknown(edge_in_front_of, upstream):
    """The waiting page answers a POST. The bytes behind its body are a request; the body is not."""
    edge = await edge_in_front_of(upstream, rate=0.001)
    await edge.get("/checkout")
    visitor = await edge.connect()
    for _ in range(3):
        visitor.send(b"POST /checkout HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n")
        assert (await visitor.response())["Stanchion-State"] == "waiting"
        visitor.send(b"GET /smuggled HTTP/1.1\r\nHost: evil.ex\r\n\r\n"[:40])
    assert (await visitor.get("/_stanchion/status?room=checkout"))["Stanchion-State"] == "waiting"
    visitor = await edge.connect()
    visitor.send(b"POST /checkout HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nGET / HTTP/1.1\r\n")
    assert "Connection" not in await visitor.response()
    visitor.send(bytes(1_000_000 - 16))
    assert (await visitor.get("/_stanchion/status?room=checkout"))["Stanchion-State"] == "waiting"
    visitor = await edge.connect()
    visitor.send(b"POST /checkout HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nGET / HTTP/1.1\r\n")
    assert (await visitor.response())["Connection"] == "close"
    assert await visitor.wait_closed() == b""
    assert len(upstream.requests) == 1
