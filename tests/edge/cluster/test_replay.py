"""One ticket at many nodes at the same moment: how often it is admitted, measured at the upstream."""

import asyncio
import contextlib
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.edge.cluster.machines import wait_joined
from tests.edge.cluster.redis_server import running_redis
from tests.edge.observed import Shop
from tests.edge.running import RunningEdge, one_room, running_edge, running_upstream, wait_until
from waiting_room.ticket import Keyring, Pass, Ticket

KEYS = Keyring([b"a-key-for-tests-only-" + b"x" * 22])
TICKETS, TIMES = 12, 24


async def replay(edges: list[RunningEdge], shop: Shop) -> tuple[Counter[str], list[int]]:
    """Show each ticket TIMES times at once, spread over the edges, until it is admitted.

    Returns the states of all responses, and how often the upstream saw each ticket admitted.
    """
    now = time.time()
    cookies = [KEYS.seal(Ticket(f"{at:022}", "checkout", now - 60.0, now)) for at in range(TICKETS)]
    states: Counter[str] = Counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:

        async def show(cookie: str, edge: RunningEdge) -> str:
            headers = {"Cookie": f"stanchion_checkout={cookie}"}
            async with session.get(f"{edge.url}/checkout", headers=headers) as answer:
                await answer.read()
                return answer.headers["Stanchion-State"]

        for cookie in cookies:
            shown: list[str] = []
            while "admitted" not in shown:  # machines that have just joined admit nobody for a moment
                shown = await asyncio.gather(*(show(cookie, edges[at % len(edges)]) for at in range(TIMES)))
                states.update(shown)
    return states, [len(moments) for moments in shop.admitted_at.values()]


def settings(upstream: str, **changes: Any) -> str:
    tree = yaml.safe_load(one_room(upstream, capacity={"admissions_per_second": 1000}))
    return yaml.safe_dump(tree | changes)


async def test_workers_of_one_machine_admit_a_ticket_once(tmp_path: Path) -> None:
    """The kernel gives each connection to any worker."""
    shop = Shop()
    async with (
        running_upstream(shop.handle) as upstream,
        running_edge(settings(upstream), tmp_path) as edge,
    ):
        states, admitted = await replay([edge], shop)
    assert admitted == [1] * TICKETS
    assert set(states) <= {"admitted", "waiting"}


async def test_a_pass_ends_at_every_node_when_its_ticket_is_redeemed_again(tmp_path: Path) -> None:
    """A visitor that shows the earlier pass is in line at every worker."""
    shop = Shop()
    async with running_upstream(shop.handle) as upstream, running_edge(settings(upstream), tmp_path) as edge:
        now, ident = time.time(), "m" * 22
        held = Pass(
            ident, "checkout", now - 200, now - 100, float(int(now + 500)), KEYS.binding_digest(ident, "one", "any")
        )
        cookie = f"stanchion_checkout={KEYS.seal(held)}"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:

            async def shown_by(agent: str) -> str:
                headers = {"Cookie": cookie, "User-Agent": agent}
                async with session.get(f"{edge.url}/checkout", headers=headers) as answer:
                    return answer.headers["Stanchion-State"]

            assert {await shown_by("one/1.0") for _ in range(10)} == {"admitted"}

            async def has_moved() -> bool:
                return await shown_by("two/1.0") == "admitted"

            await wait_until(has_moved, "the other browser is admitted")

            async def counts_nowhere() -> bool:
                return {await shown_by("one/1.0") for _ in range(10)} == {"waiting"}

            await wait_until(counts_nowhere, "all workers know that the pass has ended")


@pytest.mark.parametrize("is_joined", [True, False], ids=["joined by Redis", "not joined"])
async def test_machines_admit_a_ticket_once_when_redis_joins_them(tmp_path: Path, is_joined: bool) -> None:
    """Without Redis each machine admits it once, which is the stated bound."""
    shop = Shop()
    folders = [tmp_path / name for name in ("redis", "one", "two")]
    for folder in folders:
        folder.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(running_redis(folders[0]))
        upstream = await stack.enter_async_context(running_upstream(shop.handle))
        cluster: dict[str, Any] = {"machines": 2} | ({"redis_url": redis.url} if is_joined else {})
        text = settings(upstream, cluster=cluster)
        edges = [await stack.enter_async_context(running_edge(text, folder)) for folder in folders[1:]]
        if is_joined:
            await wait_joined(edges, joined=True)
        states, admitted = await replay(edges, shop)
    assert len(admitted) == TICKETS
    assert max(admitted) == (1 if is_joined else 2)
    assert set(states) <= {"admitted", "waiting"}
