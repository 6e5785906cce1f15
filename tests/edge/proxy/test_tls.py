"""Visitors over TLS: the same proxy behind a handshake, certificates by name, certificates that change."""

import asyncio
import shutil
import socket
import ssl
import struct
from pathlib import Path

import pytest

from edge.settings.loading import parse_settings
from tests.certificates import Pair, certificate, client_context
from tests.edge.conftest import Upstream


def tls_listener(pair: Pair, more: str = "") -> str:
    return f'{{url: "tls://127.0.0.1:0", {pair.setting}{more}}}'


@pytest.fixture
def shop(tmp_path: Path) -> Pair:
    return certificate(tmp_path, "shop.example")


async def test_a_request_over_tls_reaches_the_upstream_as_https(upstream, edge_in_front_of, shop) -> None:
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    visitor = await edge.connect(client_context(shop), "shop.example")
    for _ in range(3):
        assert (await visitor.get("/")).body == b"ok"
    assert {request["X-Forwarded-Proto"] for request in upstream.requests} == {"https"}


async def test_a_pass_given_over_tls_is_secure(upstream, edge_in_front_of, shop) -> None:
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    response = await (await edge.connect(client_context(shop), "shop.example")).get("/checkout")
    assert response["Set-Cookie"].startswith("__Host-stanchion_checkout=")
    assert "; Secure" in response["Set-Cookie"]


async def test_large_bodies_pass_both_ways(upstream, edge_in_front_of, shop) -> None:
    body = bytes(range(256)) * 4000
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    visitor = await edge.connect(client_context(shop), "shop.example")
    visitor.send(b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    assert (await visitor.response()).body == body
    assert upstream.requests[0].body == body


async def test_a_response_that_ends_the_connection_arrives_whole(upstream, edge_in_front_of, shop) -> None:
    body = b"x" * 3_000_000
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    visitor = await edge.connect(client_context(shop), "shop.example")
    response = await visitor.get("/", "Connection: close")
    assert response.body == body
    assert await visitor.wait_closed() == b""


async def test_a_refusal_reaches_a_visitor_that_still_sends(upstream, edge_in_front_of, shop) -> None:
    edge = await edge_in_front_of(upstream, settings="limits: {body_bytes: 1000}", listen=tls_listener(shop))
    visitor = await edge.connect(client_context(shop), "shop.example")
    visitor.send(b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 200000\r\n\r\n" + b"x" * 50_000)
    assert (await visitor.response()).status == 413


async def test_a_tunnel_runs_over_tls(edge_in_front_of, shop) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data)

    async with Upstream(echo) as upstream:
        edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
        visitor = await edge.connect(client_context(shop), "shop.example")
        visitor.send(b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        assert (await visitor.head()).status == 101
        visitor.send(b"hello")
        assert await visitor.reader.readexactly(5) == b"hello"
        visitor.writer.close()


@pytest.mark.parametrize(
    ("asked", "shown"),
    [("shop.example", "shop.example"), ("www.other.example", "other"), ("a.b.other.example", "shop.example"),
     ("other.example", "shop.example"), ("WWW.Other.Example", "other"), ("exact.other.example", "exact"),
     ("", "shop.example")],
)  # fmt: skip
async def test_the_name_chooses_the_certificate(upstream, edge_in_front_of, tmp_path, shop, asked, shown) -> None:
    other = certificate(tmp_path, "other", "*.other.example", rsa=True)
    exact = certificate(tmp_path, "exact", "exact.other.example")
    more = f", more_certificates: [{{{other.setting}}}, {{{exact.setting}}}]"
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop, more))
    assert await shown_certificate(edge, asked) == (tmp_path / f"{shown}.crt").read_text()


async def shown_certificate(edge, name: str = "shop.example") -> str:
    anything = ssl.create_default_context()
    anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
    visitor = await edge.connect(anything, name)
    assert (await visitor.get("/")).status == 200
    der = visitor.writer.get_extra_info("ssl_object").getpeercert(True)
    return ssl.DER_cert_to_PEM_cert(der)


async def wait_shown(edge, pair: Pair) -> None:
    async with asyncio.timeout(10):
        while await shown_certificate(edge) != pair.certificate.read_text():
            await asyncio.sleep(0.05)


async def test_changed_files_are_read_again_and_connections_go_on(upstream, edge_in_front_of, tmp_path, shop) -> None:
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    before = await edge.connect(client_context(shop), "shop.example")
    await before.get("/")
    fresh = certificate(tmp_path, "fresh", "shop.example")
    shutil.copy(fresh.key, shop.key)
    shutil.copy(fresh.certificate, shop.certificate)
    await wait_shown(edge, fresh)
    assert (await before.get("/")).status == 200


