"""Open the catalogue that the settings name, and say what must run for it.

engine sqlite      SQLite, in `catalogue.path`, or beside the file of the stock
engine postgres    that PostgreSQL, or `catalogue.url`; with `catalogue.redis_url` also Redis
engine redis       the PostgreSQL of the orders, and that Redis
"""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack

from prometheus_client.core import CounterMetricFamily, Metric

from checkout.bus.bus import Bus, Message
from checkout.bus.opening import CATALOGUE
from checkout.bus.relay import Relay
from checkout.catalogue.carts import CartStore, SqlCarts
from checkout.catalogue.catalogue import FOLLOW_EVERY_S, Catalogue
from checkout.catalogue.database import Database
from checkout.catalogue.purchases import PurchaseStore
from checkout.catalogue.redis_carts import RedisCarts
from checkout.catalogue.search import SearchIndex
from checkout.catalogue.shared_cache import SharedCache
from checkout.catalogue.store import ProductStore
from checkout.clock import ClockMs
from checkout.expiry import repeat
from checkout.settings import ShopSettings

Units = Callable[[], dict[str, int]]
"""Returns the units that every sale has sold in seven days, without sales that have none."""
MEMORY = ":memory:"
FORGET_EVERY_S = 3600.0
SALES_7D_EVERY_S = 2.0


class SalesColumn:
    """Keeps the `sales_7d` that search sorts by. `step` writes the numbers that have changed, in one batch."""

    def __init__(self, store: ProductStore, units_7d: Units) -> None:
        self._store = store
        self._units_7d = units_7d
        self._written: dict[str, int] | None = None

    async def step(self) -> None:
        """Raises `StoreError`."""
        if self._written is None:
            self._written = await self._store.sales_7d()
        now = self._units_7d()
        changed = {sale: units for sale, units in now.items() if self._written.get(sale) != units}
        changed |= {sale: 0 for sale, units in self._written.items() if units and sale not in now}
        if changed:
            await self._store.set_sales_7d(changed)
            self._written |= changed


class CatalogueParts:
    """What belongs to one catalogue. `services` must run.

    units_7d: what sales have sold, for the order of search. bus: its topic `catalogue` gets every change.
    """

    def __init__(
        self, database: Database, index: SearchIndex, redis_url: str, clock: ClockMs, units_7d: Units, bus: Bus
    ) -> None:
        self.database = database
        self.redis_url = redis_url
        self.shared = SharedCache.open(redis_url) if redis_url else None
        self.store = ProductStore(database, index)
        self.catalogue = Catalogue(self.store, index, self.shared, clock)
        self.carts: CartStore = SqlCarts(database)
        if redis_url:
            self.carts = RedisCarts.open(redis_url)
        self.purchases = PurchaseStore(database)
        self._clock = clock
        self.relay = Relay(bus, CATALOGUE, self._changes)
        self._sales_column = SalesColumn(self.store, units_7d)

    async def metrics(self) -> list[Metric]:
        """Return how products were read since the start of this process."""
        counts = self.catalogue.snapshot()
        text = "Reads of products by the source of the answer"
        metric = CounterMetricFamily("shop_product_reads", text, labels=["source"])
        redis = self.shared.hits if self.shared else 0
        sources = {"memory": counts.hits, "redis": redis, "database": max(0, counts.reads - redis)}
        for source, count in (sources | {"shared_read": counts.shared}).items():
            metric.add_metric([source], count)
        return [metric]

    async def _changes(self, after: int, limit: int) -> list[Message]:
        events = await self.store.events(after, limit)
        return [Message.of(event.seq, event.document()) for event in events]

    def services(self) -> list[Coroutine[None, None, None]]:
        return [
            self.relay.run(),
            repeat(self.catalogue.follow, FOLLOW_EVERY_S),
            repeat(self._sales_column.step, SALES_7D_EVERY_S),
            repeat(lambda: self.carts.forget(self._clock()), FORGET_EVERY_S),
        ]


async def open_catalogue(
    settings: ShopSettings, clock: ClockMs, units_7d: Units, bus: Bus, stack: AsyncExitStack
) -> CatalogueParts:
    """Open the catalogue. Its services must run already. Raises `StoreError`.

    A driver is imported only if the settings choose it. units_7d, bus: see `CatalogueParts`.
    """
    engine, chosen = settings.engine, settings.catalogue
    redis_url = chosen.redis_url or (engine.url if engine.kind == "redis" else "")
    url = chosen.url or {"postgres": engine.url, "redis": engine.orders_url}.get(engine.kind, "")
    database: Database
    index: SearchIndex
    if url and not chosen.path:
        from checkout.catalogue.postgres_database import PostgresDatabase
        from checkout.catalogue.postgres_search import PostgresSearch

        database = await PostgresDatabase.open(url)
        index = PostgresSearch(database)
    else:
        from checkout.catalogue.sqlite_database import SqliteDatabase
        from checkout.catalogue.sqlite_search import SqliteSearch

        beside = MEMORY if engine.path == MEMORY else f"{engine.path}.catalogue"
        database = await SqliteDatabase.open(chosen.path or beside)
        index = SqliteSearch(database)
    stack.push_async_callback(database.close)
    parts = CatalogueParts(database, index, redis_url, clock, units_7d, bus)
    if parts.shared is not None:
        stack.push_async_callback(parts.shared.close)
    stack.push_async_callback(parts.carts.close)
    await parts.catalogue.follow()
    return parts
