"""The numbers of a sale for all readers: from this process's memory, never older than one second.

Numbers arrive in three ways, and the numbers with the higher version win. So once this node has seen "sold out", a slow
read or a late message from before cannot make it say "available" again; only a later event can.

    outcomes   of this node's own decisions            at once
    messages   about other nodes' decisions (Redis)    after the network's delay
    a read     when the numbers are `fresh_s` old      one at a time for all readers (single flight)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from checkout.values import Stock

FRESH_S = 0.5  # half of the promised second; the read may take the other half


class _Cached(NamedTuple):
    stock: Stock
    asked_s: float


@dataclass(frozen=True, slots=True)
class AvailabilitySnapshot:
    hits: int
    reads: int
    shared: int


class Availability:
    """A cache of stock numbers in front of `read`."""

    def __init__(
        self,
        read: Callable[[str], Awaitable[Stock | None]],
        *,
        fresh_s: float = FRESH_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._fresh_s = fresh_s
        self._monotonic = monotonic
        self._cache: dict[str, _Cached] = {}
        self._reading: dict[str, asyncio.Future[Stock | None]] = {}
        self._hits = self._reads = self._shared = 0

    async def get(self, sale: str) -> Stock | None:
        """Return the numbers of a sale, or None if there is no such sale.

        Raises `StoreError` if the numbers must be read and the store does not answer: old numbers are not used.
        """
        cached = self._cache.get(sale)
        if cached is not None and self._monotonic() - cached.asked_s < self._fresh_s:
            self._hits += 1
            return cached.stock
        reading = self._reading.get(sale)
        if reading is not None:
            self._shared += 1
            return await asyncio.shield(reading)
        return await self._read_once(sale)

    def update(self, sale: str, stock: Stock) -> None:
        """Store numbers that were true a moment ago."""
        self._keep_newer(sale, stock, self._monotonic())

    def forget(self) -> None:
        """Drop all numbers, because the store is in doubt. The next reader asks the store."""
        self._cache.clear()

    def snapshot(self) -> AvailabilitySnapshot:
        return AvailabilitySnapshot(self._hits, self._reads, self._shared)

    async def _read_once(self, sale: str) -> Stock | None:
        reading = self._reading[sale] = asyncio.get_running_loop().create_future()
        asked_s = self._monotonic()
        self._reads += 1
        try:
            stock = await self._read(sale)
            if stock is not None:
                stock = self._keep_newer(sale, stock, asked_s)
            reading.set_result(stock)
        except BaseException as error:
            reading.set_exception(error if isinstance(error, Exception) else ConnectionError("read was cancelled"))
            # Readers that share this read get the error. Without them asyncio must not warn that nobody did.
            reading.exception()
            raise
        finally:
            del self._reading[sale]
        return stock

    def _keep_newer(self, sale: str, stock: Stock, asked_s: float) -> Stock:
        cached = self._cache.get(sale)
        if cached is not None and cached.stock.version > stock.version:
            return cached.stock
        self._cache[sale] = _Cached(stock, max(asked_s, cached.asked_s if cached else asked_s))
        return stock
