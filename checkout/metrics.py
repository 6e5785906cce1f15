"""What the shop counts, for Prometheus: `/metrics`, names `shop_*`. Nothing about a visitor is in it.

Everything is read when it is asked for: the numbers of the sales from the store, the rest from this process' memory. A
store that is away leaves its numbers out, and `shop_store_up` says so.
"""

from collections.abc import Iterable, Iterator

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from checkout.availability import Availability
from checkout.concurrency_limit import ConcurrencyLimit
from checkout.engines.engine import Engine
from checkout.errors import StoreError
from checkout.writer import Writer

CONTENT_TYPE = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"}


class Metrics:
    """The metrics of one process of the shop."""

    def __init__(self, engine: Engine, writer: Writer, slots: ConcurrencyLimit, availability: Availability) -> None:
        self._engine = engine
        self._writer = writer
        self._slots = slots
        self._availability = availability

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/metrics", self.show)

    async def show(self, _request: web.Request) -> web.Response:
        found = [*self._own(), *await self._stored()]
        return web.Response(body=generate_latest(_Found(found)), headers=CONTENT_TYPE)

    def _own(self) -> Iterator[Metric]:
        """What this process did since its start."""
        slots, seen = self._slots.snapshot(), self._availability.snapshot()
        yield CounterMetricFamily("shop_decisions", "Commands decided and stored", self._writer.decisions)
        yield CounterMetricFamily("shop_batches", "Transactions they were stored in", self._writer.batches)
        results = CounterMetricFamily("shop_checkouts", "Purchases by what became of them", labels=["result"])
        results.add_metric(["served"], slots.served)
        results.add_metric(["refused"], slots.refused)
        yield results
        inside = GaugeMetricFamily("shop_checkouts_inside", "Purchases under way", labels=["state"])
        inside.add_metric(["working"], slots.working)
        inside.add_metric(["waiting"], slots.waiting)
        yield inside
        looks = CounterMetricFamily("shop_availability_answers", "Looks at what is left", labels=["source"])
        for source, count in (("memory", seen.hits), ("store", seen.reads), ("shared_read", seen.shared)):
            looks.add_metric([source], count)
        yield looks

    async def _stored(self) -> list[Metric]:
        """What the store says."""
        up = GaugeMetricFamily("shop_store_up", "1 when the store answers")
        units = GaugeMetricFamily("shop_units", "Units of a sale by their state", labels=["sale", "state"])
        found: list[Metric] = [up, units]
        try:
            for sale, stock in await self._engine.sales():
                for state, count in (("free", stock.free), ("held", stock.held), ("sold", stock.sold)):
                    units.add_metric([sale.id, state], count)
            unsettled = len(await self._engine.unsettled())
            text = "Payments whose money is not accounted for yet, 1000 at most"
            found.append(GaugeMetricFamily("shop_payments_unsettled", text, unsettled))
            if unforwarded := getattr(self._engine, "unforwarded", None):
                text = "Events in Redis that the forwarder has not carried over"
                found.append(GaugeMetricFamily("shop_events_unforwarded", text, await unforwarded()))
        except StoreError:
            up.add_metric([], 0)
        else:
            up.add_metric([], 1)
        return found


class _Found:
    """What `generate_latest` takes: something to collect from."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found
