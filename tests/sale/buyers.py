"""Many buyers for a few units: through a real edge, into a real shop, to an order, a declined payment or away.

Most wait as the page tells them, some leave, some poll far too often, some wait in several tabs of one browser.
Admitted buyers reserve; then they pay, are declined, or leave their hold unpaid. Every response to a poll is recorded
with the time at which it was requested, because a line is judged by these.
"""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from checkout.evidence import ClientRecord
from edge.cli.demo.crowd import Visit, pause_s

JSON = {"Accept": "application/json"}
ROOM_COOKIE = "stanchion_checkout"
TRIES_INSIDE = 3
SKU = {"id": "watch", "title": "One size", "price_cents": 24_900, "sale": "launch"}
PRODUCT = {"id": "watch", "title": "Watch", "skus": [SKU]}
"""What the sale sells, as the catalogue has it."""
CART = {"product": "watch", "sku": "watch", "units": "1"}
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
ORDER = re.compile(r'href="/orders/(\w+)"')


@dataclass(frozen=True, slots=True)
class BuyersPlan:
    """The numbers and behaviour of the buyers. Times are seconds; shares are of all visitors."""

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
    """Only the first arrivals abandon holds; if later ones did as well, the sale would never end."""
    form_s: tuple[float, float] = (0.1, 0.6)
    seed: int = 20261121


@dataclass(slots=True)
class PollRecord:
    """One response to a waiting buyer. began: when the poll began, seconds of the event loop's clock."""

    began: float
    state: str
    held: int | None
    is_final: bool


@dataclass(slots=True)
class Buyer:
    """One visitor. visit: the times by which the fairness of the line is measured."""

    number: int
    kind: str
    fate: str
    patience_s: float
    visit: Visit
    cookie: str = ""
    polls: list[PollRecord] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """The shop's responses to the buyer's tries, counted by kind."""
    ticket: str = ""
    """The id of the ticket with which the buyer was admitted: the shop's name for the buyer."""
    first_seen_ms: int = 0
    """When the edge first saw the buyer, Unix time. If a first packet is lost, that is a second after they came."""


