"""Three machines that a real Redis joins, one of them killed in the middle of a sale, over real sockets.

    python -m tests.reliability survivors

1,500 independent visitors arrive within 20 s, each request at any of the machines. The second machine's API schedules
the sale, which opens while half of the crowd waits. The room is held at one machine and opened at another, before and
after the third machine is killed with all its processes. A load balancer sends nothing to it a second later. At the end
the records that are left are read as `stanchion report` reads them, and compared with what the visitors observed.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from edge.cli.report.command import report_text
from edge.cli.report.measures import kendall, spread
from tests.edge.observed import BURST_S, CAPACITY, most_in_a_window
from tests.edge.opening import stamp
from tests.edge.running import RunningEdge, wait_until
from tests.reliability.operating import ask
from tests.reliability.site import Scene, Visitor, running_site, send_crowd

__all__ = ["Agreement", "Survived", "play_survivors", "survived"]

MACHINES = 3
VISITORS = 1500
ARRIVE_S = 20.0
PREFIX = "stanchion-survivors-"
#: Seconds from the first arrival to the opening.
OPENS_S = 10.0
#: How long the sale goes on undisturbed before each act, and how long a hold lasts.
CALM_S = 5.0
HOLD_S = 4.0
#: The load balancer takes a machine that does not answer out after this time.
NOTICED_S = 1.0
#: The use of the capacity is counted from so many seconds after the kill. The others wait for a silent machine for six
#: seconds, then take over its part: two seconds of that waiting are counted.
COUNTED_S = 4.0


@dataclass(frozen=True, slots=True)
class Turned:
    """A change of the mode at one machine. known_s: until the API of every machine showed it. For `hold`, in_force_s is
    the last admission; for `open` the first one at the slowest machine. Seconds from the API's response."""

    mode: str
    machines: int
    known_s: float
    in_force_s: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the report says of a set of records, and what the visitors observed that these machines admitted."""

    records: str
    reported: int
    observed: int
    reported_p99_s: float
    observed_p99_s: float
    reported_kendall: float
    observed_kendall: float


@dataclass(frozen=True, slots=True)
class Survived:
    """sale_known_s: until all machines showed the sale. first_s: from the opening to the first admission of each
    machine. use: of the capacity, from COUNTED_S after the kill until the next hold."""

    admitted: int
    errors: int
    sale_known_s: float
    early: int
    first_s: tuple[float, ...]
    turns: tuple[Turned, ...]
    use: float
    most: int
    agreements: tuple[Agreement, ...]


async def _shown(edge: RunningEdge, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(edge.admin + path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def _known_after(edges: Sequence[RunningEdge], path: str, is_so: Callable[[Any], bool]) -> float:
    """Return the seconds until all machines show something. It is later than the truth by one round of questions."""
    began = time.monotonic()

    async def all_show() -> bool:
        return all(is_so(shown) for shown in await asyncio.gather(*(_shown(edge, path) for edge in edges)))

    await wait_until(all_show, f"all machines show the change of {path}")
    return time.monotonic() - began


@dataclass(slots=True)
class _Turn:
    """asked, answered: when the operator sent the change and got the response, seconds since 1970."""

    mode: str
    machines: tuple[str, ...]
    asked: float
    answered: float
    known_s: float


async def _turn(scene: Scene, number: int, **values: Any) -> _Turn:
    """Change the room by the API of one machine, and wait until all show it."""
    edges, mode, asked = scene.site.edges, str(values["mode"]), time.time()
    answered = await ask(edges[number], "PATCH", "/v1/rooms/checkout", values)
    known_s = await _known_after(edges, "/v1/rooms/checkout", lambda shown: shown["mode"] == mode)
    return _Turn(mode, tuple(scene.site.urls[: len(edges)]), asked, answered, known_s)


async def _hold_and_open(scene: Scene, at: int) -> list[_Turn]:
    """Hold at one machine, and open at the next one."""
    held = await _turn(scene, at, mode="hold", reason="the bank is down")
    await asyncio.sleep(HOLD_S)
    opened = await _turn(scene, (at + 1) % len(scene.site.edges), mode="open")
    await asyncio.sleep(CALM_S)
    return [held, opened]


async def play_survivors(visitors: int = VISITORS) -> Survived:
    """Play the sale."""
    room = {"capacity": {"admissions_per_second": CAPACITY, "burst_seconds": BURST_S}}
    async with running_site(room, MACHINES, PREFIX) as scene:
        edges, urls = scene.site.edges, scene.site.urls
        homes = [edge.file.parent / "state" for edge in edges]
        shift = time.time() - asyncio.get_running_loop().time()
        opens_at = round(time.time() + OPENS_S, 3)
        sale = {"name": "drop", "prequeue_at": stamp(opens_at - 600.0), "opens_at": stamp(opens_at)}
        await ask(edges[1], "POST", "/v1/rooms/checkout/sales", sale)
        sale_known_s = await _known_after(edges, "/v1/rooms/checkout/sales", lambda shown: bool(shown["sales"]))
        known = list(urls)
        async with asyncio.TaskGroup() as group:
            crowd = send_crowd(group, scene, visitors, ARRIVE_S * visitors / VISITORS, known)
            await asyncio.sleep(opens_at + CALM_S - time.time())
            turns = await _hold_and_open(scene, 0)
            killed_at = time.time()
            dead = await scene.site.kill_last()
            await asyncio.sleep(NOTICED_S)
            known.remove(dead)
            await asyncio.sleep(COUNTED_S - NOTICED_S + CALM_S)
            turns += await _hold_and_open(scene, 1)
        moments = sorted(scene.shop.admitted_at)
        # The nodes write their last events when they end.
        for edge in edges:
            edge.process.terminate()
            await edge.wait_ended()
        folders = [next(home.glob("*/record")) for home in homes]
        alive = [url for url in urls if url != dead]
        agreements = (
            _agreement("both survivors", folders[:-1], [v for v in crowd if v.admitted_by in alive]),
            _agreement("all three, with the dead machine's disk", folders, crowd),
        )
    by_machine = {url: sorted(v.admitted + shift for v in crowd if v.admitted and v.admitted_by == url) for url in urls}
    since, until = killed_at + COUNTED_S, turns[2].asked
    return Survived(
        admitted=sum(visitor.admitted is not None for visitor in crowd),
        errors=sum(visitor.errors for visitor in crowd),
        sale_known_s=sale_known_s,
        early=sum(at < opens_at for at in moments),
        first_s=tuple(admitted[0] - opens_at for admitted in by_machine.values()),
        turns=tuple(_turned(turn, turns[at + 1 : at + 2], moments, by_machine) for at, turn in enumerate(turns)),
        use=sum(since <= at < until for at in moments) / (CAPACITY * (until - since)),
        most=most_in_a_window(moments, 1.0),
        agreements=agreements,
    )


def _turned(
    turn: _Turn, after: Sequence[_Turn], moments: Sequence[float], by_machine: dict[str, list[float]]
) -> Turned:
    """after: the next change, if there is one."""
    if turn.mode == "hold":
        seen = [at for at in moments if turn.asked <= at < after[0].asked]
        in_force_at = max(seen, default=turn.answered)
    else:
        in_force_at = max(next(at for at in by_machine[url] if at >= turn.asked) for url in turn.machines)
    in_force_s = max(0.0, in_force_at - turn.answered)
    return Turned(turn.mode, len(turn.machines), turn.known_s, in_force_s)


def _agreement(records: str, folders: Sequence[Path], crowd: Sequence[Visitor]) -> Agreement:
    told = json.loads(report_text(list(folders), "checkout", None, None, as_json=True))
    inside = sorted((v.arrived, v.admitted) for v in crowd if v.admitted is not None)
    return Agreement(
        records=records,
        reported=told["got_in"],
        observed=len(inside),
        reported_p99_s=told["wait"]["p99"],
        observed_p99_s=spread([admitted - arrived for arrived, admitted in inside]).p99,
        reported_kendall=told["kendall"],
        observed_kendall=kendall([admitted for _, admitted in inside]),
    )


async def survived(tell: Callable[[object], None]) -> str:
    """Play the sale. Return the tables. tell: shows the result."""
    seen = await play_survivors()
    tell(seen)
    firsts = ", ".join(f"{first:.2f}" for first in seen.first_s)
    rows = [
        "| admitted | met errors | the sale is known on all after | admitted early | the first at each machine after |"
        " use after the kill | most in a second |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        f"| {seen.admitted:,} | {seen.errors} | {seen.sale_known_s:.2f} s | {seen.early} | {firsts} s |"
        f" {seen.use:.1%} | {seen.most} |",
        "",
        "| change | machines | known on all after | in force on all after |",
        "| --- | --- | --- | --- |",
    ]
    rows += [
        f"| {turn.mode} | {turn.machines} | {turn.known_s:.2f} s | {turn.in_force_s:.2f} s |" for turn in seen.turns
    ]
    rows += [
        "",
        "| records of | got in: report, observed | P99 of the wait: report, observed | wrong order: report, observed |",
        "| --- | --- | --- | --- |",
    ]
    rows += [
        f"| {each.records} | {each.reported:,}, {each.observed:,} | {each.reported_p99_s:.1f} s,"
        f" {each.observed_p99_s:.1f} s | {each.reported_kendall:.2%}, {each.observed_kendall:.2%} |"
        for each in seen.agreements
    ]
    return "\n".join(rows)
