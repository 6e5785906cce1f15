"""What operators do in the middle of a sale, over real sockets: hold and go on, other capacities, an opening.

    python -m tests.reliability.operating [hold|capacity|opening]x[1|2] ...        such as holdx2

2,000 independent visitors arrive within 20 s: at one machine with two workers, or at two machines that a real Redis
joins, each request at either of them. An operator uses the HTTP API of the first machine. All figures are what the
visitors and the shop observed. The moment of an admission is the one that the edge tells the shop.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import aiohttp

from tests.edge.observed import BURST_S, CAPACITY, most_in_a_window
from tests.edge.opening import stamp
from tests.edge.running import RunningEdge
from tests.reliability.site import Scene, Visitor, kendall, running_site, send_crowd

__all__ = ["Changed", "Held", "Opened", "operated", "play_capacity", "play_hold", "play_opening"]

VISITORS = 2000
ARRIVE_S = 20.0
PREFIX = "stanchion-operating-"
HOLD_S = 60.0
#: When an operator acts, seconds after the first arrival.
ACT_S = 22.0
#: A change has to be in force on all machines within this time.
IN_FORCE_S = 1.0
#: Capacities of a sale, one after the other, and how long each lasts.
CAPACITIES = (20.0, 100.0, 10.0, 50.0)
STEP_S = 12.0
OPENING_CAPACITY = 100.0
#: The time between the last arrival and the opening.
BEFORE_OPENING_S = 5.0
FULL = 0.8


async def ask(edge: RunningEdge, method: str, path: str, body: dict[str, Any]) -> float:
    """Send a change to the API of a machine. Return the moment of the response, seconds since 1970."""
    async with aiohttp.ClientSession() as session, session.request(method, edge.admin + path, json=body) as response:
        assert response.status == 200, await response.text()
        return time.time()


async def change(scene: Scene, **values: Any) -> float:
    """Change the room at the first machine. Return the moment of the response."""
    return await ask(scene.site.edges[0], "PATCH", "/v1/rooms/checkout", values)


def full_after(moments: Sequence[float], since: float, capacity: float) -> float:
    """Return the seconds from a moment until a second begins that has FULL of the capacity."""
    starts = [since + 0.02 * at for at in range(2000)]
    least = FULL * capacity
    return next((at for at in starts if sum(at <= each < at + 1.0 for each in moments) >= least), starts[-1]) - since


@dataclass(frozen=True, slots=True)
class Held:
    """hold_s: 0 of the play without a hold. meanwhile: admissions from the API's response until the room was opened
    again. late_s: the last of them, seconds after the response. wrong: share of pairs in the wrong order. most:
    admissions within a second. full_s: from the opening until a second has FULL of the capacity."""

    machines: int
    hold_s: float
    admitted: int
    errors: int
    meanwhile: int
    late_s: float
    wrong: float
    most: int
    full_s: float
    use: float


async def play_hold(machines: int, hold_s: float, visitors: int = VISITORS, act_s: float = ACT_S) -> Held:
    """Play a sale with a hold of `hold_s` seconds, or without one if that is 0."""
    room = {"capacity": {"admissions_per_second": CAPACITY, "burst_seconds": BURST_S}}
    async with running_site(room, machines, PREFIX) as scene:
        async with asyncio.TaskGroup() as group:
            crowd = send_crowd(group, scene, visitors, ARRIVE_S * visitors / VISITORS)
            await asyncio.sleep(act_s)
            began = ended = time.time()
            if hold_s:
                began = await change(scene, mode="hold", reason="the bank is down", message="We go on soon.")
                await asyncio.sleep(hold_s)
                ended = time.time()
                await change(scene, mode="open")
        moments = sorted(scene.shop.admitted_at)
    still = [at for at in moments if began <= at < ended]
    return Held(
        machines=machines,
        hold_s=hold_s,
        admitted=sum(visitor.admitted is not None for visitor in crowd),
        errors=sum(visitor.errors for visitor in crowd),
        meanwhile=len(still),
        late_s=max(still, default=began) - began,
        wrong=kendall(crowd),
        most=most_in_a_window(moments, 1.0),
        full_s=full_after(moments, ended, CAPACITY),
        use=len(moments) / (CAPACITY * (BURST_S + moments[-1] - moments[0] - (ended - began))),
    )


@dataclass(frozen=True, slots=True)
class Changed:
    """One change of the capacity. after_s: seconds from the API's response until the new capacity is in force: a second
    has FULL of it, and none has more than capacity and burst from then on. behind_s: the most by which admissions were
    behind the new capacity. most: admissions within a second that begins after the response. use: admissions from
    IN_FORCE_S on until the next change, as a share of the capacity."""

    machines: int
    before: float
    capacity: float
    after_s: float
    behind_s: float
    most: int
    use: float

    @property
    def allowed(self) -> float:
        return self.capacity * (1.0 + BURST_S)


async def play_capacity(machines: int, visitors: int = 2400) -> list[Changed]:
    """Play a sale of CAPACITIES, one after the other."""
    room = {"capacity": {"admissions_per_second": CAPACITIES[0], "burst_seconds": BURST_S}}
    at: list[float] = []
    async with running_site(room, machines, PREFIX) as scene:
        async with asyncio.TaskGroup() as group:
            send_crowd(group, scene, visitors, ARRIVE_S * visitors / VISITORS)
            await asyncio.sleep(STEP_S)
            for capacity in CAPACITIES[1:]:
                at.append(await change(scene, admissions_per_second=capacity))
                await asyncio.sleep(STEP_S if capacity != CAPACITIES[-1] else STEP_S / 2)
            at.append(time.time())
            await change(scene, admissions_per_second=10.0 * max(CAPACITIES))
        moments = sorted(scene.shop.admitted_at)
    found = []
    for number, (before, capacity) in enumerate(pairwise(CAPACITIES)):
        since, until = at[number], at[number + 1]
        within = [each for each in moments if since <= each < until]
        found.append(_changed(machines, before, capacity, within, since, until))
    return found


def _changed(
    machines: int, before: float, capacity: float, within: Sequence[float], since: float, until: float
) -> Changed:
    """within: the moments of admissions from one change to the next."""
    allowed = capacity * (1.0 + BURST_S) + 1.0
    late = [start for start in within if sum(start <= each < start + 1.0 for each in within) > allowed]
    settled = [each for each in within if each >= since + IN_FORCE_S]
    return Changed(
        machines=machines,
        before=before,
        capacity=capacity,
        after_s=max(max(late, default=since) - since, full_after(within, since, capacity)),
        behind_s=max(each - since - count / capacity for count, each in enumerate([*within, until])),
        most=most_in_a_window(list(within), 1.0),
        use=len(settled) / (capacity * (until - since - IN_FORCE_S)),
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """waited: visitors in line at the opening. early: admissions before it. first_s: from the opening to the first
    admission. first_second, five_seconds: admissions as a share of the capacity. most_asked: requests within a
    second, from 5 s before the opening on."""

    machines: int
    waited: int
    early: int
    first_s: float
    first_second: float
    five_seconds: float
    wrong: float
    most: int
    most_asked: int


async def play_opening(machines: int, visitors: int = VISITORS) -> Opened:
    """Play a sale that the API schedules, with visitors in the pre-queue."""
    room = {"capacity": {"admissions_per_second": OPENING_CAPACITY, "burst_seconds": BURST_S}}
    arrive_s = ARRIVE_S * visitors / VISITORS
    async with running_site(room, machines, PREFIX) as scene:
        opens_at = round(time.time() + arrive_s + BEFORE_OPENING_S, 3)
        sale = {"name": "drop", "prequeue_at": stamp(opens_at - 600.0), "opens_at": stamp(opens_at)}
        await ask(scene.site.edges[0], "POST", "/v1/rooms/checkout/sales", sale)
        if machines > 1:
            await asyncio.sleep(IN_FORCE_S)
        loop = asyncio.get_running_loop()
        opens_on_loop = loop.time() + opens_at - time.time()
        async with asyncio.TaskGroup() as group:
            crowd = send_crowd(group, scene, visitors, opens_on_loop - loop.time() - BEFORE_OPENING_S)
        moments = sorted(scene.shop.admitted_at)
    asked = [at for visitor in crowd for at in visitor.asked if at >= opens_on_loop - BEFORE_OPENING_S]
    return Opened(
        machines=machines,
        waited=sum(_waited(visitor, opens_on_loop) for visitor in crowd),
        early=sum(at < opens_at for at in moments),
        first_s=moments[0] - opens_at,
        first_second=sum(at < opens_at + 1.0 for at in moments) / OPENING_CAPACITY,
        five_seconds=sum(at < opens_at + 5.0 for at in moments) / (5.0 * OPENING_CAPACITY),
        wrong=kendall(crowd),
        most=most_in_a_window(moments, 1.0),
        most_asked=most_in_a_window(asked, 1.0),
    )


def _waited(visitor: Visitor, opens_at: float) -> bool:
    return visitor.arrived < opens_at and visitor.admitted is not None and visitor.admitted >= opens_at


async def operated(tell: Callable[[object], None]) -> str:
    """Play everything at one machine and at two. Return the tables. tell: shows each result."""

    async def told(play: Awaitable[Any]) -> Any:
        seen = await play
        tell(seen)
        return seen

    rows = [
        "| sale | machines | admitted | met errors | admitted on hold | the last after | wrong order |"
        " most in a second | 80 % after | use |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for machines in (1, 2):
        for hold_s in (0.0, HOLD_S):
            held = await told(play_hold(machines, hold_s))
            name = f"held for {hold_s:.0f} s" if hold_s else "without a hold"
            still = f"{held.meanwhile} | {held.late_s:.2f} s" if hold_s else "- | -"
            after = f"{held.full_s:.1f} s" if hold_s else "-"
            rows.append(
                f"| {name} | {machines} | {held.admitted:,} | {held.errors} | {still} | {held.wrong:.2%} |"
                f" {held.most} | {after} | {held.use:.1%} |"
            )
    rows += ["", "| capacity | machines | in force after | behind at most | most in a second (allowed) | use |"]
    rows += ["| --- | --- | --- | --- | --- | --- |"]
    for machines in (1, 2):
        for step in await told(play_capacity(machines)):
            change = f"{step.before:g} → {step.capacity:g} | {machines} | {step.after_s:.1f} s | {step.behind_s:.1f} s"
            rows.append(f"| {change} | {step.most} ({step.allowed:.0f}) | {step.use:.1%} |")
    rows += [
        "",
        "| opening | waited | admitted early | the first after | use of the first second | of the first five |",
    ]
    rows[-1] += " wrong order | most in a second | most requests in a second |"
    rows += ["| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for machines, name in ((1, "two workers"), (2, "two machines")):
        seen = await told(play_opening(machines))
        rows.append(
            f"| {name} | {seen.waited:,} | {seen.early} | {seen.first_s:.3f} s | {seen.first_second:.0%} |"
            f" {seen.five_seconds:.1%} | {seen.wrong:.2%} | {seen.most} | {seen.most_asked} |"
        )
    return "\n".join(rows)


def main() -> None:
    plays: dict[str, Callable[[int], Awaitable[Any]]] = {
        "plain": lambda machines: play_hold(machines, 0.0),
        "hold": lambda machines: play_hold(machines, HOLD_S),
        "capacity": play_capacity,
        "opening": play_opening,
    }
    for each in sys.argv[1:]:
        name, _, machines = each.rpartition("x")
        print(asyncio.run(_played(plays[name], int(machines))), flush=True)


async def _played(play: Callable[[int], Awaitable[Any]], machines: int) -> Any:
    return await play(machines)


if __name__ == "__main__":
    main()
