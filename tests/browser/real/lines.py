"""A real edge with a line that a test opens, before a shop of one page, for tests in real browsers."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.browser.test_single_page import SETUP
from tests.browser.test_visits import Shop
from tests.edge.running import RunningEdge, one_room, running_edge, running_upstream

__all__ = ["ASK", "SERVICE_WORKER", "Line", "line_before"]

#: Loads the client and asks for the order's address; what the client says stands in `window.seen`.
ASK = f"""(async () => {{
    await ({SETUP})("");
    window.answer = ask("/checkout/order", {{ method: "POST", body: "note=1" }});
    return true;
}})()"""

#: Passes every request on, as the worker of a shop that works offline does for what it has not kept.
SERVICE_WORKER = """
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => event.respondWith(fetch(event.request)));
"""
WITH_WORKER = """<!doctype html><title>shop</title><h1>shop</h1><script src="/register.js"></script>"""
REGISTER = "navigator.serviceWorker.register('/sw.js');"


@dataclass
class Line:
    """The room `checkout` of an edge that admits nobody until it is opened."""

    edge: RunningEdge
    shop: Shop

    @property
    def url(self) -> str:
        return f"{self.edge.url}/checkout/order"

    def open(self) -> None:
        """Admit visitors from now on."""
        tree: dict[str, Any] = yaml.safe_load(self.edge.file.read_text("utf-8"))
        tree["rooms"][0]["capacity"]["admissions_per_second"] = 50.0
        self.edge.file.write_text(yaml.safe_dump(tree))
        self.edge.send(signal.SIGHUP)


@asynccontextmanager
async def line_before(folder: Path, *, has_worker: bool = False) -> AsyncIterator[Line]:
    """Run the edge. has_worker: the shop's pages install a service worker."""
    shop = Shop()
    shop.pages = {"/": "<!doctype html><title>shop</title><h1>shop</h1>", "/sw.js": SERVICE_WORKER}
    if has_worker:
        shop.pages |= {"/": WITH_WORKER, "/register.js": REGISTER}
    async with running_upstream(shop.handle) as address:
        settings = one_room(
            address, capacity={"admissions_per_second": 0}, polling={"min_seconds": 0.3, "max_seconds": 1.0}
        )
        async with running_edge(settings.replace("workers: 2", "workers: 1"), folder) as edge:
            yield Line(edge, shop)
