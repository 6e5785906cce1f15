"""A rolling update as Kubernetes does it, with real edges: one more pod, wait until it is ready, end an old one.

Endpoints follow readiness late, as in a cluster: a probe looks every PROBE_S, and its result reaches the clients after
LAG_S. The chart's order (maxSurge 1, maxUnavailable 0) and its delay before the end of accepting hide both.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from tests.edge.running import RunningEdge, one_room, running_edge, running_upstream

PROBE_S = 0.2
LAG_S = 0.5
#: More than PROBE_S + LAG_S, as docs/deploying.md asks for.
DELAY_S = 2.0
PODS = 2
CLIENTS = 8


class Endpoints:
    """The addresses that clients use. A pod is added, and left out, LAG_S after a probe has seen it."""

    def __init__(self) -> None:
        self._pods: dict[str, str] = {}
        self.ready: set[str] = set()

    def add(self, edge: RunningEdge) -> None:
        self._pods[edge.url] = edge.admin

    def forget(self, edge: RunningEdge) -> None:
        del self._pods[edge.url]
        self.ready.discard(edge.url)

    async def follow(self) -> None:
        """Probe all pods for ever."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.0)) as session:
            while True:
                for url, admin in list(self._pods.items()):
                    is_ready = False
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                        async with session.get(f"{admin}/readyz") as answer:
                            is_ready = answer.status == 200
                    change = self.ready.add if is_ready else self.ready.discard
                    asyncio.get_running_loop().call_later(LAG_S, change, url)
                await asyncio.sleep(PROBE_S)

    async def wait_for(self, edge: RunningEdge) -> None:
        while edge.url not in self.ready:
            await asyncio.sleep(PROBE_S)


async def visit(endpoints: Endpoints, chance: random.Random, seen: Counter[str], is_over: asyncio.Event) -> None:
    """Be one visitor: keep the cookie, ask any ready pod on a new connection each time, until the end."""
    jar: dict[str, str] = {}
    while not is_over.is_set():
        url = chance.choice(sorted(endpoints.ready))
        try:
            async with (
                aiohttp.ClientSession(cookies=jar, headers={"Accept": "application/json"}) as session,
                session.get(f"{url}/checkout", allow_redirects=False) as answer,
            ):
                await answer.read()
                seen[f"{answer.status} {answer.headers.get('Stanchion-State', 'shop')}"] += 1
                jar |= {name: morsel.value for name, morsel in answer.cookies.items()}
        except aiohttp.ClientError as error:
            seen[type(error).__name__] += 1
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def pod(settings: str, folder: Path, name: str) -> AsyncIterator[RunningEdge]:
    own = folder / name
    own.mkdir()
    async with running_edge(settings, own) as edge:
        yield edge


async def test_a_rolling_update_fails_no_request(tmp_path: Path):
    """Both pods are replaced under load. Every request is answered, and every visitor keeps their place or pass."""

    async def shop(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.05)
        return web.Response(text="the shop")

    endpoints, seen, is_over = Endpoints(), Counter[str](), asyncio.Event()
    async with running_upstream(shop) as upstream:
        tree = yaml.safe_load(one_room(upstream, capacity={"admissions_per_second": 20}))
        tree |= {"workers": 1, "shutdown": {"delay_seconds": DELAY_S, "grace_seconds": 10.0}}
        settings = yaml.safe_dump({**tree, "cluster": {"machines": PODS}})
        async with AsyncExitStack() as running, asyncio.TaskGroup() as group:
            old = [await running.enter_async_context(pod(settings, tmp_path, f"old{n}")) for n in range(PODS)]
            following = group.create_task(endpoints.follow())
            for edge in old:
                endpoints.add(edge)
                await endpoints.wait_for(edge)
            visitors = [group.create_task(visit(endpoints, random.Random(n), seen, is_over)) for n in range(CLIENTS)]
            for n, edge in enumerate(old):
                fresh = await running.enter_async_context(pod(settings, tmp_path, f"new{n}"))
                endpoints.add(fresh)
                await endpoints.wait_for(fresh)
                edge.process.terminate()
                assert await edge.wait_ended() == 0
                endpoints.forget(edge)
            before = seen.total()
            while seen.total() < before + 100:
                await asyncio.sleep(PROBE_S)
            is_over.set()
            await asyncio.gather(*visitors)
            following.cancel()
    assert set(seen) <= {"200 admitted", "200 waiting"}, seen
    assert seen["200 admitted"] > 100
