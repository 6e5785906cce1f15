"""The leaderboard: what sold most in the last seven days, as a page and for programs.

    trail ──relay──▶ topic "sales" ──every second──▶ BestSellers ──▶ GET /best-sellers, GET /api/best-sellers

The counts are in memory, with the number of the last message that they contain. After a start they are counted again
from the topic, so no crash can make them wrong. If the topic was cleared, they are counted again as well.
"""

import logging
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client.core import GaugeMetricFamily, Metric

from checkout import pages, responses
from checkout.best_sellers import HOUR_MS, BestSellers
from checkout.bus.bus import Bus, Message
from checkout.bus.opening import SALES, event_of
from checkout.clock import ClockMs
from checkout.errors import BadRequest
from checkout.oversell import OversellAlarm
from checkout.sale_list import SaleList
from checkout.values import Event, Sale

LOG = logging.getLogger(__name__)
COUNT_EVERY_S = 1.0
AT_ONCE = 2_000
MOST_ROWS = 100
ALL = 2**31


class Leaderboard:
    """`step` is called again and again; `add_to` adds the two addresses."""

    def __init__(self, bus: Bus, sales: SaleList, clock: ClockMs) -> None:
        self._bus = bus
        self._sales = sales
        self._clock = clock
        self._counts = BestSellers()
        self._alarm = OversellAlarm()

    async def step(self) -> None:
        """Count the messages that have come since the last step, and let the time pass. Raises `StoreError`."""
        last = await self._bus.last(SALES)
        if (last.number if last else 0) < self._counts.seq:
            self._counts, self._alarm = BestSellers(), OversellAlarm()
        while messages := await self._bus.after(SALES, self._counts.seq, AT_ONCE):
            events = list(filter(None, map(self._read, messages)))
            self._counts.take(events)
            self._counts.seq = messages[-1].number
            for sale in self._alarm.take(events):
                LOG.critical("sale %s is oversold: stop it (docs/runbooks.md#oversold)", sale)
        self._counts.advance(self._clock() // HOUR_MS)

    def _read(self, message: Message) -> Event | None:
        """Return the event of a message, or None if it has none: another program has published it."""
        try:
            return event_of(message)
        except msgspec.MsgspecError as error:
            LOG.error("message %d of %s is no event and is left out: %s", message.number, SALES, error)
            return None

    def metric(self) -> Metric:
        """Return the oversell alarm: the units that each sale has sold beyond its total."""
        metric = GaugeMetricFamily("shop_oversold_units", "Units sold or held beyond a sale's total", labels=["sale"])
        for sale, units in self._alarm.oversold().items():
            metric.add_metric([sale], units)
        return metric

    def units_7d(self) -> dict[str, int]:
        """Return the units of every sale that sold something in the last seven days."""
        return dict(self._counts.top(ALL))

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
