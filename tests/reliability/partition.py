"""Admissions of two machines joined by Redis, one of them behind a network that is slow or loses a direction.

Both machines have a room that holds without Redis and one that goes on, CAPACITY admissions a second each over both
machines. More visitors than that come through a load balancer that sends each request to either machine. Admissions
are counted at the shop.
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from aiohttp import web

from edge.cli.demo.crowd import Crowd, CrowdPlan
from tests.edge.cluster.redis_server import running_redis
from tests.edge.cluster.toxic_proxy import ToxicProxy, toxic_proxy
from tests.edge.observed import Shop, most_in_a_window
from tests.edge.running import RunningEdge, running_edge, running_upstream, wait_until, with_rooms

__all__ = ["CAPACITY", "WINDOW_S", "Seen", "partitions"]

CAPACITY = 40.0
BEFORE_S, TROUBLE_S, AFTER_S = 3.0, 9.0, 5.0
WINDOW_S = 3.0
TROUBLES: dict[str, tuple[float, set[str]]] = {
    "none": (0.0, set()),
    "0.3 s there and back": (0.15, set()),
    "2 s there and back": (1.0, set()),
    "nothing reaches Redis": (0.0, {"there"}),
    "nothing comes from Redis": (0.0, {"back"}),
    "neither": (0.0, {"there", "back"}),
}


@dataclass
class Seen:
    """One kind of trouble. `rate`: admissions a second in its last two thirds, by room. `most`: in any WINDOW_S."""

    trouble: str
    rate: dict[str, float] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    up: float | None = None
    states: Counter[str] = field(default_factory=Counter)


async def partitions() -> list[Seen]:
    seen = []
    for trouble in TROUBLES:
        with tempfile.TemporaryDirectory() as folder:
            seen.append(await _play(trouble, Path(folder)))
    return seen


async def _play(trouble: str, folder: Path) -> Seen:
    shops, seen = {"hold": Shop(), "admit": Shop()}, Seen(trouble)
    folders = [folder / name for name in ("redis", "one", "two")]
    for each in folders:
        each.mkdir()

    async def handle(request: web.BaseRequest) -> web.Response:
        return await shops[request.path.strip("/")].handle(request)

    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(running_redis(folders[0]))
        upstream = await stack.enter_async_context(running_upstream(handle))
        toxic = await stack.enter_async_context(toxic_proxy(int(urlsplit(redis.url).port or 0)))
        near = _settings(upstream, redis.url)
        far = _settings(upstream, f"redis://127.0.0.1:{toxic.port}/0")
        async with running_edge(near, folders[1]) as one, running_edge(far, folders[2]) as two:

            async def joined() -> bool:
                return [await edge.metric("stanchion_redis_up") for edge in (one, two)] == [1.0, 1.0]

            await wait_until(joined, "both machines hear each other")
            total = int(CAPACITY * (BEFORE_S + TROUBLE_S + AFTER_S) * 1.6)
            plan = CrowdPlan(rush=total, rush_s=BEFORE_S + TROUBLE_S, total=total, impatient=0.0, buy=False)
            crowds = [Crowd([one.url, two.url], f"/{name}", plan, random.Random(3)) for name in shops]
            playing = [asyncio.ensure_future(crowd.play()) for crowd in crowds]
            await asyncio.sleep(BEFORE_S)
            begin_s = await _trouble(toxic, seen, two)
            await asyncio.sleep(AFTER_S)
            for task in playing:
                task.cancel()
            await asyncio.gather(*playing, return_exceptions=True)
    for crowd in crowds:
        for visit in crowd.visits:
            seen.states.update(visit.states)
            seen.states.update(visit.dropped)
    for name, shop in shops.items():
        moments = [float(moment) for said in shop.admitted_at.values() for moment in said]
        late = [moment for moment in moments if begin_s + TROUBLE_S / 3 <= moment < begin_s + TROUBLE_S]
        seen.rate[name] = len(late) / (TROUBLE_S * 2 / 3)
        seen.most[name] = most_in_a_window(moments, WINDOW_S)
    return seen


def _settings(upstream: str, redis: str) -> str:
    """Return the settings of one machine: one worker, and a room for each `when_redis_down`, named after it."""
    rooms = [
        {
            "name": way,
            "match": {"paths": [f"/{way}*"]},
            "capacity": {"admissions_per_second": CAPACITY},
            "when_redis_down": way,
        }
        for way in ("hold", "admit")
    ]
    cluster = {"machines": 2, "redis_url": redis}
    return yaml.safe_dump(with_rooms(upstream, *rooms) | {"workers": 1, "cluster": cluster})


async def _trouble(toxic: ToxicProxy, seen: Seen, far: RunningEdge) -> float:
    """Make the trouble, wait, and end it; return its wall-clock beginning."""
    begin_s = time.time()
    toxic.delay_s, toxic.lost = TROUBLES[seen.trouble]
    await asyncio.sleep(TROUBLE_S)
    seen.up = await far.metric("stanchion_redis_up")
    toxic.delay_s, toxic.lost = 0.0, set()
    return begin_s
