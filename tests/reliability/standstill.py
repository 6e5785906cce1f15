"""Standstills over real sockets: a crowd waits, something stops, and the line must go on in order and at full rate.

1,000 independent visitors (own cookies and connections) arrive within 10 s before a room of 40 admissions a second: at
one machine with two workers, or at two machines that a real Redis joins, each request at either of them. In the middle
of the sale comes a fault. All figures are what the visitors and the shop observed, not what the edge reports.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.edge.observed import BURST_S, CAPACITY, most_in_a_window
from tests.reliability.site import Scene, Shop, Visitor, kendall, running_site, send_crowd

__all__ = ["FAULTS", "Observed", "play"]

VISITORS = 1000
ARRIVE_S = 10.0
FULL = 0.8


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
    capacity = {"capacity": {"admissions_per_second": CAPACITY, "burst_seconds": BURST_S}}
    async with running_site(capacity | fault.room, machines, "stanchion-standstill-") as scene:
        loop, span = asyncio.get_running_loop(), []
        async with asyncio.TaskGroup() as group:
            crowd = send_crowd(group, scene, visitors, ARRIVE_S * visitors / VISITORS)
            await asyncio.sleep(at_s)
            span.append(loop.time())
            await fault.apply(scene)
            span.append(loop.time())
    return _observed(fault, machines, crowd, scene.shop, span[0], span[1])


def _observed(
    fault: Fault, machines: int, crowd: Sequence[Visitor], shop: Shop, since: float, until: float
) -> Observed:
    came = sorted(shop.came.values())
    first = next((at for at in came if at >= until), until)
    starts = [until + 0.05 * i for i in range(400)]
    full = next((at for at in starts if sum(at <= c < at + 1.0 for c in came) >= FULL * CAPACITY), starts[-1])
    still_s = until - since if fault.is_still else 0.0
    return Observed(
        title=fault.title,
        machines=machines,
        visitors=len(crowd),
        admitted=sum(v.admitted is not None for v in crowd),
        kendall=kendall(crowd),
        errors=sum(v.errors > 0 for v in crowd),
        most=most_in_a_window(shop.admitted_at, 1.0),
        meanwhile=sum(since + fault.settle_s <= at < until for at in came) if fault.is_still else 0,
        full_s=max(full, first) - until,
        use=len(came) / (CAPACITY * (BURST_S + came[-1] - came[0] - still_s)),
        swing=max((_swing(v.places) for v in crowd), default=0),
        paused=tuple(sorted(set().union(*(v.paused for v in crowd)))),
    )


def _swing(places: Sequence[tuple[float, int]]) -> int:
    return max((b - a for (_, a), (_, b) in pairwise(places)), default=0)


def main() -> None:
    """python -m tests.reliability.standstill [NAME-MACHINES ...]"""
    for each in sys.argv[1:]:
        name, _, machines = each.rpartition("x")
        print(asyncio.run(play(name, int(machines))), flush=True)


if __name__ == "__main__":
    main()
