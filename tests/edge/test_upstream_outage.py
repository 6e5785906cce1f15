"""The upstream fails under a real crowd: nobody is sent to it to find out whether it is back, and the line goes on at
once when it is. Of several servers, one that fails costs no request that can be repeated."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from edge.cli.admin_client import AdminClient
from edge.cli.demo.crowd import CrowdPlan
from edge.cli.inspect import show_status
from tests.edge.observed import overtaken_share
from tests.edge.outage import ErrorCrowd, StoppableShop
from tests.edge.running import RunningEdge, one_room, running_edge, wait_until

pytestmark = pytest.mark.serial

RATE = 40.0
#: A response that was on its way when the edge noticed.
ON_ITS_WAY_S = 0.3


@asynccontextmanager
async def edge_before(shops: list[StoppableShop], folder: Path, **upstream: object) -> AsyncIterator[RunningEdge]:
    async with AsyncExitStack() as stack:
        for shop in shops:
            await shop.start()
            stack.push_async_callback(shop.close)
        tree = yaml.safe_load(one_room("http://127.0.0.1:1", capacity={"admissions_per_second": RATE}))
        tree["upstream"] = {"servers": [shop.url for shop in shops], **upstream}
        yield await stack.enter_async_context(running_edge(yaml.safe_dump(tree), folder))


@pytest.mark.parametrize("how", ["refused", "503"])
async def test_no_visitor_finds_out_that_the_upstream_is_down_and_the_line_goes_on_at_once(
    tmp_path: Path, how: str
) -> None:
    shop, now = StoppableShop(), asyncio.get_running_loop().time
    async with edge_before([shop], tmp_path) as edge:
        plan = CrowdPlan(rush=240, rush_s=2.0, total=240, impatient=0.0, buy=False)
        crowd = ErrorCrowd(edge.url, "/checkout", plan, random.Random(11))
        playing = asyncio.ensure_future(crowd.play())

        async def some_are_in() -> bool:
            return sum(visit.admitted is not None for visit in crowd.visits) > 60

        await wait_until(some_are_in, "the line moves")
        stopped = now()
        await shop.stop(how)
        [said, *_] = await edge.wait_logged("the upstream is down")
        noticed, came = now(), len(shop.came)
        assert (said["level"], said["server"]) == ("warning", shop.url)
        assert said["reason"]
        text = await asyncio.to_thread(show_status, AdminClient(edge.admin), as_json=False)
        assert "is down" in text
        assert "nobody is let in" in text
        await asyncio.sleep(2.0)
        assert len(shop.came) == came, "a visitor was sent to a shop that is down"
        async with aiohttp.ClientSession() as session, session.get(edge.url + "/checkout") as answer:
            document = await answer.json()
        assert (document["state"], document["paused"]) == ("waiting", "upstream")

        back = now()
        await shop.start()
        [said, *_] = await edge.wait_logged("the upstream is back")
        assert said["down_seconds"] > 2.0  # type: ignore[operator]
        await playing
    met: dict[int, float] = {}
    for at, visitor in crowd.errors:
        met.setdefault(visitor, at)
    for visit in crowd.visits:  # the admission itself met the error, and the visitor takes it for the end
        if visit.admitted is None and visit.left is not None and any(each.startswith("50") for each in visit.states):
            met.setdefault(visit.number, visit.left)
    assert max(met.values(), default=0.0) < noticed + ON_ITS_WAY_S, "nobody was let in to an error"
    # Until the edge noticed, each visitor that it let in met the error, and it lets in RATE a second.
    assert len(met) <= RATE * (noticed + ON_ITS_WAY_S - stopped), "only admitted visitors met an error"
    gave_up = {visit.number for visit in crowd.visits if visit.admitted is None}
    assert gave_up <= met.keys(), "only visitors that met an error may have given up"
    admitted = [visit.admitted for visit in crowd.visits if visit.admitted is not None]
    assert len(crowd.visits) == len(admitted) + len(gave_up) == 240
    assert not any(noticed + ON_ITS_WAY_S < moment < back for moment in admitted)
    after = sorted(moment - back for moment in admitted if moment > back)
    print(f"{how}: {len(met)} met an error, first admission {after[0]:.2f} s after the return, "
          f"{overtaken_share(crowd.visits):.2%} of pairs overtaken")  # fmt: skip
    assert len(after) > RATE, "the line stood still, and went on by itself"


@dataclass
class Load:
    """Requests at a steady rate, each on a connection of its own from a pool; what became of them."""

    url: str
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    slowest_s: float = 0.0

    async def play(self, rate: float, seconds: float) -> None:
        now = asyncio.get_running_loop().time
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            began = now()
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, began + number / rate - now()))
                group.create_task(self._ask(session, "POST" if number % 20 == 0 else "GET"))

    async def _ask(self, session: aiohttp.ClientSession, method: str) -> None:
        began = asyncio.get_running_loop().time()
        async with session.request(method, self.url) as answer:
            await answer.read()
        self.statuses[method, answer.status] += 1
        if method == "GET":
            self.slowest_s = max(self.slowest_s, asyncio.get_running_loop().time() - began)

    @property
    def failed(self) -> Counter[tuple[str, int]]:
        return Counter({key: count for key, count in self.statuses.items() if key[1] != 200})


async def test_of_three_servers_one_is_killed_and_one_hangs_and_no_get_fails(tmp_path: Path) -> None:
    """200 requests a second. The servers share them evenly before, and again after both are back."""

    async def take_some_time(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.01)
        return web.Response(text="the shop")

    shops = [StoppableShop(take_some_time) for _ in range(3)]
    now = asyncio.get_running_loop().time
    health = {"path": "/healthz", "interval_seconds": 0.2, "timeout_seconds": 0.6}
    async with edge_before(shops, tmp_path, health=health, response_timeout_seconds=15) as edge:
        load = Load(edge.url + "/anything")

        async def shares(seconds: float) -> list[float]:
            before = [len(shop.came) for shop in shops]
            await load.play(200, seconds)
            counts = [len(shop.came) - count for shop, count in zip(shops, before, strict=True)]
            return [count / sum(counts) for count in counts]

        assert await shares(2.0) == pytest.approx([1 / 3] * 3, abs=0.05 / 3)
        playing = asyncio.ensure_future(load.play(200, 5.0))
        await asyncio.sleep(0.5)
        await shops[0].stop("refused")
        await asyncio.sleep(1.0)
        hung = len(shops[1].came)
        await shops[1].stop("hangs")
        await edge.wait_logged("a server of the upstream is down")

        async def only_one_is_left() -> bool:
            return [server["up"] for server in (await edge.status())["upstream"]["servers"]].count(True) == 1

        await wait_until(only_one_is_left, "both are noticed")
        hung = len(shops[1].came) - hung
        back = now()
        await shops[0].start()
        await shops[1].start()

        async def all_are_back() -> bool:
            return all(server["up"] for server in (await edge.status())["upstream"]["servers"])

        await wait_until(all_are_back, "both are back")
        recovery_s = now() - back
        await playing
        assert await shares(2.0) == pytest.approx([1 / 3] * 3, abs=0.05 / 3)
        print(f"failed {dict(load.failed)}, slowest GET {load.slowest_s:.2f} s, {hung} requests at the hung server, "
              f"back after {recovery_s:.2f} s")  # fmt: skip
        assert recovery_s < 3.0
        assert not any(method == "GET" for method, _ in load.failed), load.failed
        assert load.failed.total() <= 2, "a POST in flight at the killed server may fail"
