"""The list of sales. The terms of a sale never change, so each sale is read from the store once."""

from checkout.engines.engine import Engine
from checkout.values import Sale, Stock


class SaleList:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._cache: dict[str, Sale] = {}

    async def find(self, sale_id: str) -> Sale | None:
        """Return the terms of a sale, or None if there is no such sale. Raises `StoreError`."""
        if sale_id not in self._cache:
            await self.all()
        return self._cache.get(sale_id)

    async def all(self) -> list[tuple[Sale, Stock]]:
        """Return all sales with their numbers. Raises `StoreError`."""
        sales = await self._engine.sales()
        self._cache.update((sale.id, sale) for sale, _ in sales)
        return sales
