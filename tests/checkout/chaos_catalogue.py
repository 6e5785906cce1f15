"""The catalogue's side of a sale under kill -9: an operator changes products, and visitors read and search them.

    operator    creates, changes and retires products, one change after the other, each repeated until it is answered
    visitors    read products and best sellers, list and search; no answer may be older than `OLDEST_S`

At the end the operator's own record is compared with the shop: every change that was answered is one event, in order,
and no other; the bus has the same events; every product, every shop and the search show the last change.
"""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from checkout.audit import Finding
from checkout.bus.bus import BusError
from checkout.bus.opening import CATALOGUE, open_bus
from checkout.settings import parse
from tests.checkout.shop_processes import SALE

TOKEN = "the operator of the chaos"
TOKEN_ENV = "CHECKOUT_OPERATOR_TOKEN"
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
PRODUCTS = 20
VISITORS = 6
CHANGE_EVERY_S = 0.1
READ_EVERY_S = 0.05
OLDEST_S = 5.0
"""The catalogue promises one second. A busy machine can stop a shop for longer while it answers."""
MOST_WAIT_S = 120.0
PRODUCT = {
    "id": "watch",
    "title": "Watch",
    "skus": [{"id": "watch", "title": "One size", "price_cents": 24_900, "sale": SALE}],
}
ERRORS = (ClientError, TimeoutError, OSError, json.JSONDecodeError)


def lamp(name: str, word: str, *, is_retired: bool = False) -> dict[str, Any]:
    """Return a product. word: occurs in its title and in no other one."""
    sku = {"id": name, "title": "One size", "price_cents": 1000, "sale": name}
    return {"id": name, "title": f"Lamp {word}", "skus": [sku], "is_retired": is_retired}


