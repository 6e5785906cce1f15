"""The price of a held unit: the one that its purchase agreed to, else the SKU's current one, else that of the sale.

The price of the sale behind the line is fixed (`products_api.py`), so all its buyers pay the terms of the sale.
"""

from checkout.catalogue.catalogue import Catalogue
from checkout.catalogue.purchases import PurchaseStore, is_of_cart
from checkout.sale_list import SaleList
from checkout.values import Hold, Sale


class Prices:
    def __init__(self, sales: SaleList, catalogue: Catalogue, purchases: PurchaseStore, line_sale: str) -> None:
        self._sales = sales
        self._catalogue = catalogue
        self._purchases = purchases
        self._line_sale = line_sale

    async def terms(self, hold: Hold) -> Sale | None:
        """Return the terms of the sale with the price of this unit, or None without a sale. Raises `StoreError`."""
        sale = await self._sales.find(hold.sale)
        if sale is None:
            return None
        if is_of_cart(hold.id) and (line := await self._purchases.line(hold.id)) is not None:
            return sale._replace(title=line.title, price_cents=line.price_cents, currency=line.currency)
        if sale.id == self._line_sale:
            return sale
        sold = await self._catalogue.sku_of(sale.id)
        stored = await self._catalogue.get(sold.product) if sold else None
        if stored is None or sold is None:
            return sale
        sku = next(sku for sku in stored.product.skus if sku.id == sold.sku)
        return sale._replace(price_cents=sku.price_cents, currency=stored.product.currency)
