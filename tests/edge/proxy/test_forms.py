"""Forms that meet the line, over real sockets: read before the answer, kept, and sent once in the visitor's turn."""

import asyncio
import os
import re

import pytest

from tests.edge.conftest import Edge, Request, Response, Upstream, Visitor

HTML = "Accept: text/html"
FORM = "Content-Type: application/x-www-form-urlencoded"


async def fill(edge: Edge) -> None:
    """Let others in until visitors wait."""
    while (await edge.get("/checkout"))["Stanchion-State"] != "waiting":
        pass


def cookie_of(response: Response) -> str:
    return "Cookie: " + response.all("Set-Cookie")[-1].partition(";")[0]


def url_of(response: Response) -> str:
    found = re.search(rb'data-form-url="([^"]+)"', response.body)
    assert found is not None, "the page goes on without a form"
    return found[1].decode().replace("&amp;", "&")


async def post(visitor: Visitor, body: bytes, *fields: str, target: str = "/checkout/order?a=1&b=2") -> Response:
    lines = "".join(f"{line}\r\n" for line in (HTML, FORM, *fields))
    head = f"POST {target} HTTP/1.1\r\nHost: shop.example\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    visitor.send(head.encode() + body)
    return await visitor.response()


def orders(upstream: Upstream) -> list[Request]:
    """Return what the shop got of the form. Other visitors ask for other pages."""
    return [request for request in upstream.requests if "/order" in request.line]


