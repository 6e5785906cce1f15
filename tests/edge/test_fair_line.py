"""The line over real sockets: independent clients, two worker processes, a real upstream, measured from outside.

Every client has its own cookies and connections, so the kernel decides which worker it talks to. Order and times are
the clients' own observations, not what the edge says of itself; what the upstream saw checks the capacity.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from edge.demo.crowd import Crowd, CrowdPlan, Visit
from tests.edge.observed import Shop, check_the_bounds, used_share
from tests.edge.running import RunningEdge, running_edge, running_upstream, wait_until

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
    """kill -9 in the middle: its visitors try again, keep their places, and get in once.

    Whoever was being let in at that very moment never got the answer; they ask again, in the same place.
    """

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
    check_the_bounds(visits, shop, order=0.1, lost_answers=3)
    assert len(shop.admitted_at) == 700
    assert used_share(shop) >= 0.75
