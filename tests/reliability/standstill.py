"""Standstills over real sockets: a crowd waits, something stops, and the line must go on in order and at full rate.

1,000 independent visitors (own cookies and connections) arrive within 10 s before a room of 40 admissions a second: at
one machine with two workers, or at two machines that a real Redis joins, each request at either of them. In the middle
of the sale comes a fault. All figures are what the visitors and the shop observed, not what the edge reports.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from edge.cli.demo.crowd import pause_s
from tests.edge.cluster.machines import wait_joined
from tests.edge.cluster.redis_server import RedisServer, running_redis
from tests.edge.observed import BURST_S, CAPACITY, most_in_a_window
from tests.edge.running import RunningEdge, running_edge, with_rooms
from tests.edge.whole import children
from tests.ports import free_port

__all__ = ["FAULTS", "Observed", "play"]

VISITORS = 1000
ARRIVE_S = 10.0
#: The page's pause when it reaches no edge, at first.
RETRY_S = 1.0
FULL = 0.8


class Shop:
    """The upstream, which can be stopped and started on its port. It remembers when each ticket came first."""

    def __init__(self) -> None:
        self.port = free_port()
        self.came: dict[str, float] = {}
        self.admitted_at: list[float] = []
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        ticket = request.headers.get("X-Stanchion-Ticket")
        if ticket is not None and ticket not in self.came:
            self.admitted_at.append(float(request.headers["X-Stanchion-Admitted-At"]))
        if ticket is not None:
            self.came.setdefault(ticket, asyncio.get_running_loop().time())
        return web.Response(text="the shop")


@dataclass(slots=True)
class Visitor:
    """What happened to one visitor. Times are seconds of the event loop's clock."""

    arrived: float = 0.0
    admitted: float | None = None
    errors: int = 0  # 5xx
    places: list[tuple[float, int]] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    paused: set[str] = field(default_factory=set)


