"""The PROXY protocol: which visitor a proxy's connection is for. Only trusted peers may say it, and they must."""

import asyncio
import ipaddress
import socket
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.proxy.proxy_header import SIGNATURE, BadProxyHeader, HeaderReader, ProxyHeader
from tests.certificates import certificate, client_context

LISTEN = '{url: "tcp://127.0.0.1:0", proxy_protocol: true}'
TRUSTED = 'trusted_proxies: ["127.0.0.1"]'


PORTS = b"\xc8\x22\x01\xbb"


def addresses(source: str, target: str) -> bytes:
    return ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed + PORTS


IPV4 = addresses("192.0.2.7", "203.0.113.1")
IPV6 = addresses("2001:db8::7", "2001:db8::1")
MAPPED = addresses("::ffff:192.0.2.7", "::1")


def version_2(command: int = 1, family: int = 0x11, body: bytes | None = None, more: bytes = b"") -> bytes:
    if body is None:
        body = (
            ipaddress.ip_address("192.0.2.7").packed + ipaddress.ip_address("203.0.113.1").packed + b"\xc8\x22\x01\xbb"
        )
    body += more
    return SIGNATURE + bytes((0x20 | command, family)) + len(body).to_bytes(2, "big") + body


TLS_TLV = b"\x20\x00\x05\x01\x00\x00\x00\x00"
OTHER_TLV = b"\x04\x00\x03abc"

GOOD = [
    (b"PROXY TCP4 192.0.2.7 203.0.113.1 51234 443\r\n", ProxyHeader("192.0.2.7", False)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n", ProxyHeader("2001:db8::7", False)),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:203.0.113.1 0 65535\r\n", ProxyHeader("192.0.2.7", False)),
    (b"PROXY UNKNOWN\r\n", ProxyHeader(None, False)),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ProxyHeader(None, False)),
    (version_2(), ProxyHeader("192.0.2.7", False)),
    (version_2(family=0x21, body=IPV6), ProxyHeader("2001:db8::7", False)),
    (version_2(family=0x21, body=MAPPED), ProxyHeader("192.0.2.7", False)),
    (version_2(more=OTHER_TLV + TLS_TLV), ProxyHeader("192.0.2.7", True)),
    (version_2(more=b"\x20\x00\x05\x00\x00\x00\x00\x00" + OTHER_TLV), ProxyHeader("192.0.2.7", False)),
    (version_2(command=0, family=0, body=b""), ProxyHeader(None, False)),
    (version_2(command=0), ProxyHeader(None, False)),
    (version_2(family=0x31, body=b"\0" * 216), ProxyHeader(None, False)),
    (version_2(family=0, body=b""), ProxyHeader(None, False)),
]
BAD = [
    b"GET / HTTP/1.1\r\n",
    b"PROXY TCP4 192.0.2.7 203.0.113.1 51234\r\n",
    b"PROXY TCP4 2001:db8::7 203.0.113.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.700 203.0.113.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 203.0.113.1 1 65536\r\n",
    b"PROXY TCP4 192.0.2.7 203.0.113.1 1 2\n",
    b"PROXY TCP4 192.0.2.7  203.0.113.1 1 2\r\n",
    b"PROXY UDP4 192.0.2.7 203.0.113.1 1 2\r\n",
    b"PROXY " + b"x" * 200,
    b"PROXY UNKNOWN" + b" " * 120 + b"\r\n",
    b"proxy TCP4 192.0.2.7 203.0.113.1 1 2\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    SIGNATURE + b"\x11\x11\x00\x0c" + b"\0" * 12,
    SIGNATURE + b"\x22\x11\x00\x0c" + b"\0" * 12,
    SIGNATURE + b"\x21\x11\x00\x04" + b"\0" * 4,
    SIGNATURE + b"\x21\x11\xff\xff",
    version_2(more=b"\x04\x00\x09abc"),
]


