"""A crowd that wants the same few units: through a real edge, into a real shop, to an order, a decline or away.

Most wait as they are told, some leave, some ask far too often, some wait with several tabs of one browser. Once in,
they reserve; then they pay, are declined, or walk away from what they hold. Whatever they are answered is kept, with
the moment at which they asked, for that is what a line is judged by.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from checkout.evidence import Told
from edge.cli.demo.crowd import Visit, pause_s

JSON = {"Accept": "application/json"}
ROOM_COOKIE = "stanchion_checkout"
TRIES_INSIDE = 3


@dataclass(frozen=True, slots=True)
class BuyersPlan:
    """Who comes. Times are seconds; shares are of all visitors."""

    visitors: int = 3000
    rush_s: float = 8.0
    leaving: float = 0.2
    patience_s: float = 6.0
    bots: int = 20
    bot_every_s: float = 0.1
    with_tabs: int = 20
    tabs: int = 3
    declined: float = 0.1
    abandoning: float = 0.2
    abandoning_until: int = 400
    """Of so many first arrivals; a crowd that never stopped to abandon would never be done."""
    form_s: tuple[float, float] = (0.1, 0.6)
    seed: int = 20261121


@dataclass(slots=True)
class Heard:
    """One answer to somebody who waits. began: when it was asked for, seconds of the event loop's clock."""

    began: float
    state: str
    held: int | None
    is_final: bool


@dataclass(slots=True)
class Buyer:
    """One visitor: `visit` is what the fairness of a line is measured by."""

    number: int
    kind: str
    fate: str
    patience_s: float
    visit: Visit
    cookie: str = ""
    heard: list[Heard] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """What the shop said to their tries to get a unit."""
    ticket: str = ""
    """The id of the ticket they were let in with: the shop knows them by it."""
    first_seen_ms: int = 0
    """When the edge first saw them, Unix time. A first packet that is lost comes a second after they did."""


