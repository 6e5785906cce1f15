"""A synthetic crowd: visitors who arrive, wait, lose patience or buy, over real HTTP, as browsers and apps do.

Each visitor has cookies of their own, looks at the product, goes to checkout, follows the status document's
appointments (never early, a little late, as the page's script does) and, once in, fills in the form. Used by the demo
and by the tests; what happened to each visitor is kept, so that a line's fairness can be measured from outside.

The first arrivals come in a rush, the others one by one for as long as the crowd runs:

    arrivals/s  |##
                |##
                |##....................................
                +-------------------------------------- time
"""

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

__all__ = ["Crowd", "CrowdPlan", "Visit"]

#: What a person takes to read and fill in a form, seconds, at least and at most.
FORM_S = (0.5, 3.0)
#: The page adds up to this part of an interval, never less than nothing: appointments are not for coming early.
JITTER = 0.05


@dataclass(frozen=True, slots=True)
class CrowdPlan:
    """Who comes when. Rates are visitors a second; patience is exponential, seconds, None: endless."""

    rush: int = 150
    rush_s: float = 5.0
    then_per_second: float = 2.5
    impatient: float = 0.3
    patience_s: float = 60.0
    buy: bool = True
    total: int | None = None
    """How many come in all; None: no end."""


@dataclass(slots=True)
class Visit:
    """What happened to one visitor; times are seconds of the event loop's clock."""

    number: int
    arrived: float = 0.0
    admitted: float | None = None
    left: float | None = None
    polls: int = 0
    bought: bool = False
    errors: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)


class Crowd:
    """Plays visitors against a running edge. chance: seeded for a crowd that can be repeated."""

    def __init__(self, base_url: str, path: str, plan: CrowdPlan, chance: random.Random) -> None:
        self._base = base_url
        self._path = path
        self._plan = plan
        self._chance = chance
        self.visits: list[Visit] = []

    async def play(self) -> None:
        """Until everybody who was to come is done."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=75)
        async with connector, asyncio.TaskGroup() as group:
            for number in range(self._plan.total if self._plan.total is not None else 10**9):
                await asyncio.sleep(self._pause_s(number))
                visit = Visit(number)
                self.visits.append(visit)
                group.create_task(self._visit(visit, connector), name=f"visitor {number}")

    def _pause_s(self, number: int) -> float:
        plan = self._plan
        rate = plan.rush / plan.rush_s if number < plan.rush else plan.then_per_second
        return self._chance.expovariate(rate)

    async def _visit(self, visit: Visit, connector: aiohttp.TCPConnector) -> None:
        async with aiohttp.ClientSession(
            connector=connector, connector_owner=False, cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as session:
            try:
                await self._wait_and_buy(visit, session)
            except (aiohttp.ClientError, TimeoutError) as fault:
                visit.errors.append(f"{type(fault).__name__}: {fault}")

    async def _wait_and_buy(self, visit: Visit, session: aiohttp.ClientSession) -> None:
        now = asyncio.get_running_loop().time
        is_impatient = self._chance.random() < self._plan.impatient
        patience_s = self._chance.expovariate(1 / self._plan.patience_s) if is_impatient else float("inf")
        visit.arrived = now()
        address, headers = self._base + self._path, {"Accept": "application/json"}
        while True:
            async with session.get(address, headers=headers, allow_redirects=False) as answer:
                visit.polls += 1
                state = answer.headers.get("Stanchion-State", "none")
                visit.states[state] += 1
                if answer.status != 200:
                    visit.errors.append(f"status {answer.status}")
                    return
                if state == "admitted":
                    visit.admitted = now()
                    break
                told = await answer.json()
            after_s = told["poll_after_seconds"]
            if after_s is None or now() - visit.arrived + after_s > patience_s:
                visit.left = now()
                return
            await asyncio.sleep(after_s * (1 + JITTER * self._chance.random()))
        if self._plan.buy:
            await self._buy(visit, session)

    async def _buy(self, visit: Visit, session: aiohttp.ClientSession) -> None:
        address = self._base + self._path
        async with session.get(address, headers={"Accept": "text/html"}) as answer:
            page = await answer.text()
        await asyncio.sleep(self._chance.uniform(*FORM_S))
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        form = {**fields, "name": f"Visitor {visit.number}", "card": "4242 4242 4242 4242"}
        async with session.post(address, data=form, headers={"Accept": "text/html"}) as answer:
            await answer.read()
            visit.bought = answer.status < 300
            if not visit.bought:
                visit.states[f"checkout {answer.status}"] += 1
