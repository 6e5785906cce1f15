"""The sales there are. A sale's terms never change, so what was read once is known for good."""

from checkout.engines.engine import Engine
from checkout.values import Sale, Stock


class Catalogue:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, Sale] = {}

    async def find(self, sale_id: str) -> Sale | None:
        """The terms of a sale. Raises `StoreError`."""
        if sale_id not in self._known:
            await self.all()
        return self._known.get(sale_id)

    async def all(self) -> list[tuple[Sale, Stock]]:
        """All sales with their numbers. Raises `StoreError`."""
        sales = await self._engine.sales()
        self._known.update((sale.id, sale) for sale, _ in sales)
        return sales