class Buyers:
    """Plays the plan against an edge. on_order: called with every order as it is confirmed to its buyer."""

    def __init__(self, url: str, plan: BuyersPlan, sale: str, on_order: Callable[[], None]) -> None:
        self._url = url
        self._plan = plan
        self._sale = sale
        self._on_order = on_order
        self._chance = random.Random(plan.seed)
        self.told: list[Told] = []
        self.all = [self._buyer(number) for number in range(plan.visitors)]

    def _buyer(self, number: int) -> Buyer:
        plan, chance = self._plan, self._chance
        luck, patience_s = chance.random(), float("inf")
        kind, spread = "patient", plan.visitors // (plan.bots + plan.with_tabs)
        if number % spread == 7:
            kind = "bot" if number // spread % 2 else "tabs"
        elif chance.random() < plan.leaving:
            kind, patience_s = "leaving", chance.expovariate(1 / plan.patience_s)
        fate = "pay"
        if luck < plan.declined:
            fate = "decline"
        elif number < plan.abandoning_until and luck < plan.declined + plan.abandoning:
            fate = "abandon"
        return Buyer(number, kind, fate, patience_s, Visit(number))

    async def play(self) -> None:
        """Until everybody has an order, has left or was told that it is over."""
        now = asyncio.get_running_loop().time
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60.0)
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(60)
            ) as self._session,
            asyncio.TaskGroup() as group,
        ):
            due = now()
            for buyer in self.all:
                due += self._chance.expovariate(self._plan.visitors / self._plan.rush_s)
                await asyncio.sleep(max(0.0, due - now()))
                buyer.visit.arrived = now()
                group.create_task(self._come(buyer), name=f"buyer {buyer.number}")

    async def _come(self, buyer: Buyer) -> None:
        if buyer.kind != "tabs":
            await self._tab(buyer)
            return
        await self._ask(buyer)  # the first tab brings the ticket that all of them share
        async with asyncio.TaskGroup() as group:
            for _ in range(self._plan.tabs):
                group.create_task(self._tab(buyer))

    async def _tab(self, buyer: Buyer) -> None:
        if await self._wait(buyer):
            await self._buy(buyer)

    async def _wait(self, buyer: Buyer) -> bool:
        """Stand in line; whether one is let in."""
        now, visit = asyncio.get_running_loop().time, buyer.visit
        while True:
            after_s = await self._ask(buyer)
            if after_s == 0.0:
                return True
            if after_s is None:
                return False
            if now() + after_s - visit.arrived > buyer.patience_s:
                visit.left = now()
                return False
            is_bot = buyer.kind == "bot"
            await asyncio.sleep(self._plan.bot_every_s if is_bot else pause_s(after_s, self._chance))

    async def _ask(self, buyer: Buyer) -> float | None:
        """Ask once: 0.0 is let in, None is over, else the seconds until the next time."""
        now = asyncio.get_running_loop().time
        began = now()
        buyer.visit.polls += 1
        status, state, body = await self._request(buyer, "GET", "/checkout")
        if state == "admitted":
            buyer.visit.admitted = buyer.visit.admitted or now()
            return 0.0
        assert status == 200, (status, body)
        after_s: float | None = body["poll_after_seconds"]
        buyer.heard.append(Heard(began, body["state"], body.get("held"), after_s is None))
        return after_s

    async def _buy(self, buyer: Buyer) -> None:
        """Reserve, then pay, be declined, or walk away. Who finds nothing free tries again a few times. Whoever is told
        that the shop took too long asks again with the same key, which can neither take nor charge twice."""
        for attempt in range(TRIES_INSIDE):
            await asyncio.sleep(self._chance.uniform(*self._plan.form_s))
            key = f"{attempt}-{self._chance.getrandbits(64):x}"
            user = f"ticket:{buyer.ticket}"  # that of this pass: another tab may be given a new one meanwhile
            status, body = await self._send(buyer, f"/api/sales/{self._sale}/holds", key)
            if status == 201:
                buyer.answers["held"] += 1
                self._note("held", user, key, body["hold"])
                await self._pay(buyer, user, body["hold"], key)
                return
            kind = body.get("type", str(status)).rpartition(":")[2]
            buyer.answers[kind] += 1
            if kind != "sold-out":
                return
            await asyncio.sleep(1.0)

    async def _pay(self, buyer: Buyer, user: str, hold: str, key: str) -> None:
        if buyer.fate == "abandon":
            return
        await asyncio.sleep(self._chance.uniform(*self._plan.form_s))
        card = "decline" if buyer.fate == "decline" else "ok"
        status, body = await self._send(buyer, f"/api/holds/{hold}/payment", key + "p", card=card)
        buyer.answers[f"paid {status}"] += 1
        if status == 201:
            buyer.orders.append(body["order"])
            self._note("sold", user, key, body["order"])
            self._on_order()

    async def _send(self, buyer: Buyer, path: str, key: str, **fields: str) -> tuple[int, dict[str, Any]]:
        for _ in range(TRIES_INSIDE):
            status, _, body = await self._request(buyer, "POST", path, key, **fields)
            if status not in (502, 503, 504):
                break
            buyer.answers[f"asked again after {status}"] += 1
            await asyncio.sleep(1.0)
        return status, body

    def _note(self, kind: str, user: str, key: str, hold: str) -> None:
        """What the checker compares the shop's own records with."""
        self.told.append(Told(kind, self._sale, user, f"{user}/{key}", hold))

    async def _request(
        self, buyer: Buyer, method: str, path: str, key: str = "", **fields: str
    ) -> tuple[int, str, dict[str, Any]]:
        headers = {**JSON, "Cookie": buyer.cookie} if buyer.cookie else dict(JSON)
        if key:
            headers["Idempotency-Key"] = key
        body = json.dumps(fields) if method == "POST" else None
        async with self._session.request(method, self._url + path, data=body, headers=headers) as answer:
            if cookie := answer.cookies.get(ROOM_COOKIE):
                buyer.cookie = f"{ROOM_COOKIE}={cookie.value}" if cookie.value else ""
                if cookie.value:
                    _, _, ident, first_seen_ms, *_ = cookie.value.split(".")
                    buyer.ticket = ident.partition("~")[0]
                    buyer.first_seen_ms = buyer.first_seen_ms or int(first_seen_ms)
            return answer.status, answer.headers.get("Stanchion-State", ""), json.loads(await answer.read())
