"""Which fields go on, in both directions: all that belong to the ends, none that belong to the hop."""

import pytest


async def test_the_target_is_passed_on_byte_for_byte(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream)
    for target in ("/a%2Fb/../c?q=%27%41&r='A", "//double", "/%e2%82%ac", "/a;p=1?x=a%20b+c", "/?", "/a|b{c}"):
        await edge.get(target)
        assert upstream.requests[-1].line == f"GET {target} HTTP/1.1"


async def test_repeated_fields_stay_apart_and_in_order_both_ways(edge_in_front_of, upstream):
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nX-Many: 1\r\nset-cookie: b=2\r\nX-Many: 2\r\n"
        b"Content-Length: 0\r\nSet-Cookie: a=3, x\r\n\r\n"
    )
    edge = await edge_in_front_of(upstream)
    response = await edge.get("/", "X-B: 1", "Accept: text/html", "x-b: 2", "X-Empty:", "X-B: 3")
    assert response.all("Set-Cookie") == ["a=1; Path=/", "b=2", "a=3, x"]
    assert response.all("X-Many") == ["1", "2"]
    assert upstream.requests[0].all("X-B") == ["1", "2", "3"]
    assert upstream.requests[0]["X-Empty"] == ""


async def test_hop_by_hop_fields_end_at_the_edge(edge_in_front_of, upstream):
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\nKeep-Alive: timeout=5\r\nX-Secret: 1\r\n"
        b"Proxy-Authenticate: Basic\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n"
    )
    edge = await edge_in_front_of(upstream)
    response = await edge.get(
        "/",
        "Connection: keep-alive, X-Drop, Cookie, Host",
        "X-Drop: 1",
        "Keep-Alive: 300",
        "TE: trailers",
        "Proxy-Connection: keep-alive",
        "Cookie: a=1",
        "X-Kept: 1",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    )
    request = upstream.requests[0]
    for name in ("X-Drop", "Keep-Alive", "TE", "Proxy-Connection", "Upgrade", "HTTP2-Settings", "Connection"):
        assert name not in request, name
    assert request["Cookie"] == "a=1"
    assert request["Host"] == "shop.example"
    assert "X-Kept" in request
    for name in ("X-Secret", "Keep-Alive", "Proxy-Authenticate"):
        assert name not in response, name
    assert "X-Kept" in response


async def test_only_the_edge_can_set_the_edges_own_fields(edge_in_front_of, upstream):
    """A client cannot, also not in CGI's spelling, nor can an upstream towards a visitor."""
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nStanchion-Stock: 5\r\nStanchion-Command: nonsense\r\nContent-Length: 0\r\n\r\n"
    )
    edge = await edge_in_front_of(upstream)
    response = await edge.get(
        "/checkout",
        "X-Stanchion-Room: vip",
        "X_Stanchion_Ticket: x",
        "X-Forwarded-For: 1.2.3.4",
        "X_Forwarded_For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Real-IP: 1.2.3.4",
        "Forwarded: for=1.2.3.4",
    )
    request = upstream.requests[0]
    assert request["X-Stanchion-Room"] == "checkout"
    assert request["X-Forwarded-For"] == "127.0.0.1"
    assert request["X-Forwarded-Proto"] == "http"
    assert request["X-Forwarded-Host"] == "shop.example"
    for name in ("X_Stanchion_Ticket", "X_Forwarded_For", "X-Real-IP", "Forwarded"):
        assert name not in request, name
    assert not [
        name for name, _ in response.fields if name.lower().startswith("stanchion-") and name != "Stanchion-State"
    ]
    assert response["Stanchion-State"] == "admitted"


OVERRIDES = (
    *("X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Port", "X-Forwarded-Path", "X-Real-IP"),
    *("X-Original-URL", "X-Rewrite-URL", "X-Original-Host", "X-Script-Name", "Proxy"),
    *("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"),
)


def spellings(name: str) -> tuple[str, ...]:
    """Return what CGI, WSGI and PHP servers take for the same field."""
    return name, name.upper(), name.replace("-", "_"), name.lower().replace("-", "."), name.replace("-", "_", 1)


async def test_fields_that_name_another_address_or_method_end_at_the_edge(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream)
    sent = [f"{spelling}: evil" for name in OVERRIDES for spelling in spellings(name)]
    await edge.get("/", *sent, "X-Original: kept", "X_Own_Field: kept")
    assert [value for _, value in upstream.requests[0].fields if "evil" in value] == []
    assert "X-Original" in upstream.requests[0]
    assert "X_Own_Field" in upstream.requests[0]


async def test_such_fields_end_in_trailers_too(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream)
    names = [each for name in (*OVERRIDES, "X-Stanchion-Room", "Forwarded") for each in spellings(name)]
    trailers = "".join(f"{name}: evil\r\n" for name in names)
    visitor = await edge.connect()
    visitor.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
        + trailers.encode()
        + b"X-Sum: 1\r\n\r\n"
    )
    await visitor.response()
    assert [(name, value) for name, value in upstream.requests[0].fields if name.startswith("trailer")] == [
        ("trailer X-Sum", "1")
    ]


