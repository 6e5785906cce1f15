"""The metrics of the shop for Prometheus: `/metrics`, names `shop_*`. They contain nothing about a visitor.

Every value is read when it is requested: the numbers of the sales from the store, the others from this process's
memory. If the store does not answer, its numbers are left out and `shop_store_up` is 0.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from checkout.availability import Availability
from checkout.cashier import Cashier
from checkout.concurrency_limit import ConcurrencyLimit
from checkout.engines.engine import Engine
from checkout.errors import StoreError
from checkout.writer import Writer

CONTENT_TYPE = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"}


class Metrics:
    """The metrics of one process of the shop."""

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        limit: ConcurrencyLimit,
        availability: Availability,
        cashier: Cashier,
        others: Sequence[Callable[[], Awaitable[list[Metric]]]],
    ) -> None:
        """others: the metrics of other parts."""
        self._cashier = cashier
        self._others = others
        self._engine = engine
        self._writer = writer
        self._limit = limit
        self._availability = availability

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/metrics", self.show)

    async def show(self, _request: web.Request) -> web.Response:
        collected = [
            *self._of_process(),
            *await self._of_store(),
            *[each for other in self._others for each in await other()],
        ]
        return web.Response(body=generate_latest(_Collected(collected)), headers=CONTENT_TYPE)

    def _of_process(self) -> Iterator[Metric]:
        """Return the counts of this process since its start."""
        purchases, reads = self._limit.snapshot(), self._availability.snapshot()
        yield CounterMetricFamily("shop_decisions", "Commands that were decided and stored", self._writer.decisions)
        yield CounterMetricFamily("shop_batches", "Transactions that stored the decided commands", self._writer.batches)
        results = CounterMetricFamily(
            "shop_checkouts", "Purchases by result: served, or refused because checkout was busy", labels=["result"]
        )
        results.add_metric(["served"], purchases.served)
        results.add_metric(["refused"], purchases.refused)
        yield results
        attempts = CounterMetricFamily(
            "shop_payment_attempts", "Requests to the payment gateway by result", labels=["result"]
        )
        attempts.add_metric(["answered"], self._cashier.answered)
        attempts.add_metric(["no_answer"], self._cashier.unanswered)
        yield attempts
        inside = GaugeMetricFamily("shop_checkouts_inside", "Purchases in progress by state", labels=["state"])
        inside.add_metric(["running"], purchases.running)
        inside.add_metric(["waiting"], purchases.waiting)
        yield inside
        answers = CounterMetricFamily(
            "shop_availability_answers", "Availability requests by the source of the answer", labels=["source"]
        )
        for source, count in (("memory", reads.hits), ("store", reads.reads), ("shared_read", reads.shared)):
            answers.add_metric([source], count)
        yield answers

    async def _of_store(self) -> list[Metric]:
        """Return the numbers of the store."""
        up = GaugeMetricFamily("shop_store_up", "1 if the store answers, else 0")
        units = GaugeMetricFamily("shop_units", "Units of a sale by state", labels=["sale", "state"])
        metrics: list[Metric] = [up, units]
        try:
            for sale, stock in await self._engine.sales():
                for state, count in (("free", stock.free), ("held", stock.held), ("sold", stock.sold)):
                    units.add_metric([sale.id, state], count)
            unsettled = len(await self._engine.unsettled())
            text = "Payments that are not settled yet; 1000 at most are counted"
            metrics.append(GaugeMetricFamily("shop_payments_unsettled", text, unsettled))
            if unforwarded := getattr(self._engine, "unforwarded", None):
                text = "Events in Redis that the forwarder has not carried over"
                metrics.append(GaugeMetricFamily("shop_events_unforwarded", text, await unforwarded()))
        except StoreError:
            up.add_metric([], 0)
        else:
            up.add_metric([], 1)
        return metrics


class _Collected:
    """The collector that `generate_latest` expects."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