class Buyers:
    """Plays the plan against an edge. on_order: called when an order is confirmed to its buyer."""

    def __init__(self, url: str, plan: BuyersPlan, sale: str, on_order: Callable[[], None]) -> None:
        self._url = url
        self._plan = plan
        self._sale = sale
        self._on_order = on_order
        self._chance = random.Random(plan.seed)
        self.client_records: list[ClientRecord] = []
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
        """Run until every buyer has an order, has left, or has received the end of the sale."""
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
        await self._ask(buyer)  # the first tab gets the ticket that all tabs share
        async with asyncio.TaskGroup() as group:
            for _ in range(self._plan.tabs):
                group.create_task(self._tab(buyer))

    async def _tab(self, buyer: Buyer) -> None:
        if await self._wait(buyer):
            with_cart = buyer.number % 2 == 0 and buyer.fate != "abandon"
            await (self._buy_cart(buyer) if with_cart else self._buy(buyer))

    async def _wait(self, buyer: Buyer) -> bool:
        """Wait in line. Return whether the buyer is admitted."""
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
        """Poll once. Return 0.0 if admitted, None if the sale is over, else the seconds until the next poll."""
        now = asyncio.get_running_loop().time
        began = now()
        buyer.visit.polls += 1
        status, state, body = await self._request(buyer, "GET", "/checkout")
        if state == "admitted":
            buyer.visit.admitted = buyer.visit.admitted or now()
            return 0.0
        assert status == 200, (status, body)
        after_s: float | None = body["poll_after_seconds"]
        buyer.polls.append(PollRecord(began, body["state"], body.get("held"), after_s is None))
        return after_s

    async def _buy(self, buyer: Buyer) -> None:
        """Reserve, then pay, be declined, or leave. If no unit is free, try again a few times.

        If the shop or its bank took too long, the request is repeated with the same key, which can neither take nor
        charge twice.
        """
        for attempt in range(TRIES_INSIDE):
            await asyncio.sleep(self._chance.uniform(*self._plan.form_s))
            key = f"{attempt}-{self._chance.getrandbits(64):x}"
            status, user, body = await self._send(buyer, f"/api/sales/{self._sale}/holds", key)
            if status == 201:
                buyer.answers["held"] += 1
                self._record("held", user, key, body["hold"])
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
        status, _, body = await self._send(buyer, f"/api/holds/{hold}/payment", key + "p", card=card)
        buyer.answers[f"paid {status}"] += 1
        if status == 201:
            buyer.orders.append(body["order"])
            self._record("sold", user, key, body["order"])
            self._on_order()

    async def _buy_cart(self, buyer: Buyer) -> None:
        """Put the unit into a cart, outside of the line's room, and check the cart out inside of it."""
        async with self._session.post(f"{self._url}/cart/lines", data=CART, allow_redirects=False) as answer:
            cart = answer.cookies["shop_cart"].value
        for _ in range(TRIES_INSIDE):
            await asyncio.sleep(self._chance.uniform(*self._plan.form_s))
            _, page, _ = await self._load(buyer, cart)
            card = "decline" if buyer.fate == "decline" else "ok"
            form = {**dict(HIDDEN.findall(page)), "name": "Buyer", "card": card}
            user = f"ticket:{buyer.ticket}"
            status, text, where = await self._load(buyer, cart, form)
            for _ in range(TRIES_INSIDE):
                is_running = ":key-running" in text
                if (status not in (502, 503, 504) and not is_running) or f"ticket:{buyer.ticket}" != user:
                    break
                buyer.answers[f"asked again after {status}"] += 1
                await asyncio.sleep(1.0)
                status, text, where = await self._load(buyer, cart, form)
            kind = "held" if status in (303, 402) else re.sub(r".*:problem:([a-z-]+).*", r"\1", text) or str(status)
            buyer.answers[kind[:20]] += 1
            if status == 303:
                await self._confirm(buyer, user, where)
            if kind != "sold-out":
                return
            await asyncio.sleep(1.0)

    async def _confirm(self, buyer: Buyer, user: str, where: str) -> None:
        async with self._session.get(self._url + where) as answer:
            orders = ORDER.findall(await answer.text())
        for order in orders:
            buyer.orders.append(order)
            self.client_records.append(ClientRecord("sold", self._sale, user, f"{user}/cart/{order}", order))
            self._on_order()

    async def _load(self, buyer: Buyer, cart: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Load the checkout of the cart, or send its form. Return the status, the text, and where to go on."""
        headers = {**JSON, "Cookie": f"shop_cart={cart}; {buyer.cookie}"}
        method, url = "GET" if form is None else "POST", f"{self._url}/checkout/cart"
        async with self._session.request(method, url, data=form, headers=headers, allow_redirects=False) as answer:
            self._keep_cookie(buyer, answer)
            return answer.status, await answer.text(), answer.headers.get("Location", "")

    async def _send(self, buyer: Buyer, path: str, key: str, **fields: str) -> tuple[int, str, dict[str, Any]]:
        """Send a request until it is answered. Return the status, the user of that request, and the document.

        If another tab has used up the pass, the answer is a 503 with a new ticket, so the next request may be another
        user's.
        """
        for _ in range(TRIES_INSIDE):
            user = f"ticket:{buyer.ticket}"
            status, _, body = await self._request(buyer, "POST", path, key, **fields)
            is_running = str(body.get("type")).endswith(":key-running")
            if status not in (502, 503, 504) and not is_running:
                break
            buyer.answers[f"asked again after {status}"] += 1
            await asyncio.sleep(1.0)
        return status, user, body

    def _record(self, kind: str, user: str, key: str, hold: str) -> None:
        """Record a success, for comparison with the shop's own records."""
        self.client_records.append(ClientRecord(kind, self._sale, user, f"{user}/{key}", hold))

    async def _request(
        self, buyer: Buyer, method: str, path: str, key: str = "", **fields: str
    ) -> tuple[int, str, dict[str, Any]]:
        headers = {**JSON, "Cookie": buyer.cookie} if buyer.cookie else dict(JSON)
        if key:
            headers["Idempotency-Key"] = key
        body = json.dumps(fields) if method == "POST" else None
        async with self._session.request(method, self._url + path, data=body, headers=headers) as answer:
            self._keep_cookie(buyer, answer)
            return answer.status, answer.headers.get("Stanchion-State", ""), json.loads(await answer.read())

    def _keep_cookie(self, buyer: Buyer, answer: aiohttp.ClientResponse) -> None:
        if cookie := answer.cookies.get(ROOM_COOKIE):
            buyer.cookie = f"{ROOM_COOKIE}={cookie.value}" if cookie.value else ""
            if cookie.value:
                _, _, ident, first_seen_ms, *_ = cookie.value.split(".")
                buyer.ticket = ident.partition("~")[0]
                buyer.first_seen_ms = buyer.first_seen_ms or int(first_seen_ms)
