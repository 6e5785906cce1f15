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


async def test_a_file_of_another_version_is_served_but_not_kept(edge_in_front_of, upstream):
    """In a rolling upgrade a page of one version asks a node of another one for its files."""
    edge = await edge_in_front_of(upstream, rate=0.001)
    for file in ("waiting.00000000.css", "waiting.0123abcd.js", "proof.ffffffff.js", "icon.00000000.svg"):
        response = await edge.get(f"/_stanchion/static/{file}")
        assert (response.status, response["Cache-Control"]) == (200, "no-store"), file
        assert response.body
    for file in ("other.00000000.css", "waiting.css", "waiting.0000.css", "waiting.00000000.png"):
        assert (await edge.get(f"/_stanchion/static/{file}")).status == 404


@pytest.mark.parametrize(("limit", "words"), [(0, "0 bytes"), (1000, "1000 bytes"), (2_621_440, "2.5 MB")])
async def test_a_body_that_is_too_large_gets_a_page_that_a_person_understands(edge_in_front_of, upstream, limit, words):
    """Its size in the usual unit, and no button that would only load the address again."""
    edge = await edge_in_front_of(upstream, settings=f"limits: {{body_bytes: {limit}}}")
    visitor = await edge.connect()
    head = f"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {limit + 1}\r\nAccept: text/html\r\n\r\n"
    visitor.send(head.encode())
    response = await visitor.response()
    page = response.body.decode()
    assert response.status == 413
    assert "larger than the shop accepts" in page
    assert f"Error 413: the body is larger than {words}" in page
    assert '<p hidden><a class="button"' in page
