"""Two machines joined by Redis, behind a load balancer that sends every request to either of them, and a sale.

Redis dies in the middle and comes back empty. The line goes on, and both machines together never admit more than the
capacity allows, except for one heartbeat's worth at each change.
"""

import asyncio
import random
from pathlib import Path

from edge.cli.demo.crowd import Crowd, CrowdPlan
from edge.worker.heartbeat import HEARTBEAT_S
from tests.edge.cluster.machines import joined_machine, wait_joined
from tests.edge.cluster.redis_server import running_redis
from tests.edge.observed import CAPACITY, Shop, check_the_bounds, used_share
from tests.edge.running import running_edge, running_upstream, wait_until


async def test_the_line_goes_on_when_redis_is_killed_and_comes_back_empty(tmp_path: Path) -> None:
    """All visitors are admitted in order and within the capacity, and the machines find each other again."""
    shop = Shop()
    folders = [tmp_path / name for name in ("redis", "one", "two")]
    for folder in folders:
        folder.mkdir()
    async with running_redis(folders[0]) as redis, running_upstream(shop.handle) as upstream:
        text = joined_machine(upstream, redis.url)
        async with running_edge(text, folders[1]) as one, running_edge(text, folders[2]) as two:
            await wait_joined([one, two], joined=True)
            plan = CrowdPlan(rush=800, rush_s=4.0, total=800, impatient=0.0, buy=False)
            crowd = Crowd([one.url, two.url], "/checkout", plan, random.Random(11))

            async def admitted(share: float) -> None:
                async def so_many() -> bool:
                    return sum(visit.admitted is not None for visit in crowd.visits) > share * 800

                await wait_until(so_many, "the line moves")

            async with asyncio.TaskGroup() as group:
                group.create_task(crowd.play())
                await admitted(0.25)
                await redis.kill()
                await wait_joined([one, two], joined=False)
                await admitted(0.6)
                await redis.start()
                await wait_joined([one, two], joined=True)
                assert sum(visit.admitted is None for visit in crowd.visits) > 40, "the line was over too soon"
    check_the_bounds(crowd.visits, shop, extra=2 * HEARTBEAT_S * CAPACITY, order=0.1)
    assert len(shop.admitted_at) == 800
    assert used_share(shop) >= 0.85
    for edge in (one, two):
        assert sum("cannot be reached" in str(line.get("message")) for line in edge.log) == 1
