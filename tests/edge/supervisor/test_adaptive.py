"""A room with adaptive capacity: real workers, and a real upstream that gets slow, fails and recovers."""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.edge.running import wait_until
from tests.edge.supervisor.test_reloading import reload
from tests.edge.whole import Edge, Upstream, whole_edge

pytestmark = pytest.mark.serial

CAPACITY = 50.0
ADAPTIVE = {"enabled": True, "latency_target_seconds": 0.1, "floor": 0.2, "recovery_seconds": 1.0}
ROOM = {"capacity": {"admissions_per_second": CAPACITY, "adaptive": ADAPTIVE}}


class Moody(Upstream):
    """Answers with `status` after `delay_s`."""

    delay_s, status = 0.0, 200

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(self.delay_s)
        return web.Response(status=self.status)


@contextlib.asynccontextmanager
async def visitors_inside(edge: Edge) -> AsyncIterator[None]:
    """Eight active visitors that send requests all the time, each on a new connection, so both workers get some."""

    async def go_on() -> None:
        jar = aiohttp.CookieJar(unsafe=True)
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(cookie_jar=jar, connector=connector) as session:
            while True:
                async with session.get(f"{edge.running.url}/checkout") as answer:
                    await answer.read()
                await asyncio.sleep(0.25)

    tasks = [asyncio.ensure_future(go_on()) for _ in range(8)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def wait_factor(edge: Edge, low: float, high: float) -> None:
    """Wait until the factor is in this range and the capacities of both workers add up to it."""

    async def is_there() -> bool:
        room = await edge.room()
        factor = room["adaptive"]["factor"]
        configured = edge.tree["rooms"][0]["capacity"]["admissions_per_second"]
        rates = [node["admissions_per_second"] for node in room["nodes"]]
        follows = abs(sum(rates) - configured * factor) <= 0.1 * configured
        return low <= factor <= high and follows and len(rates) == 2

    await wait_until(is_there, f"a factor of {low} to {high}, and workers that follow")


async def test_the_capacity_follows_the_upstream_down_and_up(tmp_path: Path) -> None:
    """A slow upstream lowers the capacity of both workers, a fast one raises it; status and metrics show it.

    A change of the configured capacity applies in proportion. Failures count even if they are fast. Without the
    setting the whole capacity is used."""
    shop = Moody()
    async with whole_edge(tmp_path, shop, room=copy.deepcopy(ROOM)) as edge, visitors_inside(edge):
        await wait_factor(edge, 1.0, 1.0)
        shop.delay_s = 0.3
        await wait_factor(edge, 0.2, 0.4)
        assert (await edge.metrics())['stanchion_adaptive_strain_ratio{room="checkout"}'] > 1.0
        capacity = edge.tree["rooms"][0]["capacity"]
        capacity["admissions_per_second"] = CAPACITY / 2
        edge.rewrite(edge.tree)
        await reload(edge)
        await wait_factor(edge, 0.2, 0.4)
        room = await edge.room()
        assert room["admissions_per_second"] == pytest.approx(CAPACITY / 2 * room["adaptive"]["factor"], rel=0.2)
        shop.delay_s = 0.0
        await wait_factor(edge, 1.0, 1.0)
        assert (await edge.metrics())['stanchion_adaptive_capacity_ratio{room="checkout"}'] == 1.0
        shop.status = 500
        await wait_factor(edge, 0.2, 0.4)
        capacity["adaptive"]["enabled"] = False
        edge.rewrite(edge.tree)
        await reload(edge)

        async def is_off() -> bool:
            room = await edge.room()
            return (
                room["adaptive"] is None and sum(n["admissions_per_second"] for n in room["nodes"]) > 0.9 * CAPACITY / 2
            )

        await wait_until(is_off, "all of the capacity is used")
