"""A synthetic crowd: visitors that arrive, wait, lose patience or buy, over real HTTP, as browsers and apps do.

Each visitor has their own cookies, goes to checkout and follows the status document's appointments: never early, a
little late, as the page's script does. After admission they fill in the form. The demo and the tests use this crowd. It
records what happened to each visitor, so that the fairness of a line can be measured from outside.

The first visitors arrive in a rush, the others one by one for as long as the crowd runs. With `wave_below` another
wave comes whenever fewer visitors wait, so the line never runs dry:

    arrivals/s  |##
                |##           #             #
                |##...........#.............#..........
                +-------------------------------------- time
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import aiohttp

from edge.cli.demo.browser import Browser, http_browser

__all__ = ["Arrivals", "Crowd", "CrowdPlan", "Visit", "pause_s"]

#: The time that a person takes to fill in a form, seconds: least and most.
FORM_S = (0.5, 3.0)
#: The page polls late by up to this part of an interval, but by at most JITTER_MOST_S seconds.
JITTER = 0.03
JITTER_MOST_S = 0.25
#: The shortest pause of the page after it could not reach the edge, seconds.
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class CrowdPlan:
    """When visitors arrive and how long they wait.

    Rates are visitors a second. `impatient` is the share of visitors that may leave; their patience is exponential with
    a mean of `patience_s` seconds. wave_below: a wave of `wave` visitors comes, as fast as the rush, when fewer
    visitors of this crowd wait; None for no waves. total: the number of visitors, or None for no end.
    """

    rush: int = 150
    rush_s: float = 5.0
    then_per_second: float = 2.5
    impatient: float = 0.3
    patience_s: float = 60.0
    buy: bool = True
    wave: int = 0
    wave_below: int | None = None
    total: int | None = None


@dataclass(slots=True)
class Visit:
    """What happened to one visitor; times are seconds of the event loop's clock."""

    number: int
    arrived: float = 0.0
    admitted: float | None = None
    left: float | None = None
    polls: int = 0
    bought: bool = False
    dropped: list[str] = field(default_factory=list)
    """Connections that broke. The visitor tried again, as the page does."""
    states: Counter[str] = field(default_factory=Counter)
    """Responses by status code and `Stanchion-State`."""


def pause_s(after_s: float, chance: random.Random) -> float:
    """Return the page's pause for an appointment in `after_s` seconds: never early, a little late."""
    return after_s + min(JITTER * after_s, JITTER_MOST_S) * chance.random()


class Arrivals:
    """Says when the next visitor arrives. `pause_s` is called once for each visitor, in order."""

    def __init__(self, plan: CrowdPlan, chance: random.Random) -> None:
        self._plan = plan
        self._chance = chance
        self._hurried = plan.rush
        """How many more visitors of this rush or wave are to come."""

    def pause_s(self, waiting: int) -> float:
        """Return the seconds until the next arrival. waiting: the visitors of the crowd in line now."""
        plan = self._plan
        if self._hurried == 0 and plan.wave_below is not None and waiting < plan.wave_below:
            self._hurried = plan.wave
        rate = plan.then_per_second
        if self._hurried:
            self._hurried -= 1
            rate = plan.rush / plan.rush_s
        return self._chance.expovariate(rate)


class Crowd:
    """Plays visitors against a running edge. chance: seeded for a crowd that can be repeated.

    base_urls: of several edges, each request goes to any one, as behind a load balancer. browser: opens a visitor's
    browser; by default one that speaks HTTP.
    """

    def __init__(
        self,
        base_urls: str | Sequence[str],
        path: str,
        plan: CrowdPlan,
        chance: random.Random,
        browser: Callable[[], AbstractAsyncContextManager[Browser]] | None = None,
    ) -> None:
        self._bases = [base_urls] if isinstance(base_urls, str) else list(base_urls)
        self._path = path
        self._plan = plan
        self._chance = chance
        self._browser = browser or (lambda: http_browser(self._address))
        self._arrivals = Arrivals(plan, chance)
        self.visits: list[Visit] = []
        self.waiting = 0
        """The visitors in line now."""
        self._has_come = asyncio.Event()

    async def wait_in_line(self, count: int) -> None:
        """Wait until at least `count` visitors are in line."""
        while self.waiting < count:
            self._has_come.clear()
            await self._has_come.wait()

    async def play(self) -> None:
        """Run until every visitor of the plan has finished."""
        now = asyncio.get_running_loop().time
        due = now()
        async with asyncio.TaskGroup() as group:
            for number in range(self._plan.total if self._plan.total is not None else 10**9):
                due += self._arrivals.pause_s(self.waiting)
                await asyncio.sleep(max(0.0, due - now()))
                visit = Visit(number)
                self.visits.append(visit)
                group.create_task(self._visit(visit), name=f"visitor {number}")

    def _address(self) -> str:
        return self._chance.choice(self._bases) + self._path

    async def _visit(self, visit: Visit) -> None:
        """Play one visitor, with cookies and connections of their own."""
        async with self._browser() as browser:
            self.waiting += 1
            self._has_come.set()
            try:
                await self._wait(visit, browser)
            finally:
                self.waiting -= 1
            if visit.admitted is not None and self._plan.buy:
                try:
                    await self._buy(visit, browser)
                # A browser does not repeat a purchase by itself.
                except aiohttp.ClientError as error:
                    visit.dropped.append(type(error).__name__)

    async def _wait(self, visit: Visit, browser: Browser) -> None:
        now = asyncio.get_running_loop().time
        is_impatient = self._chance.random() < self._plan.impatient
        patience_s = self._chance.expovariate(1 / self._plan.patience_s) if is_impatient else float("inf")
        visit.arrived = now()
        while True:
            after_s = await self._poll(visit, browser)
            if visit.admitted is not None:
                return
            if after_s is None or now() - visit.arrived + after_s > patience_s:
                visit.left = now()
                return
            await asyncio.sleep(pause_s(after_s, self._chance))

    async def _poll(self, visit: Visit, browser: Browser) -> float | None:
        """Poll once. Return the seconds until the next poll, or None if the wait is over."""
        visit.polls += 1
        try:
            answer = await browser.poll()
        except aiohttp.ClientError as error:
            visit.dropped.append(type(error).__name__)
            return RETRY_S
        visit.states[f"{answer.status} {answer.state}"] += 1
        # Some load balancers let a visitor in without a word of the edge's.
        if answer.state == "admitted" or (answer.state == "none" and answer.status == 200):
            visit.admitted = asyncio.get_running_loop().time()
            return None
        return answer.poll_after_s

    async def _buy(self, visit: Visit, browser: Browser) -> None:
        form = await browser.open_form()
        await asyncio.sleep(self._chance.uniform(*FORM_S))
        status = await browser.send_form({**form, "name": f"Visitor {visit.number}", "card": "4242 4242 4242 4242"})
        visit.states[f"checkout {status}"] += 1
        visit.bought = status < 300
