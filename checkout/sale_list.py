"""The list of sales. The terms of a sale never change, so each sale is read from the store once.

A name without a sale is asked for again after `ABSENT_S`, so that a page about a sale that will be opened later does
not read the store for each of its visitors.
"""

import time

from checkout.engines.engine import Engine
from checkout.values import Sale, Stock

ABSENT_S = 0.5
MOST_ABSENT = 10_000


class SaleList:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._cache: dict[str, Sale] = {}
        self._absent: dict[str, float] = {}

    async def find(self, sale_id: str) -> Sale | None:
        """Return the terms of a sale, or None if there is no such sale. Raises `StoreError`."""
        found = self._cache.get(sale_id)
        now_s = time.monotonic()
        if found is None and self._absent.get(sale_id, 0.0) <= now_s:
            await self.all()
            found = self._cache.get(sale_id)
            if found is None:
                if len(self._absent) >= MOST_ABSENT:
                    self._absent.clear()
                self._absent[sale_id] = now_s + ABSENT_S
        return found

    def add(self, sale: Sale) -> None:
        """Take a sale that this process has opened."""
        self._cache[sale.id] = sale

    async def all(self) -> list[tuple[Sale, Stock]]:
        """Return all sales with their numbers. Raises `StoreError`."""
        sales = await self._engine.sales()
        self._cache.update((sale.id, sale) for sale, _ in sales)
        return sales
