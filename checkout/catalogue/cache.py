"""Products as visitors read them: from this process's memory, never older than one second.

    put        by this process                                       at once
    follower   reads all events ten times a second (`follow`)        after 0.1 s and the network's delay
    read       when neither is fresh: from Redis, then the database  one at a time for all readers (single flight)

A cached product is used while the follower is alive, that is, while its last complete reading began less than
`FRESH_S` ago: then no event about the product can have passed unseen. If the follower stops, each product is read again
every `FRESH_S`. So no lost message can make a product older.

The higher version wins, whatever comes last. A reading that began before an event ends after it with the older product,
so the versions of recent events are remembered (`_recent`), and such a reading is not kept.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from checkout.catalogue.product import Stored
from checkout.catalogue.store import ProductEvent

FRESH_S = 0.5
MOST_PRODUCTS = 50_000
RECENT = 10_000
"""Versions that are remembered: 200 s of 50 changes a second, far more than a reading takes."""


class _Cached(NamedTuple):
    stored: Stored | None
    asked_s: float

    @property
    def version(self) -> int:
        return self.stored.version if self.stored else 0


@dataclass(frozen=True, slots=True)
class CacheSnapshot:
    hits: int
    reads: int
    shared: int
    size: int


class ProductCache:
    """A cache of products in front of `read`."""

    def __init__(
        self,
        read: Callable[[str, int], Awaitable[Stored | None]],
        *,
        most: int = MOST_PRODUCTS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """read(product, version): return the product, not older than this version."""
        self._read = read
        self._most = most
        self._monotonic = monotonic
        self._cached: OrderedDict[str, _Cached] = OrderedDict()
        self._recent: OrderedDict[str, int] = OrderedDict()
        self._reading: dict[str, asyncio.Future[Stored | None]] = {}
        self._followed_s = float("-inf")
        self._hits = self._reads = self._shared = 0

    async def get(self, product: str) -> Stored | None:
        """Return a product as it was at most a second ago, or None. Raises `StoreError` if it must be read."""
        cached = self._cached.get(product)
        if cached is not None and self._monotonic() - max(cached.asked_s, self._followed_s) < FRESH_S:
            self._hits += 1
            self._cached.move_to_end(product)
            return cached.stored
        if (reading := self._reading.get(product)) is not None:
            self._shared += 1
            return await asyncio.shield(reading)
        return await self._read_once(product)

    def put(self, stored: Stored) -> None:
        """Keep a product that was just written or read from the database."""
        self._remember(stored)
        self._keep_newer(stored.product.id, stored, self._monotonic())

    def follow(self, events: list[ProductEvent], asked_s: float) -> None:
        """Apply events. asked_s: when the reading began that had these and no more."""
        for event in events:
            product = event.stored.product.id
            self._remember(event.stored)
            if product in self._cached or product in self._reading:
                self._keep_newer(product, event.stored, asked_s)
        self._followed_s = max(asked_s, self._followed_s)

    def forget(self) -> None:
        """Drop all products, because the database was replaced."""
        self._cached.clear()
        self._recent.clear()

    def snapshot(self) -> CacheSnapshot:
        return CacheSnapshot(self._hits, self._reads, self._shared, len(self._cached))

    async def _read_once(self, product: str) -> Stored | None:
        reading = self._reading[product] = asyncio.get_running_loop().create_future()
        asked_s = self._monotonic()
        self._reads += 1
        try:
            stored = await self._read(product, self._recent.get(product, 0))
            stored = self._keep_newer(product, stored, asked_s)
            reading.set_result(stored)
        except BaseException as error:
            reading.set_exception(error if isinstance(error, Exception) else ConnectionError("read was cancelled"))
            # Readers that share this read get the error. Without them asyncio must not warn that nobody did.
            reading.exception()
            raise
        finally:
            del self._reading[product]
        return stored

    def _keep_newer(self, product: str, stored: Stored | None, asked_s: float) -> Stored | None:
        """Keep the newer of two, and return it. An older one than a recent event is returned and not kept."""
        version = stored.version if stored else 0
        cached = self._cached.get(product)
        if cached is not None and cached.version > version:
            return cached.stored
        if self._recent.get(product, 0) > version:
            return stored
        self._cached[product] = _Cached(stored, max(asked_s, cached.asked_s if cached else asked_s))
        self._cached.move_to_end(product)
        if len(self._cached) > self._most:
            self._cached.popitem(last=False)
        return stored

    def _remember(self, stored: Stored) -> None:
        product = stored.product.id
        self._recent[product] = max(stored.version, self._recent.pop(product, 0))
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
