"""A request with two readings is refused and its connection closed. Neither it nor bytes behind it are forwarded."""

import pytest

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
G, H = b"GET / HTTP/1.1\r\n", b"Host: a\r\n"
P = b"POST / HTTP/1.1\r\nHost: a\r\n"

CODINGS = [
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: \x0bchunked",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: chunked\r\n x",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: ,",
    b" Transfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"Transfer\x00-Encoding: chunked",
    b"Transfer-Encoding: chunk\x00ed",
    b"Transfer-Encoding\x0b: chunked",
    b"Transfer-Encoding: ch\xc5\xbfunked",
    b"Transfer_Encoding:\tchunked\r\nTransfer-Encoding: cow",
]
LENGTHS = [
    b"Content-Length: +5",
    b"Content-Length: -5",
    b"Content-Length: 0x5",
    b"Content-Length: 5 5",
    b"Content-Length: 5,5",
    b"Content-Length: 5\r\nContent-Length: 5",
    b"Content-Length: 5\r\ncontent-length: 6",
    b"Content-Length: 99999999999999999999999999",
    b"Content-Length: 18446744073709551621",
    b"Content-Length: ",
    b"Content-Length: 5\x00",
    b"Content-Length : 5",
    b"Content-Length: 1_0",
    b"Content-Length: \xd9\xa5",
    b"Content-Length: 5.0",
    b"Content-Length: 5\r\n 5",
    b"Content-Length: 5e0",
]
LINES = [
    b"GET / HTTP/1.1\n",
    b"GET /\r\n",
    b"GET / \r\n",
    b"GET  / HTTP/1.1\r\n",
    b"GET /  HTTP/1.1\r\n",
    b"GET\t/ HTTP/1.1\r\n",
    b" GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1 \r\n",
    b"GET /a b HTTP/1.1\r\n",
    b"GET /\x00 HTTP/1.1\r\n",
    b"GET /\xff HTTP/1.1\r\n",
    b"GET /#a HTTP/1.1\r\n",
    b"GET a HTTP/1.1\r\n",
    b"GET * HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"GET http://b/ HTTP/1.1\r\n",
    b"GET http://a@b/ HTTP/1.1\r\n",
    b"GET http://a:x/ HTTP/1.1\r\n",
    b"GET http:///x HTTP/1.1\r\n",
    b"GET ftp://a/ HTTP/1.1\r\n",
    b"CONNECT a:443 HTTP/1.1\r\n",
    b"CONNECT / HTTP/1.1\r\n",
    b"TRACE / HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n",
    b"GET / HTTP/0.9\r\n",
    b"GET / HTTP/1.2\r\n",
    b"GET / HTTP/2.0\r\n",
    b"GET / HTTP/2\r\n",
    b"GET / http/1.1\r\n",
    b"GET / HTTP/1.10\r\n",
    b"GET / HTTP/01.1\r\n",
    b"GET / RTSP/1.0\r\n",
    b"GE(T / HTTP/1.1\r\n",
    b"FROB / HTTP/1.1\r\n",
    b"get / HTTP/1.1\r\n",
    b"\r\n\r\n\r\nGET / HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n",
]
HOSTS = [
    b"",
    b"Host:\r\n",
    b"Host: a\r\nHost: b\r\n",
    b"Host: a\r\nhost: a\r\n",
    b"Host: a,b\r\n",
    b"Host: a b\r\n",
    b"Host: u@a\r\n",
    b"Host: a/b\r\n",
    b"Host: a/..\r\n",
    b"Host: a:b\r\n",
    b"Host: a:99999\r\n",
    b"Host: a#\r\n",
    b"Host: [::1\r\n",
    b"Host: \xff\r\n",
    b"Host : a\r\n",
    b" Host: a\r\n",
    b"Host: .\r\n",
]
OTHERS = [
    b"X: a\x00b\r\n",
    b"X: a\x01b\r\n",
    b"X: a\x7fb\r\n",
    b"X: a\r\n b\r\n",
    b"X: a\r\n\tb\r\n",
    b"X: a\n",
    b"X: a\r",
    b"X\r\n",
    b": a\r\n",
    b"X y: a\r\n",
    b"X\xff: a\r\n",
    b"(X): a\r\n",
    b"X: a\r\r\n",
]
CASES = {
    "coding": [P + coding + b"\r\n\r\n0\r\n\r\n" for coding in CODINGS],
    "coding and length": [P + b"Content-Length: 5\r\n" + coding + b"\r\n\r\n0\r\n\r\n" for coding in CODINGS],
    "length and coding": [
        P + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    "length": [P + length + b"\r\n\r\nhello" for length in LENGTHS],
    "line": [line + H + b"\r\n" for line in LINES],
    "host": [G + host + b"\r\n" for host in HOSTS],
    "other": [G + H + other + b"\r\n" for other in OTHERS],
}


@pytest.mark.parametrize(
    "payload", [pytest.param(case, id=f"{name} {at}") for name, cases in CASES.items() for at, case in enumerate(cases)]
)
async def test_a_request_with_two_readings_is_not_forwarded(edge_in_front_of, upstream, payload):
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    visitor.send(payload + SMUGGLED)
    response = await visitor.response()
    assert response.status in (400, 414, 417, 431, 501, 505)
    assert response["Connection"] == "close"
    assert await visitor.wait_closed() == b""
    assert not upstream.requests
    assert not upstream.connections


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 20_000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 150 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 5000, 431),
        (b"FROB / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ],
)
async def test_a_refusal_has_the_status_of_its_reason(edge_in_front_of, upstream, head, status):
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.send(head)
    assert (await visitor.response()).status == status
    assert not upstream.requests


async def test_a_refused_head_does_not_affect_other_connections(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream)
    good = await edge.connect()
    for payload in CASES["line"] + CASES["coding"]:
        bad = await edge.connect()
        bad.send(payload)
        await bad.response()
        assert (await good.get("/", "Connection: keep-alive")).body == b"ok"