async def ask(edge: Edge, target: str, cookie: str) -> Response:
    """Ask for a page. Near the front the request is parked: it is answered before the requests of younger visitors."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        asked = group.create_task(edge.get(target, HTML, cookie))
        while not asked.done():
            await asyncio.wait([asked], timeout=0.1)
            await edge.get("/checkout")
    return asked.result()


async def until_admitted(edge: Edge, target: str, cookie: str) -> Response:
    """Ask for the page until the shop answers."""
    async with asyncio.timeout(20):
        while (response := await ask(edge, target, cookie)).all("Stanchion-State") == ["waiting"]:
            await asyncio.sleep(0.1)
    return response


@pytest.mark.parametrize("size", [0, 1, 700, 5000, 65_536])
async def test_a_form_is_sent_once_in_its_turn(edge_in_front_of, upstream, size):
    """Its body, its type and where it came from are the visitor's; the pass is the one that they have now."""
    edge = await edge_in_front_of(upstream, rate=1.0)
    await fill(edge)
    body = os.urandom(size // 2).hex().encode().ljust(size, b"=")
    page = await post(await edge.connect(), body, "Origin: http://shop.example", "Referer: http://shop.example/cart")
    assert page["Stanchion-State"] == "waiting"
    assert b'http-equiv="refresh" content="' in page.body
    upstream.requests.clear()
    answer = await until_admitted(edge, url_of(page), cookie_of(page))
    assert answer.body == b"ok"
    [request] = orders(upstream)
    assert request.line == "POST /checkout/order?a=1&b=2 HTTP/1.1"
    assert request.body == body
    assert request["Content-Type"] == "application/x-www-form-urlencoded"
    assert request["Origin"] == "http://shop.example"
    assert request["Referer"] == "http://shop.example/cart"
    again = await edge.get(url_of(page), HTML, cookie_of(answer))
    assert again.body == b"ok"
    assert [each.line for each in orders(upstream)][1:] == ["GET /checkout/order?a=1&b=2 HTTP/1.1"]


async def test_nobody_else_can_have_a_form_sent(edge_in_front_of, upstream):
    """If another admitted visitor knows the address, they are told that there is no form."""
    edge = await edge_in_front_of(upstream, rate=1.0)
    inside = cookie_of(await edge.get("/checkout"))
    await fill(edge)
    page = await post(await edge.connect(), b"note=mine")
    upstream.requests.clear()
    answer = await edge.get(url_of(page), HTML, inside)
    assert answer.status == 410
    assert b'href="/checkout/order?a=1&amp;b=2"' in answer.body
    assert orders(upstream) == []


@pytest.mark.parametrize(
    "fields",
    [
        ["Sec-Purpose: prefetch;prerender"],
        ["Purpose: prefetch"],
        ["X-Moz: prefetch"],
        ["Sec-Fetch-Dest: image", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Site: same-origin"],
        ["Sec-Fetch-Dest: iframe", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: cross-site"],
    ],
)
async def test_only_a_visit_has_a_form_sent(edge_in_front_of, upstream, fields):
    """A browser may prerender any address that it remembers. The form is there for the visit that follows."""
    edge = await edge_in_front_of(upstream, rate=2.0)
    await fill(edge)
    page = await post(await edge.connect(), b"note=later")
    url = url_of(page)
    inside = cookie_of(await until_admitted(edge, "/checkout/x", cookie_of(page)))
    upstream.requests.clear()
    assert (await edge.get(url, HTML, inside, *fields)).status == 503
    assert orders(upstream) == []
    assert (await edge.get(url, HTML, inside)).body == b"ok"
    assert [each.body for each in orders(upstream)] == [b"note=later"]


async def test_a_form_that_could_not_be_sent_is_sent_later(edge_in_front_of):
    """The shop cannot be reached at the moment of the admission: the visitor tries again, and the form arrives once."""
    async with Upstream() as upstream:
        edge = await edge_in_front_of(upstream, "keepalive_seconds: 0, breaker_failures: null", rate=1.0)
        await fill(edge)
        page = await post(await edge.connect(), b"note=mine")
    first = await until_admitted(edge, url_of(page), cookie_of(page))
    assert first.status == 502
    upstream.requests.clear()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read(reader)
        writer.write(upstream.answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", upstream.port), asyncio.timeout(30):
        for _ in range(2):
            while (await ask(edge, url_of(page), cookie_of(page))).status != 200:
                await asyncio.sleep(0.1)  # the edge has not found out yet that the shop is back
    assert [request.body for request in orders(upstream)] == [b"note=mine", b""]


async def test_a_chunked_form_is_kept_and_the_next_request_is_served(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, rate=1.0)
    await fill(edge)
    visitor = await edge.connect()
    visitor.send(
        b"POST /checkout/order HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nnote\r\n"
    )
    visitor.send(b"5\r\n=mine\r\n0\r\n\r\nGET /products HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    page = await visitor.response()
    assert (await visitor.response()).body == b"ok"
    upstream.requests.clear()
    await until_admitted(edge, url_of(page), cookie_of(page))
    assert [request.body for request in orders(upstream)] == [b"note=mine"]


async def test_a_form_that_is_too_large_is_left_to_the_browser(edge_in_front_of, upstream):
    """The page reloads itself after the admission, as the browser asked. All of the body is read."""
    edge = await edge_in_front_of(upstream, rate=1.0)
    await fill(edge)
    visitor = await edge.connect()
    page = await post(visitor, bytes(70_000))
    assert page["Stanchion-State"] == "waiting"
    assert b'data-form-url=""' in page.body
    assert b"too large to be kept" in page.body
    assert (await visitor.get("/products")).body == b"ok"


@pytest.mark.parametrize("framing", ["sized", "chunked"])
async def test_a_client_that_reads_at_the_end_gets_the_answer_to_its_upload(edge_in_front_of, upstream, framing):
    """Three megabytes by a script while it waits: the 503 and the ticket, and no reset."""
    edge = await edge_in_front_of(upstream, rate=0.001)
    await fill(edge)
    visitor = await edge.connect()
    length = "Transfer-Encoding: chunked" if framing == "chunked" else "Content-Length: 3000000"
    visitor.send(f"PUT /checkout/file HTTP/1.1\r\nHost: shop.example\r\n{length}\r\n\r\n".encode())
    for _ in range(30):
        visitor.send((b"186a0\r\n" if framing == "chunked" else b"") + bytes(100_000))
        if framing == "chunked":
            visitor.send(b"\r\n")
        await visitor.writer.drain()
    if framing == "chunked":
        visitor.send(b"0\r\n\r\n")
    answer = await visitor.response()
    assert answer.status == 503
    assert "t1.checkout" in answer["Set-Cookie"]


@pytest.mark.parametrize("target", ["/products", "/checkout"])
async def test_a_client_that_reads_at_the_end_gets_the_413(edge_in_front_of, upstream, target):
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    visitor.send(f"POST {target} HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 20000000\r\n\r\n".encode())
    for _ in range(20):
        visitor.send(bytes(1_000_000))
        await visitor.writer.drain()
    assert (await visitor.response()).status == 413
    assert upstream.requests == []


async def send_chunked(visitor: Visitor, head: str, megabytes: int) -> None:
    """Send all of a body before anything is read, as many programs do."""
    visitor.send(f"{head}\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    for _ in range(megabytes):
        visitor.send(b"f4240\r\n" + bytes(1_000_000) + b"\r\n")
        await visitor.writer.drain()
    visitor.send(b"0\r\n\r\n")
    await visitor.writer.drain()


@pytest.mark.parametrize("settings", ["", "limits: {body_bytes: 100000}", "limits: {form_bytes: 0}"])
async def test_a_browser_that_sends_a_large_form_in_chunks_gets_its_place(edge_in_front_of, upstream, settings):
    """20 megabytes, which is more than is kept. The page and the ticket come, and no reset."""
    edge = await edge_in_front_of(upstream, settings=settings, rate=0.001)
    await fill(edge)
    visitor = await edge.connect()
    await send_chunked(visitor, f"POST /checkout/file HTTP/1.1\r\n{HTML}\r\n{FORM}", 20)
    page = await visitor.response()
    assert page.status == 200
    assert "t1.checkout" in page["Set-Cookie"]


async def test_a_client_that_reads_at_the_end_gets_the_502(edge_in_front_of):
    """The upstream refuses connections, which is found out when a part of the upload has come."""
    async with Upstream() as gone:
        edge = await edge_in_front_of(gone, settings="limits: {body_bytes: 100000000}")
    visitor = await edge.connect()
    await send_chunked(visitor, "POST /products HTTP/1.1", 20)
    assert (await visitor.response()).status == 502


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("POST", ["X-Requested-With: XMLHttpRequest"]),
        ("POST", ["x-requested-with: xmlhttprequest", "Cookie: a=b"]),
        ("POST", ["HX-Request: true"]),
        ("POST", ["Content-Type: application/json"]),
        ("POST", ["Content-Type: Application/X-NDJSON; charset=utf-8"]),
        ("POST", ["Content-Type: application/octet-stream"]),
        ("PUT", [FORM]),
        ("DELETE", []),
        ("PATCH", ["Sec-Fetch-Mode: same-origin", FORM]),
    ],
)
async def test_no_script_takes_the_page_for_success(edge_in_front_of, upstream, method, fields):
    """Even one that asks for HTML, in a browser that sends no `Sec-Fetch-Mode`."""
    edge = await edge_in_front_of(upstream, rate=0.001)
    await fill(edge)
    answer = await edge.get("/checkout/order", HTML, *fields, "Content-Length: 0", method=method)
    assert answer.status == 503
    assert answer["Retry-After"]
    assert answer["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "fields",
    [
        [FORM],
        [],
        ["Content-Type: multipart/form-data; boundary=x"],
        ["Content-Type: TEXT/PLAIN"],
        [FORM, "X-Requested-With: org.example.app"],  # Android's WebView
        ["Content-Type: application/json", "Sec-Fetch-Mode: navigate"],
    ],
)
async def test_a_form_gets_the_page(edge_in_front_of, upstream, fields):
    edge = await edge_in_front_of(upstream, rate=0.001)
    await fill(edge)
    answer = await edge.get("/checkout/order", HTML, *fields, "Content-Length: 0", method="POST")
    assert answer.status == 200
    assert "text/html" in answer["Content-Type"]
