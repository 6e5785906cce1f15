"""A site under test: one or several machines, their shop, and a crowd of independent visitors, over real sockets.

Each visitor has own cookies and connections, and sends each request to any of the machines. All figures are what the
visitors and the shop observed, not what the edge reports.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from edge.cli.demo.crowd import pause_s
from tests.edge.cluster.machines import wait_joined
from tests.edge.cluster.redis_server import RedisServer, running_redis
from tests.edge.running import RunningEdge, running_edge, with_rooms
from tests.edge.whole import children
from tests.ports import free_port

__all__ = ["SEED", "Scene", "Shop", "Site", "Visitor", "kendall", "running_site", "send_crowd", "visit"]

SEED = 20_261_121
#: The page's pause when it reaches no edge, at first.
RETRY_S = 1.0


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
    admitted_by: str = ""  # the address of the machine
    errors: int = 0  # 5xx
    asked: list[float] = field(default_factory=list)
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
        await _kill(self.edges)
        self.edges = []

    async def kill_last(self) -> str:
        """Kill every process of the last machine. Return its address."""
        url = self.urls[len(self.edges) - 1]
        await _kill([self.edges.pop()])
        return url

    def reload(self, **capacity: float) -> None:
        """Write other capacities into the files, and send HUP."""
        for tree, edge in zip(self.trees, self.edges, strict=True):
            tree["rooms"][0]["capacity"].update(capacity)
            edge.file.write_text(yaml.safe_dump(tree))
            edge.send(signal.SIGHUP)


async def _kill(edges: Sequence[RunningEdge]) -> None:
    for edge in edges:
        for pid in (edge.process.pid, *children(edge.process.pid)):
            os.kill(pid, signal.SIGKILL)
    for edge in edges:
        await edge.process.wait()


@dataclass(frozen=True, slots=True)
class Scene:
    """What a play may change or break."""

    site: Site
    shop: Shop
    redis: RedisServer | None


@contextlib.asynccontextmanager
async def running_site(room: dict[str, Any], machines: int, prefix: str) -> AsyncIterator[Scene]:
    """Run one machine with two workers, or several with one each that a real Redis joins, and their shop.

    room: sections of the room `checkout`. prefix: of the folder's name.
    """
    shop = Shop()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
        await shop.start()
        stack.push_async_callback(shop.stop)
        redis = await stack.enter_async_context(running_redis(folder)) if machines > 1 else None
        trees = [_settings(shop, room, redis, machines, folder / f"machine-{number}") for number in range(machines)]
        site = Site(stack, trees, folder)
        await site.start()
        if redis is not None:
            await wait_joined(site.edges, joined=True)
        yield Scene(site, shop, redis)


def _settings(
    shop: Shop, room: dict[str, Any], redis: RedisServer | None, machines: int, folder: Path
) -> dict[str, Any]:
    tree = with_rooms(shop.url, {"name": "checkout", "match": {"paths": ["/checkout*"]}, **room})
    tree["listen"] = [f"tcp://127.0.0.1:{free_port()}"]
    tree["state_folder"] = str(folder / "state")
    if redis is not None:
        tree |= {"workers": 1, "cluster": {"machines": machines, "redis_url": redis.url}}
    return tree


def send_crowd(
    group: asyncio.TaskGroup, scene: Scene, visitors: int, arrive_s: float, urls: list[str] | None = None
) -> list[Visitor]:
    """Let visitors arrive at random within some seconds from now on. The group ends when all are admitted.

    urls: the addresses that the load balancer knows, which may change meanwhile; None for all machines.
    """
    urls = scene.site.urls if urls is None else urls
    chance, began = random.Random(SEED), asyncio.get_running_loop().time()
    crowd = [Visitor() for _ in range(visitors)]
    for visitor in crowd:
        due = began + chance.uniform(0.0, arrive_s)
        group.create_task(visit(visitor, due, urls, random.Random(chance.random())))
    return crowd


async def visit(visitor: Visitor, due: float, urls: Sequence[str], chance: random.Random) -> None:
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
    visitor.asked.append(asyncio.get_running_loop().time())
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
        visitor.admitted, visitor.admitted_by = now, url.removesuffix("/checkout")
        return 0.0
    told = json.loads(body)
    if told.get("position") is not None:
        visitor.places.append((now, told["position"]))
    if told.get("paused"):
        visitor.paused.add(told["paused"])
    return float(told["poll_after_seconds"])


def kendall(crowd: Sequence[Visitor]) -> float:
    """Return the share of pairs of admitted visitors in which the younger came in first."""
    inside = sorted((v for v in crowd if v.admitted is not None), key=lambda v: v.arrived)
    admitted = [v.admitted for v in inside if v.admitted is not None]
    wrong = sum(admitted[i] > later for i in range(len(admitted)) for later in admitted[i + 1 :])
    return wrong / max(1, len(admitted) * (len(admitted) - 1) / 2)