async def test_the_settings_pass_such_a_field_on_in_one_spelling(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, "pass_client_fields: [X-HTTP-Method-Override, x-forwarded-prefix]")
    for _ in range(2):
        await edge.get(
            "/",
            *("X-HTTP-METHOD-Override: PUT", "X_HTTP_Method_Override: DELETE", "X-Method-Override: DELETE"),
            *("X-Forwarded-Prefix: /app", "X-Forwarded-Server: s"),
        )
        request = upstream.requests[-1]
        assert request.all("X-HTTP-METHOD-Override") == ["PUT"]
        assert request.all("X-Forwarded-Prefix") == ["/app"]
        for name in ("X_HTTP_Method_Override", "X-Method-Override", "X-Forwarded-Server"):
            assert name not in request, name


async def test_a_trusted_proxy_in_front_is_believed(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, settings='trusted_proxies: ["127.0.0.0/8"]')
    await edge.get(
        "/", "X-Forwarded-For: 6.6.6.6, 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: a.example"
    )
    request = upstream.requests[0]
    assert request["X-Forwarded-For"] == "203.0.113.9, 127.0.0.1"
    assert request["X-Forwarded-Proto"] == "https"
    assert request["X-Forwarded-Host"] == "a.example"


async def test_the_host_is_preserved_or_replaced(edge_in_front_of, upstream):
    await (await edge_in_front_of(upstream)).get("/")
    assert upstream.requests[-1]["Host"] == "shop.example"
    await (await edge_in_front_of(upstream, 'host_header: "upstream"')).get("/")
    assert upstream.requests[-1]["Host"] == f"127.0.0.1:{upstream.port}"
    assert upstream.requests[-1]["X-Forwarded-Host"] == "shop.example"


async def test_a_get_gets_no_body_or_content_type(edge_in_front_of, upstream):
    await (await edge_in_front_of(upstream)).get("/")
    assert {name for name, _ in upstream.requests[0].fields} == {
        "Host",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
    }


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_responses_without_a_body_end_with_their_head(edge_in_front_of, upstream, status):
    upstream.answer = f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode()
    visitor = await (await edge_in_front_of(upstream)).connect()
    for _ in range(2):
        response = await visitor.get("/")
        assert response.status == int(status[:3])
        assert "Transfer-Encoding" not in response
        assert response["ETag"] == "x"
    assert upstream.connections == 1


async def test_a_response_to_head_has_the_length_and_no_body(edge_in_front_of, upstream):
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Encoding: gzip\r\n\r\n"
    visitor = await (await edge_in_front_of(upstream)).connect()
    for _ in range(2):
        response = await visitor.get("/", method="HEAD")
        assert response["Content-Length"] == "1000"
    assert upstream.requests[0].line == "HEAD / HTTP/1.1"
    upstream.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await visitor.get("/", method="HEAD"))["Transfer-Encoding"] == "chunked"
    assert (await visitor.get("/", method="HEAD")).status == 200


async def test_the_edges_own_response_to_head_has_the_length_and_no_body(edge_in_front_of, upstream):
    visitor = await (await edge_in_front_of(upstream)).connect()
    for _ in range(2):
        response = await visitor.get("/_stanchion/nothing", method="HEAD")
        assert response.status == 404
        assert int(response["Content-Length"]) > 0


async def test_reason_phrases_and_odd_status_codes_are_kept(edge_in_front_of, upstream):
    upstream.answer = b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n"
    response = await (await edge_in_front_of(upstream)).get("/")
    assert (response.status, response.reason) == (418, "I'm a teapot")
    upstream.answer = b"HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n"
    assert (await (await edge_in_front_of(upstream)).get("/")).status == 599


async def test_a_date_is_added_only_where_none_is(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream)
    assert "Date" in await edge.get("/")
    upstream.answer = b"HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 0\r\n\r\n"
    assert (await edge.get("/"))["Date"] == "Tue, 15 Nov 1994 08:12:31 GMT"


async def test_early_hints_are_passed_on(edge_in_front_of, upstream):
    upstream.answer = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    visitor = await (await edge_in_front_of(upstream)).connect()
    hints = await visitor.get("/")
    assert (hints.status, hints["Link"]) == (103, "</a.css>; rel=preload")
    assert (await visitor.response()).body == b"ok"


async def test_the_absolute_form_of_ones_own_host_is_served(edge_in_front_of, upstream):
    visitor = await (await edge_in_front_of(upstream)).connect()
    visitor.send(b"GET http://Shop.example/a?b HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert (await visitor.response()).status == 200
    assert upstream.requests[0].line == "GET /a?b HTTP/1.1"