def read(data: bytes, cuts: tuple[int, ...] = ()) -> tuple[ProxyHeader | None, bytes]:
    """Send the data in pieces; return the header and the bytes that are left in the socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        reader = HeaderReader(theirs)
        header = None
        bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        for begin, end in pairwise(bounds):
            ours.sendall(data[begin:end])
            if header is None:
                header = reader.read()
        try:
            return header, theirs.recv(65_536)
        except BlockingIOError:
            return header, b""


@pytest.mark.parametrize(("header", "means"), GOOD)
def test_a_header_is_read_to_its_last_byte(header: bytes, means: ProxyHeader) -> None:
    assert read(header + b"\x16\x03\x01") == (means, b"\x16\x03\x01")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(GOOD), st.lists(st.integers(0, 400), max_size=8), st.binary(max_size=20))
def test_a_header_may_come_in_pieces(good: tuple[bytes, ProxyHeader], cuts: list[int], behind: bytes) -> None:
    header, means = good
    assert read(header + behind, tuple(cuts)) == (means, behind)


@pytest.mark.parametrize("data", BAD)
def test_anything_else_is_a_fault(data: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        read(data)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(GOOD), st.integers(0, 250), st.integers(1, 255))
def test_a_damaged_header_is_read_or_refused_and_nothing_else(
    good: tuple[bytes, ProxyHeader], at: int, flip: int
) -> None:
    data = bytearray(good[0])
    data[at % len(data)] ^= flip
    with suppress(BadProxyHeader):
        read(bytes(data))


@pytest.mark.parametrize(("header", "visitor"), [
    (b"PROXY TCP4 192.0.2.7 203.0.113.1 51234 443\r\n", "192.0.2.7"),
    (version_2(family=0x21, body=IPV6), "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
])  # fmt: skip
async def test_the_upstream_is_told_the_visitor_behind_the_proxy(upstream, edge_in_front_of, header, visitor) -> None:
    edge = await edge_in_front_of(upstream, listen=LISTEN, settings=TRUSTED)
    for _ in range(2):
        connection = await edge.connect(first=header)
        assert (await connection.get("/")).status == 200
        assert (await connection.get("/", "X-Forwarded-For: 6.6.6.6")).status == 200
    told = [request["X-Forwarded-For"] for request in upstream.requests]
    assert told[0] == visitor
    # Where the proxy speaks for itself it is a trusted peer, and its own field counts.
    assert told[1] == ("6.6.6.6, 127.0.0.1" if visitor == "127.0.0.1" else visitor)


async def test_the_proxy_says_that_its_visitor_uses_tls(upstream, edge_in_front_of) -> None:
    edge = await edge_in_front_of(upstream, listen=LISTEN, settings=TRUSTED)
    response = await (await edge.connect(first=version_2(more=TLS_TLV))).get("/checkout")
    assert "; Secure" in response["Set-Cookie"]
    assert upstream.requests[0]["X-Forwarded-Proto"] == "https"


async def test_a_header_comes_before_the_tls_handshake(upstream, edge_in_front_of, tmp_path) -> None:
    shop = certificate(tmp_path, "shop.example")
    listen = f'{{url: "tls://127.0.0.1:0", {shop.setting}, proxy_protocol: true}}'
    edge = await edge_in_front_of(upstream, listen=listen, settings=TRUSTED)
    for header, _ in GOOD[:3]:
        visitor = await edge.connect(client_context(shop), "shop.example", first=header)
        assert (await visitor.get("/")).status == 200
    assert [each["X-Forwarded-For"] for each in upstream.requests] == ["192.0.2.7", "2001:db8::7", "192.0.2.7"]
    assert {each["X-Forwarded-Proto"] for each in upstream.requests} == {"https"}


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n", b"PROXY TCP4 oops\r\n", b"\r\n" * 10]
)
async def test_a_trusted_peer_without_a_header_is_cut(upstream, edge_in_front_of, first) -> None:
    edge = await edge_in_front_of(upstream, listen=LISTEN, settings=TRUSTED)
    with suppress(ConnectionResetError):
        assert await (await edge.connect(first=first)).wait_closed() == b""
    assert upstream.connections == 0


async def test_another_peer_is_served_as_itself_and_may_say_nothing(upstream, edge_in_front_of) -> None:
    edge = await edge_in_front_of(upstream, listen=LISTEN, settings='trusted_proxies: ["192.0.2.99"]')
    assert (await edge.get("/")).status == 200
    assert upstream.requests[0]["X-Forwarded-For"] == "127.0.0.1"
    visitor = await edge.connect(first=b"PROXY TCP4 192.0.2.7 203.0.113.1 51234 443\r\n")
    visitor.send(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert (await visitor.response()).status == 400
    assert len(upstream.requests) == 1


async def test_a_header_that_never_ends_is_cut_in_time(upstream, edge_in_front_of) -> None:
    edge = await edge_in_front_of(upstream, listen=LISTEN, settings=f"{TRUSTED}\nlimits: {{head_seconds: 0.5}}")
    visitors = [await edge.connect(first=first) for first in (b"", b"PROXY TCP4 192.0", SIGNATURE + b"\x21")]
    for visitor in visitors:
        assert await visitor.wait_closed() == b""
    async with asyncio.timeout(5):
        while edge.server.connection_count:
            await asyncio.sleep(0.02)


async def test_the_limit_of_connections_counts_the_visitor_behind_the_proxy(upstream, edge_in_front_of) -> None:
    edge = await edge_in_front_of(
        upstream, listen=LISTEN, settings=f"{TRUSTED}\nlimits: {{connections_per_address: 2}}"
    )
    header = b"PROXY TCP4 192.0.2.7 203.0.113.1 51234 443\r\n"
    visitors = [await edge.connect(first=header) for _ in range(2)]
    for visitor in visitors:
        assert (await visitor.get("/")).status == 200
    third = await edge.connect(first=header)
    assert await third.wait_closed() == b""
    other = await edge.connect(first=b"PROXY TCP4 192.0.2.8 203.0.113.1 51234 443\r\n")
    assert (await other.get("/")).status == 200
