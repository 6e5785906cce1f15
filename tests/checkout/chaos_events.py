"""What a sale under kill -9 says about events: the bus, the best sellers and the notices, against the trail.

the messages of the topic `sales`        are the events of the trail, each once, in order
the best sellers of every shop           are the units that a recount of the trail gives
the notices that the webhook has taken   are one "order confirmed" for each sold hold, under one delivery each
"""

import asyncio
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from checkout.audit import Finding
from checkout.bus.bus import BusError
from checkout.bus.opening import SALES, event_of, open_bus
from checkout.evidence import Evidence
from checkout.settings import parse
from tests.checkout.servers import NatsServer, nats_server
from tests.checkout.shop_processes import SALE, serving_app

SECRET = "the secret of the chaos"
SECRET_ENV = "CHECKOUT_WEBHOOK_SECRET"
MOST_WAIT_S = 180.0


@dataclass
class Receiver:
    """The webhook of the notices. It counts deliveries, as a receiver should."""

    orders: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    calls: int = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/notices", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.calls += 1
        if body["kind"] == "order_confirmed":
            self.orders[body["key"]].add(request.headers["Shop-Delivery"])
        return web.Response(status=204)


@dataclass
class Events:
    """The events' side of a chaos sale: the sections of the settings, and the servers that may be killed."""

    sections: dict[str, Any]
    receiver: Receiver
    servers: dict[str, NatsServer]

    @classmethod
    async def start(cls, engine: dict[str, Any], folder: Path, stack: AsyncExitStack) -> "Events":
        """With the stock in PostgreSQL the bus is a NATS; otherwise it is what `auto` chooses."""
        receiver, servers = Receiver(), dict[str, NatsServer]()
        events: dict[str, Any] = {"lease_seconds": 5.0}
        if engine["kind"] == "postgres":
            servers["nats"] = stack.enter_context(nats_server())
            events |= {"kind": "nats", "url": servers["nats"].url}
        url = await stack.enter_async_context(serving_app(receiver.app()))
        notices = {"webhook": f"{url}/notices", "path": str(folder / "notices.db")}
        return cls({"events": events, "notices": notices}, receiver, servers)

    async def findings(self, engine: dict[str, Any], evidence: Evidence, urls: list[str]) -> list[Finding]:
        """Compare everything with the trail, and wait until it is equal or the time is over."""
        until = time.monotonic() + MOST_WAIT_S
        async with ClientSession(timeout=ClientTimeout(5)) as client:
            while True:
                found = [
                    *await self._bus(engine, evidence),
                    *await self._best_sellers(evidence, urls, client),
                    *self._notices(evidence),
                ]
                if not found or time.monotonic() > until:
                    return found
                await asyncio.sleep(0.5)

    async def _bus(self, engine: dict[str, Any], evidence: Evidence) -> list[Finding]:
        try:
            bus = await open_bus(parse({"engine": engine, "events": self.sections["events"]}))
        except BusError as error:
            return [Finding("bus", str(error))]
        try:
            events, at = [], 0
            while messages := await bus.after(SALES, at, 1000):
                events += [event_of(message) for message in messages]
                at = messages[-1].number
            state = await bus.state(SALES, "notices")
        except BusError as error:
            return [Finding("bus", str(error))]
        finally:
            await bus.close()
        found = []
        if events != evidence.events:
            found.append(Finding("bus", f"{len(events)} events on the bus, {len(evidence.events)} in the trail"))
        if state.lag or state.dead:
            found.append(Finding("bus", f"the notices have {state.lag} messages left and {state.dead} dead letters"))
        return found

    @staticmethod
    async def _best_sellers(evidence: Evidence, urls: list[str], client: ClientSession) -> list[Finding]:
        sold, shown = sum(event.kind == "sold" for event in evidence.events), 0
        found = []
        for url in urls:
            try:
                async with client.get(f"{url}/api/best-sellers") as answer:
                    rows = {row["sale"]: row["units_7d"] for row in await answer.json()}
            except (ClientError, TimeoutError, OSError):
                continue  # a standby does not listen
            shown += 1
            if rows.get(SALE, 0) != sold:
                found.append(Finding("best-sellers", f"{url} shows {rows.get(SALE, 0)} units, the trail has {sold}"))
        return found if shown else [Finding("best-sellers", "no shop answers")]

    def _notices(self, evidence: Evidence) -> list[Finding]:
        sold = {f"order/{event.hold}" for event in evidence.events if event.kind == "sold"}
        orders = dict(self.receiver.orders)
        found = []
        if sold != orders.keys():
            lost, invented = sold - orders.keys(), orders.keys() - sold
            found.append(Finding("notices", f"{len(lost)} orders were not confirmed, {len(invented)} were invented"))
        if twice := [key for key, deliveries in orders.items() if len(deliveries) > 1]:
            found.append(Finding("notices", f"{twice[0]} and {len(twice) - 1} more have two deliveries"))
        return found