async def test_files_that_do_not_fit_leave_the_old_certificate(
    upstream, edge_in_front_of, tmp_path, shop, caplog
) -> None:
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    old = shop.certificate.read_text()
    fresh = certificate(tmp_path, "fresh", "shop.example")
    shutil.copy(fresh.certificate, shop.certificate)
    async with asyncio.timeout(10):
        while "does not belong to the certificate" not in caplog.text:
            await asyncio.sleep(0.05)
    assert await shown_certificate(edge) == old
    # The key comes later: now they fit.
    shutil.copy(fresh.key, shop.key)
    await wait_shown(edge, fresh)


async def test_a_reload_takes_other_files(upstream, edge_in_front_of, tmp_path, shop) -> None:
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    fresh = certificate(tmp_path, "fresh", "shop.example", rsa=True)
    text = f"""
listen: [{tls_listener(fresh)}]
secret_keys_env: KEYS
upstream: {{url: "{upstream.url}"}}
rooms: [{{name: sale, match: {{paths: ["/sale"]}}, capacity: {{admissions_per_second: 1}}}}]
"""
    edge.server.use(parse_settings(text), edge.server.state.decider)
    assert await shown_certificate(edge) == fresh.certificate.read_text()


async def test_http11_is_agreed_on_and_old_versions_are_not(upstream, edge_in_front_of, shop, caplog) -> None:
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    visitor = await edge.connect(client_context(shop, "h2", "http/1.1"), "shop.example")
    assert visitor.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    old = client_context(shop)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await edge.connect(old, "shop.example")
    assert "unsupported protocol" in caplog.text


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, b"\0" * 300]
)
async def test_bytes_that_are_no_handshake_end_the_connection(upstream, edge_in_front_of, shop, first) -> None:
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    visitor = await edge.connect(first=first)
    await visitor.wait_closed()
    assert (await (await edge.connect(client_context(shop), "shop.example")).get("/")).status == 200
    assert upstream.connections == 1


async def test_a_silent_handshake_ends_after_the_time_for_a_head(upstream, edge_in_front_of, shop) -> None:
    edge = await edge_in_front_of(upstream, settings="limits: {head_seconds: 0.5}", listen=tls_listener(shop))
    silent = await edge.connect()
    slow = await edge.connect(first=b"\x16\x03\x01")
    assert await silent.wait_closed() == b""
    assert await slow.wait_closed() == b""
    async with asyncio.timeout(5):
        while edge.server.connection_count:
            await asyncio.sleep(0.02)


async def test_handshakes_count_as_connections(upstream, edge_in_front_of, shop) -> None:
    edge = await edge_in_front_of(upstream, settings="limits: {connections_per_address: 3}", listen=tls_listener(shop))
    silent = [await edge.connect() for _ in range(3)]
    async with asyncio.timeout(5):
        while edge.server.connection_count < 3:
            await asyncio.sleep(0.02)
    assert await (await edge.connect()).wait_closed() == b""
    for each in silent:
        each.writer.transport.abort()
    async with asyncio.timeout(5):
        while edge.server.connection_count:
            await asyncio.sleep(0.02)
    assert (await (await edge.connect(client_context(shop), "shop.example")).get("/")).status == 200


async def test_a_drain_finishes_what_is_under_way_over_tls(edge_in_front_of, shop) -> None:
    answer = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await answer.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()

    async with Upstream(slow) as upstream:
        edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
        visitor = await edge.connect(client_context(shop), "shop.example")
        asked = asyncio.ensure_future(visitor.get("/"))
        async with asyncio.timeout(5):
            while not upstream.connections:
                await asyncio.sleep(0.01)
        stopping = asyncio.ensure_future(edge.stop(5))
        await asyncio.sleep(0)
        answer.set()
        assert (await asked).body == b"ok"
        assert await visitor.wait_closed() == b""
        await stopping


async def test_a_drain_does_not_wait_for_a_visitor_that_reads_no_more(upstream, edge_in_front_of, shop) -> None:
    """A client that keeps idle connections in a pool answers the end of TLS when it uses one again."""
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    visitor = await edge.connect(client_context(shop), "shop.example")
    assert (await visitor.get("/")).status == 200
    visitor.writer.transport.pause_reading()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await edge.stop(25)
    assert loop.time() - began < 15


async def test_a_reset_in_the_handshake_is_forgotten(upstream, edge_in_front_of, shop) -> None:
    edge = await edge_in_front_of(upstream, listen=tls_listener(shop))
    for first in (b"", b"\x16\x03\x01\x02\x00\x01"):
        with socket.create_connection(("127.0.0.1", edge.port)) as visitor:
            visitor.sendall(first)
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert (await (await edge.connect(client_context(shop), "shop.example")).get("/")).status == 200
    async with asyncio.timeout(5):
        while edge.server.connection_count > 1:
            await asyncio.sleep(0.02)
