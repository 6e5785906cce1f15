"""A sale that is scheduled at one machine opens on all, over a real Redis, with the same draw."""

import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from tests.edge.cluster.machines import wait_joined
from tests.edge.cluster.redis_server import running_redis
from tests.edge.opening import judged, shop_at, stamp
from tests.edge.running import RunningEdge, running_edge, running_upstream, wait_until, with_rooms
from waiting_room.draw import Draw

CROWD, CAPACITY = 120, 60.0


async def shop(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="the shop")


def machine(upstream: str, redis_url: str) -> str:
    room = {
        "name": "checkout",
        "match": {"paths": ["/checkout*"]},
        "capacity": {"admissions_per_second": CAPACITY},
        "polling": {"min_seconds": 0.5, "max_seconds": 2.0},
    }
    cluster = {"machines": 2, "redis_url": redis_url}
    return yaml.safe_dump(with_rooms(upstream, room) | {"workers": 1, "cluster": cluster})


async def sales(edge: RunningEdge, sale: dict[str, Any] | None = None) -> Any:
    method = "GET" if sale is None else "POST"
    url = f"{edge.admin}/v1/rooms/checkout/sales"
    async with aiohttp.ClientSession() as session, session.request(method, url, json=sale) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


@pytest.mark.serial
async def test_a_sale_of_one_machine_opens_on_all(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("redis", "one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(running_redis(folders[0]))
        upstream = await stack.enter_async_context(running_upstream(shop))
        text = machine(upstream, redis.url)
        one, two, three = [await stack.enter_async_context(running_edge(text, folder)) for folder in folders[1:]]
        await wait_joined([one, two, three], joined=True)
        opens_at = round(time.time() + 7.0, 3)
        sale = {"name": "drop", "prequeue_at": stamp(opens_at - 60), "opens_at": stamp(opens_at), "order": "draw"}
        said = (await sales(one, sale))["sales"]

        async def all_know() -> bool:
            return all([(await sales(edge))["sales"] == said for edge in (two, three)])

        await wait_until(all_know, "all machines have the sale and its commitment")
        three.send(signal.SIGKILL)  # before the opening, with nobody at it
        await three.wait_ended()
        assert time.time() < opens_at - 3.0, "the machine is too slow for this test's lead"
        buyers, late_s = await shop_at([one.url, two.url], CROWD, 1.5)
        seeds = {(await sales(edge))["sales"][0]["draw"]["seed"] for edge in (one, two)}
        [seed] = seeds
        draw = Draw(bytes.fromhex(seed), opens_at - 60, opens_at)
        places = [float(draw.place(buyer.ticket)) for buyer in buyers]
        assert judged(buyers, opens_at, places, CAPACITY, late_s) < 0.08
