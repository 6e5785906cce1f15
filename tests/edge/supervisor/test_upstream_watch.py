"""The watch over the upstream's servers: what it asks, what it tells, and what it makes of other machines' news."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from edge.messages.upstream import Outcome, ServerNews, ServerOutcomes, ServersState
from edge.settings.loading import parse_settings
from edge.supervisor.upstream_watch import UpstreamWatch
from edge.support.tasks import TaskOwner
from tests.edge.conftest import Upstream
from tests.ports import free_port

SETTINGS = """
secret_keys_env: KEYS
upstream: {servers: %s, health: {interval_seconds: %s%s}}
rooms: [{name: checkout, match: {paths: ["/checkout"]}, capacity: {admissions_per_second: 1}}]
"""


class Watched:
    """A watch that runs, and what it told."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.states: list[ServersState] = []
        self.news: list[ServerNews] = []
        self.watch = UpstreamWatch(self.states.append, self.news.append, self.registry)

    def use(self, *servers: str, interval_s: float = 0.1, health: str = "") -> None:
        names = str(list(servers)).replace("'", '"')
        self.watch.use(parse_settings(SETTINGS % (names, interval_s, health)))

    def fail(self, server: str) -> None:
        self.watch.receive(ServerOutcomes({server: Outcome(failures=1, unconnected=1, reason="refused")}))

    async def wait_down(self, *servers: str) -> None:
        async with asyncio.timeout(10):
            while set(self.watch.state.down) != set(servers):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def watching() -> AsyncIterator[Watched]:
    made, owner = Watched(), TaskOwner()
    owner.start(made.watch.run(), "watch")
    try:
        yield made
    finally:
        await owner.close()


@pytest.fixture
async def shop() -> AsyncIterator[Upstream]:
    async with Upstream() as running:
        yield running


def dead() -> str:
    return f"http://127.0.0.1:{free_port()}"


async def wait_requests(shop: Upstream, count: int) -> None:
    async with asyncio.timeout(10):
        while len(shop.requests) < count:
            await asyncio.sleep(0.01)


async def test_a_shop_that_nobody_complains_of_is_not_asked(shop: Upstream) -> None:
    async with watching() as watched:
        watched.use(shop.url, interval_s=0.05)
        await asyncio.sleep(0.3)
        assert not shop.requests
        watched.fail(shop.url)
        await wait_requests(shop, 1)
        assert shop.requests[0].line == "HEAD / HTTP/1.1"
        assert watched.watch.state.down == {}


async def test_a_path_is_asked_for_all_the_time_by_get_and_by_its_host(shop: Upstream) -> None:
    async with watching() as watched:
        watched.use(shop.url, interval_s=0.05, health=', path: "/healthz?deep=1", host: shop.internal')
        await wait_requests(shop, 3)
    assert {request.line for request in shop.requests} == {"GET /healthz?deep=1 HTTP/1.1"}
    assert shop.requests[0]["Host"] == "shop.internal"


async def test_one_failed_request_is_enough_to_find_out_that_nobody_listens() -> None:
    server = dead()
    async with watching() as watched:
        watched.use(server, interval_s=3600)
        watched.fail(server)
        await watched.wait_down(server)
        assert watched.watch.state.down == {server: "connection refused"}
        assert watched.news == [ServerNews(server, is_up=False)]
        assert watched.registry.get_sample_value("stanchion_upstream_up", {"server": server}) == 0.0
        assert watched.registry.get_sample_value("stanchion_upstream_outages_total", {"server": server}) == 1.0
        assert watched.watch.status()["is_down"]


async def test_news_of_another_machine_make_it_look_and_decide_nothing(shop: Upstream) -> None:
    """A machine that alone cannot reach the shop takes nobody else's shop away."""
    async with watching() as watched:
        watched.use(shop.url)
        for count in range(1, 4):
            watched.watch.receive_news(ServerNews(shop.url, is_up=False))
            await wait_requests(shop, count)
        assert watched.watch.state.down == {}
        assert watched.news == []


async def test_news_of_a_return_make_it_look_at_once() -> None:
    shop = Upstream()
    shop.port = free_port()
    async with watching() as watched:
        watched.use(shop.url, health=", timeout_seconds: 0.2")
        watched.fail(shop.url)
        await watched.wait_down(shop.url)
        watched.use(shop.url, interval_s=3600)
        server = await asyncio.start_server(shop._connected, "127.0.0.1", shop.port, limit=2**20)
        try:
            await asyncio.sleep(0.1)
            assert watched.watch.state.down
            watched.watch.receive_news(ServerNews(shop.url, is_up=True))
            await wait_requests(shop, 1)
        finally:
            server.close()


async def test_the_upstream_is_down_when_no_server_is_left(shop: Upstream) -> None:
    server = dead()
    async with watching() as watched:
        watched.use(server, shop.url)
        watched.fail(server)
        await watched.wait_down(server)
        assert not watched.watch.status()["is_down"]
        watched.use(server)
        assert watched.watch.status()["is_down"], "the only server that is left is down"
        watched.use(shop.url)
        await watched.wait_down()
        assert not watched.watch.status()["is_down"]
        assert watched.registry.get_sample_value("stanchion_upstream_up", {"server": server}) is None
