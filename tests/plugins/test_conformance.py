"""The line behind real load balancers: every case, on some of them. `make plugins-test` plays all ways."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.plugins.attached import attached
from tests.plugins.cases import CASES, other_room
from tests.plugins.failures import LIMITS, fails_closed, fails_open
from tests.plugins.played import play

#: Every load balancer in its best way. `make plugins-test` plays all ways.
BEST = (
    ("nginx", "accel"),
    ("envoy", "ext-authz-grpc"),
    ("caddy", "forward-auth"),
    ("haproxy", "forward-auth"),
    ("traefik", "forward-auth"),
)


@pytest.mark.parametrize(("name", "way"), BEST)
async def test_every_case_is_right(name: str, way: str, tmp_path: Path) -> None:
    async with attached(name, way, tmp_path) as bench:
        wrong = {case.__name__: fault for case in CASES if (fault := await play(case, bench, LIMITS))}
        assert wrong == {}, bench.balancer.output[-2000:]


async def test_over_a_reload_of_caddy_the_pass_counts_and_every_answer_is_right(tmp_path: Path) -> None:
    """Caddy may cut a new connection during a reload (`LIMITS`), so a cut request is sent once more."""
    async with attached("caddy", "forward-auth", tmp_path) as bench:
        visitor = await bench.inside()
        await bench.balancer.reload()
        for _ in range(20):
            try:
                reply = await visitor.ask("/fast")
            except aiohttp.ClientConnectionError:
                reply = await visitor.ask("/fast")
            assert reply.is_shop, reply
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("name", "way"), BEST[:2])
async def test_while_the_edge_is_down_the_shop_is_not_reached(name: str, way: str, tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        await fails_closed(name, way, tmp_path)


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_a_load_balancer_that_verifies_passes_opens_no_other_room(name: str, tmp_path: Path) -> None:
    async with attached(name, "split", tmp_path) as bench:
        assert await play(other_room, bench, LIMITS) == ""


async def test_an_operator_may_let_requests_pass_while_the_edge_is_down(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        await fails_open("nginx", "accel", tmp_path)
