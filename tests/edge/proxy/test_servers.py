"""Several servers: how requests are spread, and which of them a failing server may cost."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edge.messages.upstream import ServersState
from tests.edge.conftest import Upstream
from tests.ports import free_port


class Group:
    """Servers of one shop; `url` and `upstream_settings` for the fixture, which knows one."""

    def __init__(self, servers: list[Upstream]) -> None:
        self.servers = servers

    def settings(self, more: str = "") -> str:
        return f"servers: {[server.url for server in self.servers]}, {more}".replace("'", '"')

    def counts(self) -> list[int]:
        return [len(server.requests) for server in self.servers]


@pytest.fixture
async def three():
    async with AsyncExitStack() as stack:
        yield Group([await stack.enter_async_context(Upstream()) for _ in range(3)])


@pytest.fixture
def edge_with_servers(edge_in_front_of):
    async def start(group: Group, more: str = "", **options):
        return await edge_in_front_of(group, group.settings(more), **options)

    return start


@pytest.mark.parametrize("balance", ["least_connections", "round_robin"])
async def test_requests_one_after_the_other_are_spread_evenly(edge_with_servers, three, balance):
    visitor = await (await edge_with_servers(three, f"balance: {balance}")).connect()
    for _ in range(60):
        assert (await visitor.get("/")).status == 200
    assert three.counts() == [20, 20, 20]


@pytest.mark.parametrize("balance", ["least_connections", "round_robin"])
async def test_the_requests_of_a_server_that_is_down_are_spread_evenly_over_the_others(
    edge_with_servers, three, balance
):
    edge = await edge_with_servers(three, f"balance: {balance}")
    edge.use_servers_state(ServersState({three.servers[1].url: "a test"}))
    visitor = await edge.connect()
    for _ in range(60):
        assert (await visitor.get("/")).status == 200
    assert three.counts() == [30, 0, 30]


async def test_a_busy_server_gets_fewer_requests(edge_with_servers, three):
    held = asyncio.Event()

    async def slow(reader, writer):
        while True:
            await three.servers[0].read(reader)
            await held.wait()
            writer.write(three.servers[0].answer)

    three.servers[0].handler = slow
    edge = await edge_with_servers(three)
    waiting = [await edge.connect() for _ in range(30)]
    for visitor in waiting:
        visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(10):
        while sum(three.counts()) < 30:
            await asyncio.sleep(0.01)
    later = await edge.connect()
    for _ in range(30):
        assert (await later.get("/")).status == 200
    assert three.counts()[0] <= 11
    held.set()
    assert [(await visitor.response()).status for visitor in waiting] == [200] * 30


async def test_a_visitor_stays_with_a_server_and_moves_only_if_it_goes_down(edge_with_servers, three):
    edge = await edge_with_servers(three, "balance: ticket")

    async def server_of(cookie: str) -> int:
        before = three.counts()
        assert (await edge.get("/checkout", f"Cookie: {cookie}")).body == b"ok"
        [at] = [at for at, (now, then) in enumerate(zip(three.counts(), before, strict=True)) if now > then]
        return at

    cookies = []
    for _ in range(60):
        response = await edge.get("/checkout")
        assert response["Stanchion-State"] == "admitted"
        cookies.append(response["Set-Cookie"].partition(";")[0])
    at_first = [await server_of(cookie) for cookie in cookies]
    assert [await server_of(cookie) for cookie in cookies] == at_first
    assert min(Counter(at_first)[at] for at in range(3)) >= 8
    edge.use_servers_state(ServersState({three.servers[2].url: "a test"}))
    after = [await server_of(cookie) for cookie in cookies]
    assert all(now == then for now, then in zip(after, at_first, strict=True) if then != 2)
    assert {now for now, then in zip(after, at_first, strict=True) if then == 2} == {0, 1}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_server_that_refuses_connections_costs_no_request(edge_with_servers, three, method):
    """Nothing was sent to it, so even a POST goes to another server."""
    dead = Upstream()
    dead.port = free_port()
    edge = await edge_with_servers(Group([dead, three.servers[0]]))
    visitor = await edge.connect()
    for _ in range(10):
        visitor.send(f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".encode())
        assert (await visitor.response()).status == 200
    assert {request.body for request in three.servers[0].requests} == {b"hi"}
    assert set(edge.outcomes) == {"forwarded"}


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [("GET", b"", 200), ("HEAD", b"", 200), ("OPTIONS", b"", 200), ("POST", b"hi", 502), ("DELETE", b"", 502)],
)
async def test_a_server_that_dies_with_a_request_costs_only_those_that_change_something(
    edge_with_servers, three, method, body, status
):
    async def dies(reader, writer):
        await three.servers[0].read(reader)

    three.servers[0].handler = dies
    edge = await edge_with_servers(Group(three.servers[:2]), "balance: round_robin")
    seen = []
    for _ in range(4):
        visitor = await edge.connect()
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        visitor.send(f"{method} / HTTP/1.1\r\nHost: a\r\n{length}\r\n".encode() + body)
        seen.append((await visitor.response(method)).status)
    assert max(seen) == status
    died, served = three.counts()[:2]
    assert died > 0
    assert served == (4 if status == 200 else 4 - died)


async def test_a_request_is_never_sent_again_after_its_response_has_begun(edge_with_servers, three):
    async def dies(reader, writer):
        await three.servers[0].read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    three.servers[0].handler = dies
    edge = await edge_with_servers(Group(three.servers[:2]), "balance: round_robin")
    broken = 0
    for _ in range(4):
        try:
            assert (await edge.get("/")).body == b"ok"
        except (asyncio.IncompleteReadError, ConnectionError):
            broken += 1
    assert broken == len(three.servers[0].requests) > 0
    assert len(three.servers[1].requests) == 4 - broken


async def test_requests_that_hang_at_a_server_go_to_another_one_when_it_goes_down(edge_with_servers, three):
    """A GET does. A POST stays, because the server may have done what it asks."""

    async def hangs(reader, writer):
        await three.servers[0].read(reader)
        await reader.read()

    three.servers[0].handler = hangs
    edge = await edge_with_servers(Group(three.servers[:2]), "balance: round_robin, response_timeout_seconds: 3")
    gets, posts = [await edge.connect() for _ in range(4)], [await edge.connect() for _ in range(4)]
    for visitor in gets:
        visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for visitor in posts:
        visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
    async with asyncio.timeout(10):
        while sum(three.counts()) < 8:
            await asyncio.sleep(0.01)
    edge.use_servers_state(ServersState({three.servers[0].url: "a test"}))
    assert [(await visitor.response()).status for visitor in gets] == [200] * 4
    hung = sum(request.line.startswith("POST") for request in three.servers[0].requests)
    assert sorted([(await visitor.response()).status for visitor in posts]) == [200] * (4 - hung) + [504] * hung


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("DELETE", 504)])
async def test_a_request_that_waits_too_long_at_one_server_is_sent_to_another_if_that_is_safe(
    edge_with_servers, three, method, status
):
    async def hangs(reader, writer):
        await three.servers[0].read(reader)
        await reader.read()

    three.servers[0].handler = hangs
    edge = await edge_with_servers(Group(three.servers[:2]), "balance: round_robin, response_timeout_seconds: 0.4")
    seen = [(await edge.get("/", method=method)).status for _ in range(2)]
    assert sorted(seen) == sorted([200, status])
    assert three.counts()[0] == 1


async def test_when_no_server_is_left_requests_get_a_503_at_once(edge_with_servers, three):
    edge = await edge_with_servers(three)
    edge.use_servers_state(ServersState({server.url: "a test" for server in three.servers}))
    response = await edge.get("/")
    assert response.status == 503
    assert response["Retry-After"] == "1"
    edge.use_servers_state(ServersState({server.url: "a test" for server in three.servers[1:]}))
    assert (await edge.get("/")).status == 200


async def test_a_server_that_comes_back_starts_slowly(edge_with_servers, three):
    edge = await edge_with_servers(three, "balance: round_robin, slow_start_seconds: 3600")
    edge.use_servers_state(ServersState({three.servers[0].url: "a test"}))
    edge.use_servers_state(ServersState({}))
    visitor = await edge.connect()
    for _ in range(200):
        assert (await visitor.get("/")).status == 200
    assert 1 <= three.counts()[0] <= 30


async def test_a_removed_server_finishes_its_requests_and_gets_no_others(edge_with_servers, three):
    held = asyncio.Event()

    async def slow(reader, writer):
        while True:
            await three.servers[0].read(reader)
            await held.wait()
            writer.write(three.servers[0].answer)

    three.servers[0].handler = slow
    edge = await edge_with_servers(Group(three.servers[:1]))
    waiting = await edge.connect()
    waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(10):
        while not three.servers[0].requests:
            await asyncio.sleep(0.01)
    edge.reload(Group(three.servers[1:]).settings())
    later = await edge.connect()
    for _ in range(6):
        assert (await later.get("/")).status == 200
    assert three.counts() == [1, 3, 3]
    held.set()
    assert (await waiting.response()).body == b"ok"


async def test_a_server_that_stays_keeps_its_connections_over_a_reload(edge_with_servers, three):
    edge = await edge_with_servers(Group(three.servers[:1]))
    visitor = await edge.connect()
    assert (await visitor.get("/")).status == 200
    edge.reload(Group(three.servers[:2]).settings("balance: round_robin"))
    for _ in range(4):
        assert (await visitor.get("/")).status == 200
    assert three.counts()[:2] == [3, 2]
    assert three.servers[0].connections == 1


async def test_a_unix_socket(edge_in_front_of, tmp_path: Path):
    shop = Upstream()
    path = tmp_path / "shop.sock"
    server = await asyncio.start_unix_server(shop._connected, path, limit=2**20)
    try:
        edge = await edge_in_front_of(shop, f'url: "unix://{path}"')
        assert (await edge.get("/")).body == b"ok"
        assert shop.requests[-1]["Host"] == "shop.example"
    finally:
        server.close()
