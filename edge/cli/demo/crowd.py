"""A synthetic crowd: visitors who arrive, wait, lose patience or buy, over real HTTP, as browsers and apps do.

Each visitor has their own cookies, goes to checkout and follows the status document's appointments: never early, a
little late, as the page's script does. After admission they fill in the form. The demo and the tests use this crowd. It
records what happened to each visitor, so that the fairness of a line can be measured from outside.

The first visitors arrive in a rush, the others one by one for as long as the crowd runs:

    arrivals/s  |##
                |##
                |##....................................
                +-------------------------------------- time
"""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

__all__ = ["Crowd", "CrowdPlan", "Visit", "pause_s"]

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

    Rates are visitors a second. `impatient` is the share of visitors who may leave; their patience is exponential with
    a mean of `patience_s` seconds. total: the number of visitors, or None for no end.
    """

    rush: int = 150
    rush_s: float = 5.0
    then_per_second: float = 2.5
    impatient: float = 0.3
    patience_s: float = 60.0
    buy: bool = True
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


class Crowd:
    """Plays visitors against a running edge. chance: seeded for a crowd that can be repeated.

    base_urls: of several edges, each request goes to any one, as behind a load balancer.
    """

    def __init__(self, base_urls: str | Sequence[str], path: str, plan: CrowdPlan, chance: random.Random) -> None:
        self._bases = [base_urls] if isinstance(base_urls, str) else list(base_urls)
        self._path = path
        self._plan = plan
        self._chance = chance
        self.visits: list[Visit] = []

    async def play(self) -> None:
        """Run until every visitor of the plan has finished."""
        now = asyncio.get_running_loop().time
        due = now()
        async with asyncio.TaskGroup() as group:
            for number in range(self._plan.total if self._plan.total is not None else 10**9):
                due += self._pause_s(number)
                await asyncio.sleep(max(0.0, due - now()))
                visit = Visit(number)
                self.visits.append(visit)
                group.create_task(self._visit(visit), name=f"visitor {number}")

    def _address(self) -> str:
        return self._chance.choice(self._bases) + self._path

    def _pause_s(self, number: int) -> float:
        plan = self._plan
        rate = plan.rush / plan.rush_s if number < plan.rush else plan.then_per_second
        return self._chance.expovariate(rate)

    async def _visit(self, visit: Visit) -> None:
        """Play one visitor, with cookies and connections of their own."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            await self._wait(visit, session)
            if visit.admitted is not None and self._plan.buy:
                try:
                    await self._buy(visit, session)
                # A browser does not repeat a purchase by itself.
                except aiohttp.ClientError as error:
                    visit.dropped.append(type(error).__name__)

    async def _wait(self, visit: Visit, session: aiohttp.ClientSession) -> None:
        now = asyncio.get_running_loop().time
        is_impatient = self._chance.random() < self._plan.impatient
        patience_s = self._chance.expovariate(1 / self._plan.patience_s) if is_impatient else float("inf")
        visit.arrived = now()
        while True:
            after_s = await self._poll(visit, session)
            if visit.admitted is not None:
                return
            if after_s is None or now() - visit.arrived + after_s > patience_s:
                visit.left = now()
                return
            await asyncio.sleep(pause_s(after_s, self._chance))

    async def _poll(self, visit: Visit, session: aiohttp.ClientSession) -> float | None:
        """Poll once. Return the seconds until the next poll, or None if the wait is over."""
        visit.polls += 1
        try:
            async with session.get(
                self._address(), headers={"Accept": "application/json"}, allow_redirects=False
            ) as response:
                state = response.headers.get("Stanchion-State", "none")
                visit.states[f"{response.status} {state}"] += 1
                body = await response.read()
        except aiohttp.ClientError as error:
            visit.dropped.append(type(error).__name__)
            return RETRY_S
        if state == "admitted":
            visit.admitted = asyncio.get_running_loop().time()
            return None
        after_s: float | None = json.loads(body)["poll_after_seconds"]
        return after_s

    async def _buy(self, visit: Visit, session: aiohttp.ClientSession) -> None:
        address = self._address()
        async with session.get(address, headers={"Accept": "text/html"}) as response:
            page = await response.text()
        await asyncio.sleep(self._chance.uniform(*FORM_S))
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        form = {**fields, "name": f"Visitor {visit.number}", "card": "4242 4242 4242 4242"}
        async with session.post(address, data=form, headers={"Accept": "text/html"}) as response:
            await response.read()
            visit.states[f"checkout {response.status}"] += 1
            visit.bought = response.status < 300
