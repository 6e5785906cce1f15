"""Every worker is killed at the same moment, under load: what is kept and what is lost."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.edge.running import wait_until
from tests.edge.whole import Upstream, Visitor, whole_edge
from tests.edge.worker.test_under_load import Load, under_load

CLIENTS = 8


class Counting(Upstream):
    """Counts the orders that arrive, by their number."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: Counter[str] = Counter()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/order/"):
            self.orders[request.path] += 1
        return await super().handle(request)


class Orders(Load):
    """Every request is another order, sent once."""

    sent = 0

    @property
    def target(self) -> str:
        self.sent += 1
        return f"/order/{self.sent}"


async def wait_served(load: Load, count: int) -> None:
    async def so_many() -> bool:
        return load.seen["200"] >= count

    await wait_until(so_many, f"{count} orders are answered")


async def test_only_requests_under_way_are_lost(tmp_path: Path) -> None:
    """Places, passes, the stock and the count of active visitors are kept. Each client sees one broken connection at
    most and no error page. No order arrives twice. There is no second burst."""
    shop = Counting()
    room = {"capacity": {"admissions_per_second": 0.02, "total_active_users": 50}}
    async with whole_edge(tmp_path, shop, room=room) as edge:
        visitors = [Visitor(edge) for _ in range(10)]
        shown = [await visitor.ask() for visitor in visitors]
        inside = [visitor for visitor, (state, _) in zip(visitors, shown, strict=True) if state == "admitted"]
        waiting = [
            (visitor, document["first_seen"])
            for visitor, (_, document) in zip(visitors, shown, strict=True)
            if document
        ]
        assert inside
        assert waiting

        async def is_reported() -> bool:
            return bool((await edge.room())["active"] == len(inside))

        await wait_until(is_reported, "active visitors are counted")
        before = set(await edge.running.worker_pids())

        async def are_replaced() -> bool:
            nodes = (await edge.running.status())["nodes"]
            return all(node["ready"] and node["pid"] not in before for node in nodes)

        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{edge.running.url}/stream/cut") as stream,
            under_load(edge, Orders) as load,
        ):
            await stream.content.readexactly(6)
            await wait_served(load, 50)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            await wait_until(are_replaced, "both workers are replaced")
            await wait_served(load, load.seen["200"] + 50)
            broken = await asyncio.gather(stream.read(), return_exceptions=True)
        assert isinstance(broken[0], aiohttp.ClientError)
        errors = {what: count for what, count in load.seen.items() if what != "200"}
        assert sum(errors.values()) <= CLIENTS, errors
        assert not [what for what in errors if what.isdigit()], f"a client saw an error page: {errors}"
        assert max(shop.orders.values()) == 1, "an order arrived twice"
        for visitor, first_seen in waiting:
            state, document = await visitor.ask()
            assert (state, document["first_seen"]) == ("waiting", first_seen)
        assert {(await visitor.ask())[0] for visitor in inside} == {"admitted"}
        assert {(await Visitor(edge).ask())[0] for _ in range(8)} == {"waiting"}, "a second burst"
        await wait_until(is_reported, "active visitors are still counted")
        assert [node["restarts"] for node in (await edge.running.status())["nodes"]] == [1, 1]
