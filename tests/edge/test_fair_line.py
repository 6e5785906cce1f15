"""The line over real sockets: independent clients, two worker processes, a real upstream, measured from outside.

Every client has its own cookies and connections, so the kernel chooses its worker. Order and times are what the clients
observed, not what the edge reports; the capacity is checked by what the upstream saw.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.simulation.crowd import crowd
from controller.simulation.ideal import Capacity, fifo
from controller.simulation.measures import Measures, measure
from controller.simulation.scenario import Scenario
from controller.simulation.world import play
from edge.cli.demo.crowd import Crowd, CrowdPlan, Visit
from edge.worker.heartbeat import HEARTBEAT_S
from tests.edge.observed import BURST_S, CAPACITY, Shop, check_the_bounds, used_share
from tests.edge.running import RunningEdge, one_room, running_edge, running_upstream, wait_until

pytestmark = pytest.mark.serial


async def visit_all(
    plan: CrowdPlan, folder: Path, meanwhile: Callable[[RunningEdge, Crowd], Coroutine[Any, Any, None]] | None = None
) -> tuple[list[Visit], Shop]:
    shop = Shop()
    async with (
        running_upstream(shop.handle) as upstream,
        running_edge(
            one_room(upstream, capacity={"admissions_per_second": CAPACITY, "burst_seconds": BURST_S}), folder
        ) as edge,
    ):
        crowd = Crowd(edge.url, "/checkout", plan, random.Random(20261121))
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.play())
            if meanwhile is not None:
                group.create_task(meanwhile(edge, crowd))
    return crowd.visits, shop


def as_it_was(visits: list[Visit]) -> tuple[Measures, Measures]:
    """Return the measures of the real line, and of the same arrivals played by the same gate on a virtual clock.

    Visitors that left have left in the perfect queue at the same time.
    """
    visits = sorted(visits, key=lambda visit: visit.arrived)
    arrivals = np.array([visit.arrived - visits[0].arrived for visit in visits])
    patience = np.array([np.inf if visit.left is None else visit.left - visit.arrived for visit in visits])
    scenario = Scenario(
        name="real", description="arrivals that happened", people=lambda _: crowd(arrivals, patience),
        capacity=CAPACITY, burst_s=BURST_S, nodes=2, sticky=True, joined=True,
    )  # fmt: skip
    ideal = fifo(crowd(arrivals, patience), Capacity(((0.0, CAPACITY),), BURST_S))
    played = play(scenario, seed=1)
    admitted = np.array([visit.admitted or np.nan for visit in visits]) - visits[0].arrived
    really = replace(played, admitted_s=admitted, polls=np.array([visit.polls for visit in visits], dtype=np.int32))
    return measure(really, ideal), measure(played, ideal)


async def test_1500_visitors_within_5_seconds_are_admitted_fairly(tmp_path: Path) -> None:
    """All are admitted in order, within the capacity and without an error, and the capacity is used.

    The simulator agrees: the same arrivals through the same gate on a virtual clock give the same, apart from what a
    busy machine adds.
    """
    visits, shop = await visit_all(CrowdPlan(rush=1500, rush_s=5.0, total=1500, impatient=0.0, buy=False), tmp_path)
    check_the_bounds(visits, shop)
    assert len(shop.admitted_at) == 1500
    assert not any(visit.dropped for visit in visits)
    assert used_share(shop) >= 0.9

    real, simulated = as_it_was(visits)
    print(f"displacement, real and simulated: median {real.median_s:.2f} {simulated.median_s:.2f} s, "
          f"P99 {real.p99_s:.2f} {simulated.p99_s:.2f} s, Kendall {real.kendall:.2%} {simulated.kendall:.2%}, "
          f"polls {real.polls_each:.1f} {simulated.polls_each:.1f}")  # fmt: skip
    assert real.median_s < simulated.median_s + 1.0
    assert real.p99_s < 2.0 * simulated.p99_s + 3.0
    assert real.kendall < simulated.kendall + 0.02
    assert real.polls_each < simulated.polls_each * 1.3


async def test_visitors_that_leave_silently_block_nobody(tmp_path: Path) -> None:
    """The same bounds hold if half of the crowd leaves."""
    plan = CrowdPlan(rush=1500, rush_s=5.0, total=1500, impatient=0.5, patience_s=10.0, buy=False)
    visits, shop = await visit_all(plan, tmp_path)
    check_the_bounds(visits, shop)
    assert sum(visit.left is not None for visit in visits) > 300
    assert not any(visit.dropped for visit in visits)
    assert used_share(shop) >= 0.9


async def test_a_killed_worker_loses_no_place_and_admits_no_visitor_twice(tmp_path: Path) -> None:
    """A worker is killed in the middle: its visitors try again, keep their places, and are admitted once.

    If an admission was under way at that moment, its visitor gets no response and polls again in the same place. While
    the nodes learn which of them are there, their shares may exceed the capacity by one heartbeat's worth.
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
    visits, shop = await visit_all(plan, tmp_path, kill)
    check_the_bounds(visits, shop, extra=HEARTBEAT_S * CAPACITY, order=0.1, lost_answers=3)
    assert len(shop.admitted_at) == 700
    assert used_share(shop) >= 0.75
