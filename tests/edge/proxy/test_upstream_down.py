"""An upstream that is down for a while: errors at once, nobody let in for nothing, and all goes on when it is back."""

import asyncio

import pytest

BREAKER = "breaker_failures: 3, breaker_seconds: 0.5"


@pytest.fixture
def broken(upstream):
    """How the upstream fails while `upstream.is_down`; counts what it is asked."""
    upstream.is_down, upstream.asked = False, 0

    async def serve(reader, writer):
        while True:
            await upstream.read(reader)
            upstream.asked += 1
            if not upstream.is_down:
                writer.write(upstream.answer)
            elif upstream.how == "resets":
                return
            elif upstream.how == "garbage":
                writer.write(b"garbage\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    upstream.handler = serve
    return upstream


@pytest.mark.parametrize("how", ["resets", "garbage", "503"])
async def test_a_failing_upstream_is_left_alone_and_found_again(edge_in_front_of, broken, how):
    broken.how, broken.is_down = how, True
    edge = await edge_in_front_of(broken, BREAKER)
    visitor = await edge.connect()
    for _ in range(50):
        response = await visitor.get("/", "Accept: text/html")
        assert response.status in (502, 503)
    assert broken.asked <= 4
    assert 1 <= int(response["Retry-After"]) <= 2
    assert b"<html" in response.body
    broken.is_down = False
    async with asyncio.timeout(10):
        while (await visitor.get("/")).status != 200:
            await asyncio.sleep(0.05)
    assert [(await visitor.get("/")).status for _ in range(20)] == [200] * 20


@pytest.mark.parametrize(("rule", "state"), [("hold", "waiting"), ("admit", None)])
async def test_nobody_is_let_in_to_what_is_down_unless_the_room_says_so(edge_in_front_of, broken, rule, state):
    broken.how, broken.is_down = "resets", True
    edge = await edge_in_front_of(
        broken, "breaker_failures: 3, breaker_seconds: 1.0", room=f"when_upstream_down: {rule}"
    )
    for _ in range(4):
        assert (await edge.get("/")).status in (502, 503)
    await asyncio.sleep(0.3)  # the rooms hear of it with the next look
    response = await edge.get("/checkout")
    assert response.all("Stanchion-State") == ([state] if state else [])
    assert response.status == (200 if state else 503)
    if state:
        cookie = response["Set-Cookie"].partition(";")[0]
        broken.is_down = False
        async with asyncio.timeout(10):
            while (response := await edge.get("/checkout", f"Cookie: {cookie}")).body != b"ok":
                await asyncio.sleep(0.1)
        assert response["Stanchion-State"] == "admitted"


async def test_requests_that_fail_now_and_then_open_nothing(edge_in_front_of, upstream):
    async def fails_on_odd(reader, writer):
        while True:
            await upstream.read(reader)
            if len(upstream.requests) % 2:
                writer.write(upstream.answer)
            else:
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    upstream.handler = fails_on_odd
    visitor = await (await edge_in_front_of(upstream, BREAKER)).connect()
    assert [(await visitor.get("/")).status for _ in range(20)] == [200, 503] * 10
