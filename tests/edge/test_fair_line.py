"""The line over real sockets: independent clients, two worker processes, a real upstream, measured from outside.

Every client has its own cookies and connections, so the kernel decides which worker it talks to. Order and times are
the clients' own observations, not what the edge says of itself; what the upstream saw checks the capacity.
"""

import asyncio
import bisect
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from edge.demo.crowd import Crowd, CrowdPlan, Visit
from tests.edge.running import RunningEdge, running_edge, running_upstream, wait_until

CAPACITY = 40.0
BURST_S = 1.0

SETTINGS = """
listen: ["tcp://127.0.0.1:0"]
admin: {{listen: "tcp://127.0.0.1:0"}}
workers: 2
secret_keys_env: STANCHION_KEYS
upstream: {{url: "{upstream}"}}
log: {{format: json, access: none}}
rooms:
  - name: checkout
    match: {{paths: ["/checkout*"]}}
    capacity: {{admissions_per_second: 40, burst_seconds: 1.0}}
"""


class Shop:
    """The upstream: remembers who came, when they were admitted, and when they were first seen here."""

    def __init__(self) -> None:
        self.admitted_at: dict[str, set[str]] = {}
        self.came: list[float] = []

    async def handle(self, request: web.BaseRequest) -> web.Response:
        ticket = request.headers["X-Stanchion-Ticket"]
        if ticket not in self.admitted_at:
            self.came.append(asyncio.get_running_loop().time())
        self.admitted_at.setdefault(ticket, set()).add(request.headers["X-Stanchion-Admitted-At"])
        return web.Response(text="checkout")


async def play(
    plan: CrowdPlan, folder: Path, meanwhile: Callable[[RunningEdge, Crowd], Coroutine[Any, Any, None]] | None = None
) -> tuple[list[Visit], Shop]:
    shop = Shop()
    async with (
        running_upstream(shop.handle) as upstream,
        running_edge(SETTINGS.format(upstream=upstream), folder) as edge,
    ):
        crowd = Crowd(edge.url, "/checkout", plan, random.Random(20261121))
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.play())
            if meanwhile is not None:
                group.create_task(meanwhile(edge, crowd))
    return crowd.visits, shop


def overtaken_share(visits: list[Visit]) -> float:
    """The share of pairs in which the later arrival got in first (normalised Kendall tau distance)."""
    order = [visit.admitted for visit in sorted(visits, key=lambda visit: visit.arrived) if visit.admitted is not None]
    inversions, seen = 0, []
    for admitted in order:
        inversions += len(seen) - bisect.bisect_right(seen, admitted)
        bisect.insort(seen, admitted)
    return inversions / max(1, len(order) * (len(order) - 1) // 2)


def most_in_a_window(moments: list[float], window_s: float) -> int:
    moments = sorted(moments)
    return max(bisect.bisect_left(moments, start + window_s) - at for at, start in enumerate(moments))


def check_the_bounds(visits: list[Visit], shop: Shop) -> None:
    """What every crowd is promised."""
    states = Counter[str]()
    for visit in visits:
        states.update(visit.states)
    assert set(states) <= {"200 waiting", "200 admitted"}, f"somebody saw something else: {states}"
    assert all(visit.admitted is not None or visit.left is not None for visit in visits)
    admissions = [float(moment) for moments in shop.admitted_at.values() for moment in moments]
    assert max(len(moments) for moments in shop.admitted_at.values()) == 1, "a place was used twice"
    for window_s in (0.5, 1.0, 5.0, 20.0):
        most = most_in_a_window(admissions, window_s)
        assert most <= CAPACITY * (BURST_S + window_s) + 1, f"{most} admissions within {window_s} s"
    overtaken, used = overtaken_share(visits), used_share(shop)
    print(f"{len(shop.admitted_at)} admitted, {overtaken:.2%} of pairs overtaken, {used:.1%} of the capacity used")
    assert overtaken < 0.05


def used_share(shop: Shop) -> float:
    """Admissions made, of those that the capacity allowed from the first to the last of them."""
    admissions = sorted(float(moment) for moments in shop.admitted_at.values() for moment in moments)
    return len(admissions) / (CAPACITY * (BURST_S + admissions[-1] - admissions[0]))


async def test_1500_visitors_within_5_seconds_get_in_fairly(tmp_path: Path) -> None:
    """All get in, nobody sees an error, no overshoot, order kept, the capacity used while anybody waits."""
    visits, shop = await play(CrowdPlan(rush=1500, rush_s=5.0, total=1500, impatient=0.0, buy=False), tmp_path)
    check_the_bounds(visits, shop)
    assert len(shop.admitted_at) == 1500
    assert not any(visit.dropped for visit in visits)
    assert used_share(shop) >= 0.9


async def test_the_same_crowd_with_half_of_its_people_leaving(tmp_path: Path) -> None:
    """Those who left silently block nobody: the same bounds, and the line is over sooner."""
    plan = CrowdPlan(rush=1500, rush_s=5.0, total=1500, impatient=0.5, patience_s=10.0, buy=False)
    visits, shop = await play(plan, tmp_path)
    check_the_bounds(visits, shop)
    assert sum(visit.left is not None for visit in visits) > 300
    assert not any(visit.dropped for visit in visits)
    assert used_share(shop) >= 0.9


async def test_a_killed_worker_loses_no_place_and_lets_nobody_in_twice(tmp_path: Path) -> None:
    """kill -9 in the middle: its visitors try again, keep their places, and the bounds hold."""

    async def kill(edge: RunningEdge, crowd: Crowd) -> None:
        async def half_are_in() -> bool:
            return sum(visit.admitted is not None for visit in crowd.visits) > 300

        await wait_until(half_are_in, "the line moves")
        [victim, other] = await edge.worker_pids()
        os.kill(victim, signal.SIGKILL)

        async def there_is_another() -> bool:
            nodes = (await edge.status())["nodes"]
            return nodes[0]["pid"] not in (None, victim) and nodes[0]["ready"]

        await wait_until(there_is_another, "the killed worker is replaced")
        assert (await edge.worker_pids())[1] == other

    plan = CrowdPlan(rush=700, rush_s=5.0, total=700, impatient=0.0, buy=False)
    visits, shop = await play(plan, tmp_path, kill)
    check_the_bounds(visits, shop)
    assert len(shop.admitted_at) == 700
