"""While the upstream is down, errors come at once and nobody is admitted to it; the edge itself finds out when it is
back, and no visitor's request is used for that."""

import asyncio
from itertools import pairwise

import pytest

BREAKER = "breaker_failures: 3, breaker_seconds: 0.5, health: {interval_seconds: 0.1, timeout_seconds: 0.3}"


@pytest.fixture
def broken(upstream):
    """An upstream that fails in the way `how` while `is_down`. It counts visitors' requests and the edge's own."""
    upstream.is_down, upstream.asked, upstream.probed = False, 0, 0

    async def serve(reader, writer):
        while True:
            request = await upstream.read(reader)
            if request["User-Agent"] == "stanchion-health" if "User-Agent" in request else False:
                upstream.probed += 1
            else:
                upstream.asked += 1
            if not upstream.is_down:
                writer.write(upstream.answer)
            elif upstream.how == "resets":
                return
            elif upstream.how == "hangs":
                await reader.read()
            elif upstream.how == "garbage":
                writer.write(b"garbage\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    upstream.handler = serve
    return upstream


async def wait_shunned(visitor):
    async with asyncio.timeout(10):
        while (response := await visitor.get("/", "Accept: text/html")).status != 503 or "Retry-After" not in response:
            await asyncio.sleep(0.01)
    return response


@pytest.mark.parametrize("how", ["resets", "garbage", "503"])
async def test_a_failing_upstream_is_not_asked_until_the_edge_finds_it_again(edge_in_front_of, broken, how):
    broken.how, broken.is_down = how, True
    edge = await edge_in_front_of(broken, BREAKER, is_watched=True)
    visitor = await edge.connect()
    response = await wait_shunned(visitor)
    assert 1 <= int(response["Retry-After"]) <= 2
    assert b"<html" in response.body
    asked, probed = broken.asked, broken.probed
    async with asyncio.timeout(10):
        while broken.probed < probed + 8:
            assert (await visitor.get("/")).status == 503
            await asyncio.sleep(0.02)
    assert broken.asked == asked
    broken.is_down = False
    async with asyncio.timeout(10):
        while (await visitor.get("/")).status != 200:
            await asyncio.sleep(0.02)
    assert [(await visitor.get("/")).status for _ in range(20)] == [200] * 20


async def test_an_upstream_that_hangs_is_noticed_before_any_visitor_is_timed_out(edge_in_front_of, broken):
    broken.how, broken.is_down = "hangs", True
    edge = await edge_in_front_of(broken, BREAKER, is_watched=True)
    first = await edge.connect()
    first.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    while broken.asked < 1:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        while broken.probed < 4:
            await asyncio.sleep(0.01)
    assert (await (await edge.connect()).get("/")).status == 503
    assert broken.asked == 1


async def test_an_upstream_that_answers_visitors_slowly_is_not_down(edge_in_front_of, upstream):
    """A page slower than a probe waits is no outage while visitors are answered."""
    slow = asyncio.Semaphore(0)

    async def serve(reader, writer):
        while True:
            request = await upstream.read(reader)
            if request.line.startswith("HEAD"):
                await reader.read()
                return
            await slow.acquire()
            writer.write(upstream.answer)

    upstream.handler = serve
    edge = await edge_in_front_of(upstream, BREAKER.replace("0.3", "0.8"), is_watched=True)
    visitor = await edge.connect()
    for _ in range(2):
        visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(1.3)
        slow.release()
        assert (await visitor.response()).status == 200


@pytest.mark.parametrize(("rule", "state"), [("hold", "waiting"), ("admit", None)])
async def test_a_room_admits_nobody_while_the_upstream_is_down_unless_its_settings_say_so(
    edge_in_front_of, broken, rule, state
):
    broken.how, broken.is_down = "resets", True
    edge = await edge_in_front_of(broken, BREAKER, room=f"when_upstream_down: {rule}", is_watched=True)
    await wait_shunned(await edge.connect())
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


async def test_occasional_failures_do_not_take_the_upstream_down(edge_in_front_of, upstream):
    async def fails_on_odd(reader, writer):
        while True:
            request = await upstream.read(reader)
            if request.line.startswith("HEAD") or "odd" not in request.line:
                writer.write(upstream.answer)
            else:
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    upstream.handler = fails_on_odd
    visitor = await (await edge_in_front_of(upstream, BREAKER, is_watched=True)).connect()
    for _ in range(10):
        assert [(await visitor.get(path)).status for path in ("/", "/odd")] == [200, 503]
        await asyncio.sleep(0.05)


async def test_a_shop_that_fails_visitors_but_answers_probes_is_asked_less_and_less(edge_in_front_of, upstream):
    """The pause doubles, and after it three failures are enough."""
    served = []

    async def serve(reader, writer):
        while True:
            request = await upstream.read(reader)
            if request.line.startswith("HEAD"):
                writer.write(upstream.answer)
            else:
                served.append(asyncio.get_running_loop().time())
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    upstream.handler = serve
    visitor = await (await edge_in_front_of(upstream, BREAKER, is_watched=True)).connect()
    async with asyncio.timeout(20):
        pauses = []
        while len(pauses) < 2:
            await visitor.get("/")
            pauses = [later - earlier for earlier, later in pairwise(served) if later - earlier > 0.4]
            await asyncio.sleep(0.01)
    assert pauses[1] > 1.5 * pauses[0]
