"""What is left, for everybody who only looks: answered from this process's memory, never older than a second.

Three ways in, one rule: the numbers with the higher version win. So once this node has seen "sold out", a
slow read or a late message from before cannot make it say "available" again; only something that happened
later can.

    outcomes   of this node's own decisions          at once
    messages   of other nodes' decisions (Redis)     within a network's delay
    a read     when what is known is `fresh_s` old   one at a time, however many ask (single flight)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from checkout.values import Stock

FRESH_S = 0.5  # half of the promised second; the other half is the read's


class _Known(NamedTuple):
    stock: Stock
    asked_s: float


@dataclass(frozen=True, slots=True)
class AvailabilitySnapshot:
    hits: int
    reads: int
    shared: int


class Availability:
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
        self._known: dict[str, _Known] = {}
        self._flights: dict[str, asyncio.Future[Stock | None]] = {}
        self._hits = self._reads = self._shared = 0

    async def get(self, sale: str) -> Stock | None:
        """The numbers of a sale; None: there is none of this name. Raises `StoreError` when they must be
        read and the store is away: stale numbers are not given out."""
        known = self._known.get(sale)
        if known is not None and self._monotonic() - known.asked_s < self._fresh_s:
            self._hits += 1
            return known.stock
        flight = self._flights.get(sale)
        if flight is not None:
            self._shared += 1
            return await asyncio.shield(flight)
        return await self._fly(sale)

    def seen(self, sale: str, stock: Stock) -> None:
        """Take in numbers that were true a moment ago."""
        self._take(sale, stock, self._monotonic())

    def snapshot(self) -> AvailabilitySnapshot:
        return AvailabilitySnapshot(self._hits, self._reads, self._shared)

    async def _fly(self, sale: str) -> Stock | None:
        flight = self._flights[sale] = asyncio.get_running_loop().create_future()
        asked_s = self._monotonic()
        self._reads += 1
        try:
            stock = await self._read(sale)
            if stock is not None:
                stock = self._take(sale, stock, asked_s)
            flight.set_result(stock)
        except BaseException as error:
            flight.set_exception(error if isinstance(error, Exception) else ConnectionError("read was cancelled"))
            flight.exception()  # those who shared the flight see it; nobody else has to
            raise
        finally:
            del self._flights[sale]
        return stock

    def _take(self, sale: str, stock: Stock, asked_s: float) -> Stock:
        known = self._known.get(sale)
        if known is not None and known.stock.version > stock.version:
            return known.stock
        self._known[sale] = _Known(stock, max(asked_s, known.asked_s if known else asked_s))
        return stock