@dataclass
class CatalogueLoad:
    """`run` until the sale has ended, then `findings`. `reads`, `searches`: answers of the shop."""

    urls: list[str]
    seed: int
    changes: list[tuple[str, str, bool]] = field(default_factory=list)
    """Product, word and whether it is retired, of every change that was answered, in order."""
    versions: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """When each product's changes were answered, and their versions."""
    faults: list[Finding] = field(default_factory=list)
    reads: int = 0
    searches: int = 0

    def __str__(self) -> str:
        return f"{len(self.changes)} changes of products, {self.reads} reads, {self.searches} searches"

    async def run(self, ended: asyncio.Event) -> None:
        async with ClientSession(timeout=ClientTimeout(10)) as client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._operate(client, ended))
            for number in range(VISITORS):
                tasks.create_task(self._visit(client, ended, random.Random(f"visitor {self.seed}/{number}")))

    async def _operate(self, client: ClientSession, ended: asyncio.Event) -> None:
        chance = random.Random(f"operator {self.seed}")
        while not ended.is_set():
            name, word = f"lamp-{chance.randrange(PRODUCTS)}", f"word{len(self.changes)}x"
            body = lamp(name, word, is_retired=chance.random() < 0.1)
            stored = await self._put(client, name, body)
            self.changes.append((name, body["title"], body["is_retired"]))
            self.versions.setdefault(name, []).append((time.monotonic(), stored["version"]))
            await asyncio.sleep(CHANGE_EVERY_S)

    async def _put(self, client: ClientSession, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change a product, and repeat it until it is answered. The same product again changes nothing."""
        for tries in range(10_000):
            url = self.urls[tries % len(self.urls)]
            try:
                async with client.put(f"{url}/api/products/{name}", json=body, headers=OPERATOR) as answer:
                    stored: dict[str, Any] = await answer.json(content_type=None)
                    if answer.status in (200, 201):
                        return stored
                    if answer.status not in (503, 504):
                        raise AssertionError(f"PUT {name}: {answer.status} {stored}")
            except ERRORS:
                pass
            await asyncio.sleep(0.1)
        raise AssertionError(f"the change of {name} was never answered")

    async def _visit(self, client: ClientSession, ended: asyncio.Event, chance: random.Random) -> None:
        while not ended.is_set():
            url, name = chance.choice(self.urls), f"lamp-{chance.randrange(PRODUCTS)}"
            path = chance.choice(
                [f"/api/products/{name}", "/api/best-sellers", "/api/products?sort=sales_7d", "/api/products?q=lam"]
            )
            asked_s = time.monotonic()
            body = await _get(client, url + path)
            if body is not None and path.endswith(name):
                self.reads += 1
                self._check(body, asked_s)
            elif body is not None and "products" in path:
                self.searches += 1
                for row in body["products"]:
                    self._check(row, asked_s)
            await asyncio.sleep(READ_EVERY_S)

    def _check(self, stored: dict[str, Any], asked_s: float) -> None:
        """Note a fault if the answer is older than a change that was answered `OLDEST_S` before the question."""
        known = self.versions.get(stored["id"], [])
        least = max((version for at_s, version in known if at_s < asked_s - OLDEST_S), default=0)
        if stored["version"] < least:
            text = f"{stored['id']} has version {stored['version']}, and {least} was answered long before"
            self.faults.append(Finding("catalogue-stale", text))

    async def findings(self, sections: dict[str, Any]) -> list[Finding]:
        """Compare record, events, bus, products and search, and wait until they are equal or the time is over."""
        until = time.monotonic() + MOST_WAIT_S
        async with ClientSession(timeout=ClientTimeout(10)) as client:
            while True:
                found = await self._differences(client, sections)
                if not found or time.monotonic() > until:
                    return [*self.faults, *found]
                await asyncio.sleep(0.5)

    async def _differences(self, client: ClientSession, sections: dict[str, Any]) -> list[Finding]:
        answers = [events for url in self.urls if (events := await _events(client, url)) is not None]
        if not answers:
            return [Finding("catalogue", "no shop answers")]
        events = answers[0]
        found = [Finding("catalogue-events", "two shops have different events") for each in answers if each != events]
        if [event["seq"] for event in events] != list(range(1, len(events) + 1)):
            found.append(Finding("catalogue-events", "the numbers of the events have a gap"))
        ours = [event["product"] for event in events if event["product"]["id"].startswith("lamp-")]
        have = [(each["id"], each["title"], each["is_retired"]) for each in ours]
        if have != self.changes:
            found.append(Finding("catalogue-events", f"{len(have)} events, {len(self.changes)} answered changes"))
        found += await _bus(sections, events)
        last = {each["id"]: each for each in ours}
        for url in self.urls:
            for name, product in last.items():
                found += await _shown(client, url, name, product)
        return found


async def _get(client: ClientSession, url: str) -> Any:
    """Return the document, or None if nobody answers or the answer is no 200."""
    try:
        async with client.get(url, headers=OPERATOR) as answer:
            return await answer.json(content_type=None) if answer.status == 200 else None
    except ERRORS:
        return None


async def _events(client: ClientSession, url: str) -> list[dict[str, Any]] | None:
    events: list[dict[str, Any]] = []
    while True:
        rows = await _get(client, f"{url}/api/catalogue/events?after={events[-1]['seq'] if events else 0}")
        if rows is None:
            return None
        if not rows:
            return events
        events += rows


async def _bus(sections: dict[str, Any], events: list[dict[str, Any]]) -> list[Finding]:
    try:
        bus = await open_bus(parse(sections))
    except BusError as error:
        return [Finding("catalogue-bus", str(error))]
    try:
        seen: list[Any] = []
        at = 0
        while messages := await bus.after(CATALOGUE, at, 1000):
            seen += [message.value for message in messages]
            at = messages[-1].number
    except BusError as error:
        return [Finding("catalogue-bus", str(error))]
    finally:
        await bus.close()
    text = f"{len(seen)} events on the bus, {len(events)} in the catalogue"
    return [] if seen == events else [Finding("catalogue-bus", text)]


async def _shown(client: ClientSession, url: str, name: str, product: dict[str, Any]) -> list[Finding]:
    """Compare what one shop shows of a product, and finds by the word that only it has."""
    shown = await _get(client, f"{url}/api/products/{name}")
    if shown is None:
        return []  # a standby does not listen; `_events` has found one that does
    found = [] if shown == product else [Finding("catalogue-stale", f"{url} shows {shown}, the last event {product}")]
    word = product["title"].split()[1]
    result = await _get(client, f"{url}/api/products?q={word}")
    ids = [] if result is None or result["corrected"] else [row["id"] for row in result["products"]]
    if ids != ([] if product["is_retired"] else [name]):
        found.append(Finding("search", f"{url} finds {ids} by {word!r}, which only {name} has"))
    return found
