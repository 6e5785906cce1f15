"""The leaderboard: what sold most in the last seven days, as a page and for programs.

    every second: events after the last counted one ──▶ BestSellers ──▶ GET /best-sellers, GET /api/best-sellers

The counts are in memory. After a start they are counted again from the trail, so no crash can make them wrong. With
the stock in Redis only events count that PostgreSQL has, because others may still be undone.
"""

from typing import Any

from aiohttp import web

from checkout import pages, responses
from checkout.best_sellers import HOUR_MS, BestSellers
from checkout.clock import ClockMs
from checkout.engines.engine import Engine
from checkout.errors import BadRequest
from checkout.sale_list import SaleList
from checkout.values import Sale

COUNT_EVERY_S = 1.0
AT_ONCE = 2_000
MOST_ROWS = 100


class Leaderboard:
    """`step` is called again and again; `add_to` adds the two addresses."""

    def __init__(self, engine: Engine, sales: SaleList, clock: ClockMs) -> None:
        self._engine = engine
        self._sales = sales
        self._clock = clock
        self._counts = BestSellers()

    async def step(self) -> None:
        """Count the events that have come since the last step, and let the time pass. Raises `StoreError`."""
        durable = getattr(self._engine, "forwarded", None)
        last_seq = await durable() if durable else None
        while events := await self._engine.events("", self._counts.seq, AT_ONCE):
            counted = events if last_seq is None else [event for event in events if event.seq <= last_seq]
            self._counts.take(counted)
            if len(counted) < AT_ONCE:
                break
        self._counts.advance(self._clock() // HOUR_MS)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/best-sellers", self.show_page)
        app.router.add_get("/api/best-sellers", self.show)

    async def show_page(self, _request: web.Request) -> web.Response:
        return responses.page(pages.best_sellers(await self._top(10)))

    async def show(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "10")
        if not limit.isascii() or not limit.isdecimal() or not 1 <= int(limit[:4]) <= MOST_ROWS or len(limit) > 3:
            raise BadRequest(f"limit: expected a number from 1 to {MOST_ROWS}")
        rows: list[dict[str, Any]] = [
            {
                "sale": sale.id,
                "title": sale.title,
                "price_cents": sale.price_cents,
                "currency": sale.currency,
                "units_7d": units,
            }
            for sale, units in await self._top(int(limit))
        ]
        return responses.document(rows)

    async def _top(self, limit: int) -> list[tuple[Sale, int]]:
        found = [(await self._sales.find(name), units) for name, units in self._counts.top(limit)]
        return [(sale, units) for sale, units in found if sale is not None]
