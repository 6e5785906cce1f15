"""The demo's line never runs dry: an hour of the demo's own crowd on a virtual clock, in front of a real gate.

The crowd's code and plan are the demo's. Only its browsers are replaced: they ask a gate with the demo's capacity.
"""

import asyncio
import os
import random
import selectors
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import pytest

from controller import Admit, Door, Gate, GateSettings
from edge.cli.demo.browser import Browser, PollAnswer
from edge.cli.demo.crowd import Arrivals, Crowd, CrowdPlan, Visit
from edge.cli.demo.demo import CROWDED, PLAN, STOCK
from edge.settings.loading import parse_settings

HOUR_S = 3600.0
#: The virtual time that the test plays. An hour takes a minute or more: DEMO_SECONDS=3600 plays it.
PLAYED_S = float(os.environ.get("DEMO_SECONDS", "420"))
CAPACITY = parse_settings((files("configs") / "demo.yaml").read_text("utf-8")).rooms[0].capacity


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock that moves on only while it would wait."""

    def __init__(self) -> None:
        self.now = 1000.0
        loop = self

        class Selector(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> Any:
                loop.now += max(0.0, timeout or 0.0)
                return super().select(0)

        super().__init__(Selector())

    def time(self) -> float:
        return self.now


def play(main: Coroutine[Any, Any, Any]) -> Any:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


class GateBrowser(Browser):
    """Asks the gate directly. Its place is the time of its first poll."""

    def __init__(self, door: Door, chance: random.Random) -> None:
        self._door = door
        self._chance = chance
        self._first_seen: float | None = None

    async def poll(self) -> PollAnswer:
        now = asyncio.get_running_loop().time()
        if self._first_seen is None:
            self._first_seen = now + self._chance.random() / 1000
        verdict = self._door.poll(self._first_seen, now, self._chance.random(), may_park=False)
        if isinstance(verdict, Admit):
            return PollAnswer(200, "admitted", None)
        return PollAnswer(200, "waiting", verdict.poll_after_s)

    async def open_form(self) -> dict[str, str]:
        return {}

    async def send_form(self, fields: Mapping[str, str]) -> int:
        return 200


async def probe_the_line(plan: CrowdPlan, seconds: float, every_s: float, seed: int) -> list[Visit]:
    """Run the crowd, and every `every_s` seconds let one patient visitor stand in line. Return these visitors."""
    loop, chance = asyncio.get_running_loop(), random.Random(seed)
    gate = Gate(
        GateSettings(
            CAPACITY.admissions_per_second, burst_seconds=CAPACITY.burst_seconds, burst_floor=CAPACITY.burst_floor
        ),
        loop.time(),
    )
    door = Door(gate)

    @asynccontextmanager
    async def browser() -> AsyncIterator[Browser]:
        yield GateBrowser(door, chance)

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.1)
            door.tick(loop.time())

    patient = CrowdPlan(rush=1, rush_s=0.001, total=1, impatient=0.0, buy=False)
    probes: list[Crowd] = []
    crowd = Crowd("", "", plan, chance, browser)
    ticking, playing = loop.create_task(tick()), loop.create_task(crowd.play())
    # The demo prints its addresses when the crowd has come.
    await crowd.wait_in_line(CROWDED if plan.wave_below is not None else plan.rush // 2)
    began, under_way = loop.time(), []
    while loop.time() < began + seconds:
        probes.append(Crowd("", "", patient, chance, browser))
        under_way.append(loop.create_task(probes[-1].play()))
        await asyncio.sleep(every_s)
    await asyncio.gather(*under_way)
    for task in (ticking, playing):
        task.cancel()
    await asyncio.gather(ticking, playing, return_exceptions=True)
    return [visit for each in probes for visit in each.visits]


def waits_s(visits: list[Visit]) -> list[float]:
    return [visit.admitted - visit.arrived for visit in visits if visit.admitted is not None]


def test_a_browser_that_is_opened_at_any_time_waits_for_more_than_a_minute():
    """One visitor every 15 s. Nobody waits so long that the demo becomes a nuisance."""
    visits = play(probe_the_line(PLAN, PLAYED_S, 15.0, seed=1))
    waits = waits_s(visits)
    assert len(waits) == len(visits) >= PLAYED_S / 15
    assert min(waits) > 60.0, min(waits)
    assert max(waits) < 300.0, max(waits)


def test_without_waves_the_line_runs_dry():
    """The check above can fail: a rush alone is over after some minutes."""
    plan = CrowdPlan(rush=150, rush_s=1.0, then_per_second=2.0)
    assert min(waits_s(play(probe_the_line(plan, 360.0, 60.0, seed=1)))) < 10.0


def test_the_stock_outlasts_the_hour_and_many_more():
    assert STOCK / CAPACITY.admissions_per_second > 8 * HOUR_S


@pytest.mark.parametrize(("waiting", "expected"), [(0, 40), (299, 40), (300, 0), (1000, 0)])
def test_a_wave_comes_exactly_when_the_line_is_short(waiting: int, expected: int):
    """Arrivals of a wave are as fast as the rush; others come one by one."""
    plan = CrowdPlan(rush=10, rush_s=0.01, then_per_second=0.001, wave=40, wave_below=300)
    arrivals = Arrivals(plan, random.Random(7))
    pauses = [arrivals.pause_s(1000) for _ in range(10)]
    assert max(pauses) < 0.1, "the rush"
    quick = 0
    while arrivals.pause_s(waiting) < 1.0:
        quick += 1
        waiting = 1000
    assert quick == expected
