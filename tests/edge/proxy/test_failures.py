"""An upstream that is down, slow or broken: visitors get a clear response in time, and no request is sent twice."""

import asyncio

import pytest

from tests.edge.conftest import Upstream
from tests.ports import free_port


async def test_an_upstream_that_is_down_is_a_502_with_a_page(edge_in_front_of):
    upstream = Upstream()
    upstream.port = free_port()
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    for _ in range(2):
        response = await visitor.get("/", "Accept: text/html")
        assert response.status == 502
        assert response["Content-Type"].startswith("text/html")
        assert b"<html" in response.body
    assert (await visitor.get("/", "Accept: application/json"))["Content-Type"] == "application/problem+json"
    assert edge.outcomes == ["connect"] * 3


async def test_an_upstream_that_is_slow_is_a_504(edge_in_front_of, upstream):
    async def hangs(reader, writer):
        await reader.read()

    upstream.handler = hangs
    edge = await edge_in_front_of(upstream, "response_timeout_seconds: 0.3")
    visitor = await edge.connect()
    assert (await visitor.get("/")).status == 504
    visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
    assert (await visitor.response()).status == 504


async def test_a_response_that_stalls_is_cut(edge_in_front_of, upstream):
    async def stalls(reader, writer):
        await upstream.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await reader.read()

    upstream.handler = stalls
    edge = await edge_in_front_of(upstream, "idle_timeout_seconds: 0.3")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await edge.get("/")


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"",
        b"HTTP/1.1 200",
    ],
    ids=range(19),
)
async def test_a_response_that_cannot_be_read_becomes_a_502(edge_in_front_of, upstream, answer):
    """The next request of the same visitor is served."""

    async def broken(reader, writer):
        request = await upstream.read(reader)
        if request.line.startswith("GET /good"):
            writer.write(upstream.answer)
            await reader.read()
        else:
            writer.write(answer)

    upstream.handler = broken
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    answered = await visitor.get("/")
    while answered.status < 200:
        answered = await visitor.response()
    assert answered.status == 502
    assert (await visitor.get("/good")).body == b"ok"
    assert edge.outcomes == ["broken", "forwarded"]


async def test_bytes_that_no_request_asked_for_reach_no_visitor(edge_in_front_of, upstream):
    """A second response behind the first, or later on an idle connection, is not the next request's response."""
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    upstream.answer += poison
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    for _ in range(3):
        assert (await visitor.get("/")).body == b"ok"
    assert upstream.connections == 3

    async def later(reader, writer):
        await upstream.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await asyncio.sleep(0.05)
        writer.write(poison)
        await reader.read()

    upstream.handler = later
    assert (await visitor.get("/")).body == b"ok"
    await asyncio.sleep(0.1)
    assert (await visitor.get("/")).body == b"ok"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"])
@pytest.mark.parametrize("is_reused", [True, False], ids=["reused", "fresh"])
async def test_only_a_safe_unanswered_request_on_a_used_connection_is_sent_again(
    edge_in_front_of, upstream, method, is_reused
):
    lost = []

    async def forgets(reader, writer):
        while True:
            request = await upstream.read(reader)
            if request.line.startswith("GET /first") or (lost and is_reused):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                continue
            lost.append(request)
            return

    upstream.handler = forgets
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    if is_reused:
        await visitor.get("/first")
    visitor.send(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    response = await visitor.response(method)
    is_safe = method in ("GET", "HEAD", "OPTIONS")
    assert response.status == (200 if is_reused and is_safe else 502)
    sent = [request for request in upstream.requests if request.line.startswith(method + " / ")]
    assert len(sent) == (2 if is_reused and is_safe else 1)


async def test_a_safe_request_with_a_body_is_not_sent_again(edge_in_front_of, upstream):
    async def forgets(reader, writer):
        await upstream.read(reader)
        writer.write(upstream.answer)
        await upstream.read(reader)

    upstream.handler = forgets
    visitor = await (await edge_in_front_of(upstream)).connect()
    await visitor.get("/")
    visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
    assert (await visitor.response()).status == 502
    assert len(upstream.requests) == 2


async def test_no_more_connections_than_allowed_go_to_the_upstream(edge_in_front_of, upstream):
    async def slow(reader, writer):
        while True:
            await upstream.read(reader)
            await asyncio.sleep(0.02)
            writer.write(upstream.answer)

    upstream.handler = slow
    edge = await edge_in_front_of(upstream, "max_connections: 3")
    responses = await asyncio.gather(*(edge.get("/") for _ in range(30)))
    assert [response.body for response in responses] == [b"ok"] * 30
    assert upstream.connections == 3


async def test_a_visitor_that_waits_too_long_for_an_upstream_connection_gets_a_504(edge_in_front_of, upstream):
    async def hangs(reader, writer):
        await reader.read()

    upstream.handler = hangs
    edge = await edge_in_front_of(upstream, "max_connections: 1, response_timeout_seconds: 0.4")
    responses = await asyncio.gather(*(edge.get("/") for _ in range(3)))
    assert [response.status for response in responses] == [504] * 3
