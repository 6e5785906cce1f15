"""Upstreams as they are found in the field: what nginx and HAProxy serve is served, and nothing else is let through."""

import asyncio
import contextlib
import os
import socket
import ssl

import pytest

from tests.certificates import Pair, authority, certificate, expired_certificate
from tests.edge.conftest import Upstream

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answers(upstream: Upstream, answer: bytes, *, pieces: int = 0):
    """Return a handler that answers `/` so, in pieces of this size, and everything else well."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await upstream.read(reader)
            if " /good " in request.line:
                writer.write(GOOD)
                continue
            for at in range(0, len(answer), pieces or len(answer)):
                writer.write(answer[at : at + (pieces or len(answer))])
                await writer.drain()
                if pieces:
                    await asyncio.sleep(0)

    return handler


@pytest.mark.parametrize("pieces", [0, 1, 7])
@pytest.mark.parametrize(
    ("answer", "body", "fields"),
    [
        (b"HTTP/1.1 200 OK\nContent-Length: 2\nX-Own: a\n\nok", b"ok", {"X-Own": "a"}),
        (b"HTTP/1.0 200 OK\nContent-Length: 2\n\nok", b"ok", {}),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\nX-Own: a\r\n\nok", b"ok", {"X-Own": "a"}),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", b"ok", {}),
        (b"HTTP/1.1 200\n\nok", None, {}),
        (b"HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok", {}),
        (b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n", b"ok", {}),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2   \r\nok\r\n0     \r\n\r\n", b"ok", {}),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\t\r\nok\r\n0\r\n\r\n", b"ok", {}),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000000002\r\nok\r\n000\r\n\r\n", b"ok", {}),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n02  ;ext=1\r\nok\r\n0 ;x\r\n\r\n", b"ok", {}),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\n0\nX-Sum: 1\n\n", b"ok", {}),
    ],
)
async def test_a_response_that_others_read_too_is_served(
    edge_in_front_of, upstream, answer, body, fields, pieces
) -> None:
    upstream.handler = answers(upstream, answer, pieces=pieces)
    if body is None:
        # Without a length the end of the connection ends the body.
        async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if " / " in (await upstream.read(reader)).line:
                writer.write(answer)
            else:
                writer.write(GOOD)

        upstream.handler = closes
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    response = await visitor.get("/")
    while response.status < 200:
        response = await visitor.response()
    assert (response.status, response.body) == (200, b"ok")
    assert {name: response[name] for name in fields} == fields
    assert (await visitor.get("/good")).body == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nX: a\rb\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
        b"HTTP/1.1 200 OK\nX: a\n b\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\nX : a\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 300 + b"2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\rok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n",
    ],
)
async def test_a_fault_that_is_known_before_a_byte_was_passed_on_is_a_502(edge_in_front_of, upstream, answer) -> None:
    """Never silence: an aborted connection says nothing."""
    upstream.handler = answers(upstream, answer)
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    assert (await visitor.get("/")).status == 502
    assert (await visitor.get("/good")).body == b"ok"


async def test_a_visitors_chunks_are_read_as_strictly_as_before(edge_in_front_of, upstream) -> None:
    edge = await edge_in_front_of(upstream)
    for body in (
        b"2  \r\nhi\r\n0\r\n\r\n",
        b"2\nhi\n0\n\n",
        b"0000000000000000002\r\nhi\r\n0\r\n\r\n",
        b"2\r\nhi\n0\r\n\r\n",
    ):
        visitor = await edge.connect()
        visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert (await visitor.response()).status == 400
    assert upstream.requests == []


@pytest.mark.parametrize("count", [9, 100, 1000])
async def test_any_number_of_interim_responses_is_passed_on(edge_in_front_of, upstream, count) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    upstream.handler = answers(upstream, hint * count + GOOD)
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    for _ in range(2):
        statuses = [(await visitor.get("/")).status]
        while statuses[-1] < 200:
            statuses.append((await visitor.response()).status)
        assert statuses == [103] * count + [200]


async def test_interim_responses_without_end_are_a_502(edge_in_front_of, upstream) -> None:
    upstream.handler = answers(upstream, b"HTTP/1.1 102 Processing\r\n\r\n" * 4000)
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    response = await visitor.get("/")
    while response.status < 200:
        response = await visitor.response()
    assert response.status == 502


@pytest.mark.parametrize("how", ["reset", "reset at once", "close", "stay"])
@pytest.mark.parametrize("status", [413, 401, 403])
async def test_an_early_answer_to_an_unread_body_reaches_the_visitor(edge_in_front_of, how, status) -> None:
    """An upstream that does not want the body answers, and closes with the body unread: the kernel resets."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(100 if how != "reset at once" else 1)
                connection.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngone" % status)
                if how == "close":
                    connection.shutdown(socket.SHUT_WR)
                if how == "stay":
                    while connection.recv(65_536):
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.get_running_loop().run_in_executor(None, serve)
        upstream = Upstream()
        upstream.port = listening.getsockname()[1]
        edge = await edge_in_front_of(upstream, "breaker_failures: 2")
        for _ in range(5):
            visitor = await edge.connect()
            visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 1_000_000)
            response = await visitor.response()
            assert (response.status, response.body) == (status, b"gone")
            visitor.writer.transport.abort()
        assert edge.recorder.failures == []
        listening.shutdown(socket.SHUT_RDWR)
    await serving


