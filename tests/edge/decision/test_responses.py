"""The fields that every response of the edge's own has. Responses of the upstream are left as they are."""

import re

import pytest

DENY = "abuse: {deny: [192.0.2.0/24]}\ntrusted_proxies: [127.0.0.1]"
HTML = "Accept: text/html"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /checkout HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n", 200),
        (b"GET /checkout HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /_stanchion/status?room=checkout HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /_stanchion/status?room=none HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /_stanchion/nothing HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n", 404),
        (b"POST /_stanchion/status HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nAccept: text/html\r\n\r\n", 403),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 9000), 414),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n", 502),
        (b"GET /gone HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n", 502),
    ],
)
async def test_every_response_of_the_edge_is_not_stored_and_not_sniffed(edge_in_front_of, upstream, raw, status):
    async def hangs_up(reader, _):
        await upstream.read(reader)

    upstream.handler = hangs_up
    edge = await edge_in_front_of(upstream, settings=DENY, rate=0.001)
    first = await edge.get("/checkout")  # takes the only token
    assert first.status == 502
    visitor = await edge.connect()
    visitor.send(raw)
    response = await visitor.response()
    assert response.status == status
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "no-store"
    assert "Server" not in response
    assert response["Date"]
    if response.all("Content-Type") == ["text/html; charset=utf-8"]:
        assert "default-src 'none'" in response["Content-Security-Policy"]
        assert "unsafe" not in response["Content-Security-Policy"]
        assert response["Referrer-Policy"] == "same-origin"


async def test_static_files_are_not_sniffed(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, rate=0.001)
    await edge.get("/checkout")
    page = (await edge.get("/checkout", HTML)).body.decode()
    files = re.findall(r'(/_stanchion/static/[^"]+)', page)
    assert len(files) > 1
    for file in files:
        response = await edge.get(file)
        assert response.status == 200
        assert response["X-Content-Type-Options"] == "nosniff"


async def test_a_response_of_the_upstream_gets_no_such_fields(edge_in_front_of, upstream):
    upstream.answer = b"HTTP/1.1 200 OK\r\nServer: shop\r\nContent-Length: 2\r\n\r\nok"
    response = await (await edge_in_front_of(upstream)).get("/")
    assert response["Server"] == "shop"
    assert "X-Content-Type-Options" not in response
    assert "Cache-Control" not in response
