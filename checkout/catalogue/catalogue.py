"""The catalogue of one process: what products there are, through two levels of cache, and what changes them.

get ──▶ memory (`cache.py`) ──▶ Redis, if there is one (`shared_cache.py`) ──▶ the database (`store.py`)

follower: ten times a second the events after the last one ──▶ Redis ──▶ memory

What a search found is kept for `FRESH_S`, or until a product changes, and readers of one page share one search.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence

from checkout.catalogue.cache import FRESH_S, CacheSnapshot, ProductCache
from checkout.catalogue.product import Product, Stored
from checkout.catalogue.search import Found, Query, SearchIndex, without_text
from checkout.catalogue.shared_cache import SharedCache
from checkout.catalogue.store import ProductEvent, ProductStore, SaleSku
from checkout.clock import ClockMs

FOLLOW_EVERY_S = 0.1
EVENTS_AT_ONCE = 500
KEEP_ABSENT_S = 0.5
MOST_PAGES = 1_000
MOST_SKUS = 50_000


class Catalogue:
    """Products by id, by sale and by search. `follow` must run before the first read, and again and again."""

    def __init__(self, store: ProductStore, index: SearchIndex, shared: SharedCache | None, clock: ClockMs) -> None:
        self._store = store
        self._index = index
        self._shared = shared
        self._clock = clock
        self._cache = ProductCache(self._read)
        self._skus: OrderedDict[str, tuple[SaleSku | None, float]] = OrderedDict()
        self._pages: dict[Query, tuple[float, asyncio.Future[Found]]] = {}
        self._seq = -1

    async def get(self, product: str) -> Stored | None:
        """Return a product as it was at most a second ago, or None. Raises `StoreError`."""
        return await self._cache.get(product)

    async def read(self, product: str) -> Stored | None:
        """Return a product as it is now, as a checkout must read it. Raises `StoreError`."""
        stored = await self._store.read(product)
        if stored is not None:
            self._cache.put(stored)
        return stored

    async def sku_of(self, sale: str) -> SaleSku | None:
        """Return which SKU sells the units of a sale. It never changes, so it is read once. Raises `StoreError`."""
        found = self._skus.get(sale)
        now_s = time.monotonic()
        if found is not None and (found[0] is not None or now_s < found[1]):
            return found[0]
        sold = await self._store.sku_of(sale)
        self._skus[sale] = sold, now_s + KEEP_ABSENT_S
        if len(self._skus) > MOST_SKUS:
            self._skus.popitem(last=False)
        return sold

    async def search(self, query: Query) -> tuple[list[Stored], str, str]:
        """Return products, the cursor of the next page (or empty), and the corrected text (or empty).

        Raises `StoreError`.
        """
        query = without_text(query)
        found = await self._found(query)
        products = [stored for key in found.keys if (stored := await self.get(key.id)) is not None]
        is_full = len(found.keys) == query.limit
        return products, found.keys[-1].encode(query.sort) if is_full else "", found.corrected

    async def put(self, product: Product, actor: str, expected: int | None = None) -> Stored:
        """Create or change a product. Raises `Conflict` and `StoreError`."""
        return await self._written(await self._store.put(product, actor, self._clock(), expected))

    async def retire(self, product: str, actor: str) -> Stored | None:
        """Take a product out of the catalogue; None if there is no such product. Raises `Conflict`, `StoreError`."""
        stored = await self._store.retire(product, actor, self._clock())
        return await self._written(stored) if stored else None

    async def events(self, after: int, limit: int) -> list[ProductEvent]:
        """Return the changes after this number, in order. Raises `StoreError`."""
        return await self._store.events(after, limit)

    async def follow(self) -> None:
        """Apply the events since the last call to both caches. Raises `StoreError`."""
        asked_s = time.monotonic()
        known = await self._shared.seq() if self._shared is not None else None
        last_seq = await self._store.last_seq()
        if self._seq < 0 or last_seq < self._seq:
            self._cache.forget()
            self._seq = last_seq
        events = await self._store.events(self._seq, EVENTS_AT_ONCE) if last_seq > self._seq else []
        if self._shared is not None and known is not None:
            await self._feed(self._shared, known, last_seq, events, asked_s)
        self._cache.follow(events, asked_s if len(events) < EVENTS_AT_ONCE else float("-inf"))
        if events:
            self._seq = events[-1].seq
            self._pages.clear()

    async def _feed(
        self, shared: SharedCache, known: int, last_seq: int, events: Sequence[ProductEvent], asked_s: float
    ) -> None:
        """Send Redis the events that it lacks: the new ones, and those that it has lost or was never told.

        known: the last event in Redis, read before `last_seq`. events: those after the last one that memory has.
        """
        if known > last_seq:
            await shared.forget()
            return
        if known != self._seq:
            events = await self._store.events(known, EVENTS_AT_ONCE) if last_seq > known else []
        seq = max([last_seq, *(event.seq for event in events)]) if len(events) < EVENTS_AT_ONCE else events[-1].seq
        age_s = time.monotonic() - asked_s if len(events) < EVENTS_AT_ONCE else float("inf")
        await shared.feed(known, seq, [event.stored for event in events], age_s)

    def snapshot(self) -> CacheSnapshot:
        return self._cache.snapshot()

    async def _found(self, query: Query) -> Found:
        """Search, or return what the same search found a moment ago."""
        now_s = time.monotonic()
        kept = self._pages.get(query)
        if kept is not None and now_s - kept[0] < FRESH_S:
            return await asyncio.shield(kept[1])
        if len(self._pages) >= MOST_PAGES:
            self._pages.clear()
        found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._pages[query] = now_s, found
        try:
            found.set_result(await self._index.search(query))
        except BaseException as error:
            self._pages.pop(query, None)
            found.set_exception(error if isinstance(error, Exception) else ConnectionError("search was cancelled"))
            # Readers that share this search get the error. Without them asyncio must not warn that nobody did.
            found.exception()
            raise
        return found.result()

    async def _written(self, stored: Stored) -> Stored:
        self._pages.clear()
        self._cache.put(stored)
        if self._shared is not None:
            await self._shared.put(stored)
        return stored

    async def _read(self, product: str, version: int) -> Stored | None:
        """Read for the first level: from Redis if it has this version at least, else from the database."""
        if self._shared is not None:
            stored = await self._shared.get(product)
            if stored is not None and stored.version >= version:
                return stored
        stored = await self._store.read(product)
        if stored is not None and self._shared is not None:
            await self._shared.put(stored)
        return stored