@pytest.fixture
def trusted(tmp_path) -> Pair:
    return authority(tmp_path)


@contextlib.asynccontextmanager
async def over_tls(handler, pair: Pair):
    """An upstream with TLS. handler: as of `Upstream`."""
    upstream = Upstream(handler)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream.connections += 1
        try:
            await upstream.handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=pair.server_context())
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for _ in range(2):
            await asyncio.sleep(0)


def https(upstream: Upstream, trusted: Pair, host: str = "127.0.0.1", more: str = "") -> str:
    return f'url: "https://{host}:{upstream.port}", tls: {{ca_file: "{trusted.certificate}"{more}}}'


@pytest.mark.parametrize("is_cut", [True, False])
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n\r\nhalf of it", b"HTTP/1.0 200 OK\nConnection: close\n\nhalf of it"]
)
async def test_tls_that_ends_without_its_end_is_no_whole_response(
    edge_in_front_of, tmp_path, trusted, is_cut, answer
) -> None:
    """RFC 9112, 9.8: an attacker can end the TCP connection, but cannot forge a close_notify."""
    pair = certificate(tmp_path, "shop", "IP:127.0.0.1", signed_by=trusted)

    async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if is_cut:
            # As a cut cable or a middle box does it: FIN, and no alert of TLS before it.
            with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as plain:
                plain.shutdown(socket.SHUT_WR)
            await reader.read()

    async with over_tls(ends, pair) as upstream:
        edge = await edge_in_front_of(upstream, https(upstream, trusted))
        visitor = await edge.connect()
        if is_cut:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await visitor.get("/")
            assert edge.recorder.failures == ["cut"]
        else:
            assert (await visitor.get("/")).body == b"half of it"


async def test_a_private_authority_is_trusted_where_the_settings_name_it(edge_in_front_of, tmp_path, trusted) -> None:
    pair = certificate(tmp_path, "shop", "IP:127.0.0.1", "inner.example", signed_by=trusted)
    async with over_tls(None, pair) as upstream:
        edge = await edge_in_front_of(upstream, https(upstream, trusted))
        assert (await edge.get("/")).body == b"ok"
        edge = await edge_in_front_of(upstream, https(upstream, trusted, more=", server_name: inner.example"))
        assert (await edge.get("/")).body == b"ok"


async def speaks_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await reader.read()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("authority", "unable to get local issuer"),
        ("name", "mismatch"),
        ("expired", "expired"),
        ("no TLS", "wrong version"),
    ],
)
async def test_the_reason_of_a_tls_failure_is_logged(edge_in_front_of, tmp_path, trusted, caplog, fault, says) -> None:
    if fault == "expired":
        pair = expired_certificate(tmp_path, "shop", "IP:127.0.0.1", trusted)
    else:
        pair = certificate(tmp_path, "shop", "IP:127.0.0.1", signed_by=trusted)
    other = authority(tmp_path, "other") if fault == "authority" else trusted
    name = ", server_name: other.example" if fault == "name" else ""
    async with contextlib.AsyncExitStack() as stack:
        if fault == "no TLS":
            upstream = await stack.enter_async_context(Upstream(speaks_plainly))
        else:
            upstream = await stack.enter_async_context(over_tls(None, pair))
        edge = await edge_in_front_of(upstream, https(upstream, other, more=name))
        for _ in range(3):
            assert (await edge.get("/")).status == 502
    lines = [record.getMessage() for record in caplog.records if "cannot connect" in record.getMessage()]
    assert len(lines) == 1
    assert says in lines[0]
    assert upstream.url.removeprefix("http") in lines[0]