class Site:
    """The machines of one run. Each can be killed and started again on its port."""

    def __init__(self, stack: contextlib.AsyncExitStack, trees: Sequence[dict[str, Any]], folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self.trees = list(trees)
        self.edges: list[RunningEdge] = []

    @property
    def urls(self) -> list[str]:
        return [tree["listen"][0].replace("tcp", "http") for tree in self.trees]

    async def start(self) -> None:
        for number, tree in enumerate(self.trees):
            folder = self._folder / f"machine-{number}"
            folder.mkdir(exist_ok=True)
            running = running_edge(yaml.safe_dump(tree), folder, TMPDIR=str(folder))
            self.edges.append(await self._stack.enter_async_context(running))

    async def kill_all(self) -> None:
        """Kill every process at the same moment, as a power failure does."""
        for edge in self.edges:
            pids = [edge.process.pid, *children(edge.process.pid)]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        for edge in self.edges:
            await edge.process.wait()
        self.edges = []

    def reload(self, **capacity: float) -> None:
        """Write other capacities into the files, and send HUP."""
        for tree, edge in zip(self.trees, self.edges, strict=True):
            tree["rooms"][0]["capacity"].update(capacity)
            edge.file.write_text(yaml.safe_dump(tree))
            edge.send(signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault may break."""

    site: Site
    shop: Shop
    redis: RedisServer | None


@dataclass(frozen=True, slots=True)
class Fault:
    """apply(scene): do it, and return when it is over. seconds: how long the line may stand still for it."""

    title: str
    apply: Callable[[Scene], Awaitable[None]]
    room: dict[str, Any] = field(default_factory=dict)
    machines: tuple[int, ...] = (1, 2)
    is_still: bool = True  # nobody is admitted meanwhile
    settle_s: float = 0.5  # until every process has noticed


def pause(seconds: float) -> Callable[[Scene], Awaitable[None]]:
    async def apply(scene: Scene) -> None:
        scene.site.reload(admissions_per_second=0.0)
        await asyncio.sleep(seconds)
        scene.site.reload(admissions_per_second=CAPACITY)

    return apply


def outage(seconds: float) -> Callable[[Scene], Awaitable[None]]:
    async def apply(scene: Scene) -> None:
        await scene.shop.stop()
        await asyncio.sleep(seconds)
        await scene.shop.start()

    return apply


async def without_redis(scene: Scene) -> None:
    assert scene.redis is not None
    await scene.redis.kill()
    await asyncio.sleep(8.0)
    await scene.redis.start()


async def stopped_worker(scene: Scene) -> None:
    [victim, *_] = await scene.site.edges[0].worker_pids()
    os.kill(victim, signal.SIGSTOP)
    await asyncio.sleep(5.0)
    os.kill(victim, signal.SIGCONT)


async def crash(scene: Scene) -> None:
    await scene.site.kill_all()
    await asyncio.sleep(3.0)
    await scene.site.start()


async def nothing(scene: Scene) -> None:
    await asyncio.sleep(0.0)


FAULTS: dict[str, Fault] = {
    "none": Fault("no fault", nothing, is_still=False),
    "pause-1": Fault("capacity 0 for 1 s", pause(1.0)),
    "pause-60": Fault("capacity 0 for 60 s", pause(60.0)),
    "outage-5": Fault("the shop is down for 5 s", outage(5.0), settle_s=2.0),
    "outage-20": Fault("the shop is down for 20 s", outage(20.0), settle_s=2.0),
    "outage-60": Fault("the shop is down for 60 s", outage(60.0), settle_s=2.0),
    "redis-hold": Fault("Redis is away for 8 s, `hold`", without_redis, {"when_redis_down": "hold"}, machines=(2,)),
    "redis-admit": Fault("Redis is away for 8 s, `admit`", without_redis, machines=(2,), is_still=False),
    "stopped-5": Fault("a worker is stopped for 5 s", stopped_worker, is_still=False),
    "crash": Fault("every process is killed, 3 s", crash),
}


@dataclass(frozen=True, slots=True)
class Observed:
    """kendall: share of pairs in the wrong order. errors: visitors that met a 5xx. most: admissions within a second.

    meanwhile: admissions during the fault, after every process has noticed. full_s: from the end of the fault until a
    second has FULL of the capacity. use: admissions as a share of what the capacity allowed outside of the fault.
    swing: the most places by which a visitor was told to be further back.
    """

    title: str
    machines: int
    visitors: int
    admitted: int
    kendall: float
    errors: int
    most: int
    meanwhile: int
    full_s: float
    use: float
    swing: int
    paused: tuple[str, ...]


async def play(name: str, machines: int, visitors: int = VISITORS, at_s: float = 12.0) -> Observed:
    """Play one sale with a fault that begins `at_s` seconds after the first arrival."""
    fault = FAULTS[name]
    shop = Shop()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stanchion-standstill-")))
        await shop.start()
        stack.push_async_callback(shop.stop)
        redis = await stack.enter_async_context(running_redis(folder)) if machines > 1 else None
        site = Site(stack, [_settings(shop, fault, redis, machines, folder) for _ in range(machines)], folder)
        await site.start()
        if redis is not None:
            await wait_joined(site.edges, joined=True)
        loop, chance = asyncio.get_running_loop(), random.Random(20_261_121)
        crowd = [Visitor() for _ in range(visitors)]
        began = loop.time()
        span: list[float] = []
        async with asyncio.TaskGroup() as group:
            for visitor in crowd:
                due = began + chance.uniform(0.0, ARRIVE_S * visitors / VISITORS)
                group.create_task(_visit(visitor, due, site.urls, random.Random(chance.random())))
            await asyncio.sleep(at_s)
            span.append(loop.time())
            await fault.apply(Scene(site, shop, redis))
            span.append(loop.time())
    return _observed(fault, machines, crowd, shop, span[0], span[1])


def _settings(shop: Shop, fault: Fault, redis: RedisServer | None, machines: int, folder: Path) -> dict[str, Any]:
    room = {
        "name": "checkout",
        "match": {"paths": ["/checkout*"]},
        "capacity": {"admissions_per_second": CAPACITY, "burst_seconds": BURST_S},
    }
    tree = with_rooms(shop.url, room | fault.room)
    tree["listen"] = [f"tcp://127.0.0.1:{free_port()}"]
    tree["state_folder"] = str(folder)
    if redis is not None:
        tree |= {"workers": 1, "cluster": {"machines": machines, "redis_url": redis.url}}
    return tree


async def _visit(visitor: Visitor, due: float, urls: Sequence[str], chance: random.Random) -> None:
    """Wait as the page does: keep every appointment a little late, and try again after a second without an answer."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(0.0, due - loop.time()))
    visitor.arrived = loop.time()
    timeout = aiohttp.ClientTimeout(total=30.0)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=timeout) as session:
        while visitor.admitted is None:
            after_s = await _poll(visitor, session, chance.choice(urls) + "/checkout")
            if visitor.admitted is None:
                await asyncio.sleep(pause_s(after_s, chance))


async def _poll(visitor: Visitor, session: aiohttp.ClientSession, url: str) -> float:
    try:
        async with session.get(url, headers={"Accept": "application/json"}) as response:
            state, body = response.headers.get("Stanchion-State", "none"), await response.read()
    except (aiohttp.ClientError, TimeoutError):
        return RETRY_S * (0.5 + 0.5 * random.random())
    visitor.states[f"{response.status} {state}"] += 1
    now = asyncio.get_running_loop().time()
    if response.status >= 500:
        visitor.errors += 1
        return RETRY_S
    if response.status == 200 and state in ("admitted", "none"):
        visitor.admitted = now
        return 0.0
    told = json.loads(body)
    if told.get("position") is not None:
        visitor.places.append((now, told["position"]))
    if told.get("paused"):
        visitor.paused.add(told["paused"])
    return float(told["poll_after_seconds"])


def _observed(
    fault: Fault, machines: int, crowd: Sequence[Visitor], shop: Shop, since: float, until: float
) -> Observed:
    inside = sorted((v for v in crowd if v.admitted is not None), key=lambda v: v.arrived)
    admitted = [v.admitted for v in inside if v.admitted is not None]
    came = sorted(shop.came.values())
    first = next((at for at in came if at >= until), until)
    starts = [until + 0.05 * i for i in range(400)]
    full = next((at for at in starts if sum(at <= c < at + 1.0 for c in came) >= FULL * CAPACITY), starts[-1])
    still_s = until - since if fault.is_still else 0.0
    return Observed(
        title=fault.title,
        machines=machines,
        visitors=len(crowd),
        admitted=len(admitted),
        kendall=_inversions(admitted) / max(1, len(admitted) * (len(admitted) - 1) / 2),
        errors=sum(v.errors > 0 for v in crowd),
        most=most_in_a_window(shop.admitted_at, 1.0),
        meanwhile=sum(since + fault.settle_s <= at < until for at in came) if fault.is_still else 0,
        full_s=max(full, first) - until,
        use=len(came) / (CAPACITY * (BURST_S + came[-1] - came[0] - still_s)),
        swing=max((_swing(v.places) for v in crowd), default=0),
        paused=tuple(sorted(set().union(*(v.paused for v in crowd)))),
    )


def _inversions(admitted: Sequence[float]) -> int:
    return sum(admitted[i] > later for i in range(len(admitted)) for later in admitted[i + 1 :])


def _swing(places: Sequence[tuple[float, int]]) -> int:
    return max((b - a for (_, a), (_, b) in pairwise(places)), default=0)


def main() -> None:
    """python -m tests.reliability.standstill [NAME-MACHINES ...]"""
    for each in sys.argv[1:]:
        name, _, machines = each.rpartition("x")
        print(asyncio.run(play(name, int(machines))), flush=True)


if __name__ == "__main__":
    main()
