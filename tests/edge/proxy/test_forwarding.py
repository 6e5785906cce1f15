"""What trusted proxies say about a visitor: what the upstream is told, and which room the visitor is in."""

import pytest

TRUSTED = 'trusted_proxies: ["127.0.0.1", "10.0.0.0/8"]'
VISITOR = "X-Forwarded-For: 192.0.2.7, 10.0.0.2"
ROOM = 'match: {host: www.shop.test, paths: ["/checkout*"]}'


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (["X-Forwarded-Proto: wss"], {"Proto": ["https"]}),
        (["X-Forwarded-Proto: https,http"], {"Proto": ["https"]}),
        (["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], {"Proto": ["https"]}),
        (["X-Forwarded-Port: 8443"], {"Port": ["8443"], "Proto": ["http"]}),
        (["X-Forwarded-Port: 1, 8443, 80"], {"Port": ["8443"]}),
        (["X-Forwarded-Port: none"], {"Port": []}),
        (["X-Forwarded-Host: www.shop.test:8443, inner"], {"Host": ["www.shop.test:8443"]}),
        (["X-Forwarded-Host: not a host"], {"Host": ["shop.example"]}),
        ([], {"Proto": ["http"], "Port": [], "Host": ["shop.example"], "For": ["192.0.2.7, 10.0.0.2, 127.0.0.1"]}),
    ],
)
async def test_the_upstream_is_told_what_was_believed(upstream, edge_in_front_of, sent, told) -> None:
    edge = await edge_in_front_of(upstream, settings=TRUSTED)
    visitor = await edge.connect()
    # The same from the caches of heads.
    for _ in range(3):
        await visitor.get("/", VISITOR, *sent)
    for request in upstream.requests:
        assert {name: request.all(f"X-Forwarded-{name}") for name in told} == told


@pytest.mark.parametrize(
    ("sent", "visitor", "scheme"),
    [
        ('Forwarded: for="[2001:db8::7]:4711";proto=https', "2001:db8::7", "https"),
        ("Forwarded: for=192.0.2.7;proto=https, for=10.0.0.2;proto=http", "192.0.2.7", "https"),
        ("Forwarded: for=192.0.2.7;proto=http;host=shop.example", "192.0.2.7", "http"),
        ("X-Forwarded-For: ::ffff:192.0.2.7", "192.0.2.7", "http"),
    ],
)
async def test_other_spellings_end_in_the_same_fields(upstream, edge_in_front_of, sent, visitor, scheme) -> None:
    edge = await edge_in_front_of(upstream, settings=TRUSTED)
    await edge.get("/", sent)
    [request] = upstream.requests
    assert request["X-Forwarded-For"].split(", ")[0] == visitor
    assert request["X-Forwarded-Proto"] == scheme
    assert "Forwarded" not in request


async def test_a_stranger_says_nothing(upstream, edge_in_front_of) -> None:
    edge = await edge_in_front_of(upstream, settings='trusted_proxies: ["10.0.0.0/8"]')
    await edge.get("/", VISITOR, "X-Forwarded-Port: 1", "X-Forwarded-Proto: https", "Forwarded: for=6.6.6.6")
    [request] = upstream.requests
    assert request["X-Forwarded-For"] == "127.0.0.1"
    assert request["X-Forwarded-Proto"] == "http"
    assert request.all("X-Forwarded-Port") == []


@pytest.mark.parametrize(
    ("host", "forwarded", "is_covered"),
    [
        ("edge.internal", "X-Forwarded-Host: www.shop.test", True),
        ("edge.internal", "X-Forwarded-Host: WWW.Shop.Test:8443", True),
        ("edge.internal", "X-Forwarded-Host: evil.test, www.shop.test, edge.internal", True),
        ("edge.internal", "X-Forwarded-Host: other.test", False),
        ("edge.internal", "Accept: */*", False),
        # a visitor's own field, passed on by a proxy that preserves Host, leads out of no room
        ("www.shop.test", "X-Forwarded-Host: other.test", True),
        ("www.shop.test:", "Accept: */*", True),
    ],
)
async def test_the_host_that_the_visitor_asked_for_chooses_the_room(
    upstream, edge_in_front_of, host, forwarded, is_covered
) -> None:
    edge = await edge_in_front_of(upstream, settings=TRUSTED, room=ROOM)
    visitor = await edge.connect()
    for _ in range(3):
        visitor.send(f"GET /checkout HTTP/1.1\r\nHost: {host}\r\n{VISITOR}\r\n{forwarded}\r\n\r\n".encode())
        response = await visitor.response()
        assert ("Stanchion-State" in response) == is_covered


async def test_a_host_with_an_empty_port_is_served(upstream, edge_in_front_of) -> None:
    """RFC 3986, 3.2.3: an empty port is the default port."""
    edge = await edge_in_front_of(upstream)
    for host in ("shop.example:", "127.0.0.1:", "[::1]:"):
        visitor = await edge.connect()
        visitor.send(f"GET /checkout HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert (await visitor.response()).status == 200
    for host in ("shop.example:x", ":", "shop.example::", "a:65536"):
        visitor = await edge.connect()
        visitor.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert (await visitor.response()).status == 400
