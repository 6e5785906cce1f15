"""While the upstream is down, errors come at once and nobody is admitted to it; afterwards everything goes on."""

import asyncio

import pytest

BREAKER = "breaker_failures: 3, breaker_seconds: 0.5"


@pytest.fixture
def broken(upstream):
    """An upstream that fails in the way `how` while `is_down`, and counts its requests."""
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
async def test_a_failing_upstream_is_not_asked_for_a_while_and_then_found_again(edge_in_front_of, broken, how):
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
async def test_a_room_admits_nobody_while_the_upstream_is_down_unless_its_settings_say_so(
    edge_in_front_of, broken, rule, state
):
    broken.how, broken.is_down = "resets", True
    edge = await edge_in_front_of(
        broken, "breaker_failures: 3, breaker_seconds: 1.0", room=f"when_upstream_down: {rule}"
    )
    for _ in range(4):
        assert (await edge.get("/")).status in (502, 503)
    # The rooms hear of it with the next sweep.
    await asyncio.sleep(0.3)
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


async def test_occasional_failures_do_not_open_the_breaker(edge_in_front_of, upstream):
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
