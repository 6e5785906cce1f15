"""Fill an empty catalogue at the first start from a file: products, and sales for those SKUs that name a stock.

    products:
      - id: cup
        title: Cup
        skus: [{id: cup, title: One size, price_cents: 1200, sale: cup, stock: 40}]

A product that exists already stays as it is, so the file is read at every start and changes nothing later.
"""

import asyncio
from pathlib import Path
from typing import Any

from checkout.catalogue.catalogue import Catalogue
from checkout.catalogue.product import Product, Sku, product_of
from checkout.errors import BadRequest, ConfigurationError
from checkout.inventory import Inventory
from checkout.settings import read
from checkout.values import Sale

ACTOR = "first start"
SALE_TERMS = {"stock": 0, "hold_seconds": 120, "per_user": 20}


def read_products(path: Path) -> tuple[list[Product], list[Sale]]:
    """Return the products of a file, and the sales that it asks for. Raises `ConfigurationError`."""
    products, sales = [], []
    rows = read(path).get("products")
    if not isinstance(rows, list):
        raise ConfigurationError(f"{path}: expected a list of products under `products`")
    for number, row in enumerate(rows):
        try:
            product, terms = _split(row)
        except (BadRequest, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{path}: products.{number}: {error}") from error
        products.append(product)
        sales += [_sale(path, product, sku, SALE_TERMS | terms[sku.id]) for sku in product.skus if terms[sku.id]]
    return products, sales


async def seed(path: Path, catalogue: Catalogue, inventory: Inventory) -> None:
    """Create what the file names and does not exist yet. Raises `ConfigurationError`, `Conflict`, `StoreError`."""
    products, sales = await asyncio.to_thread(read_products, path)
    known = {sale.id for sale, _ in await inventory.engine.sales()}
    await asyncio.gather(*(inventory.open(sale, ACTOR) for sale in sales if sale.id not in known))
    for product in products:
        if await catalogue.read(product.id) is None:
            await catalogue.put(product, ACTOR, expected=0)


def _split(row: dict[str, Any]) -> tuple[Product, dict[str, dict[str, Any]]]:
    """Return the product, and the terms of the sale of each SKU by its id."""
    terms: dict[str, dict[str, Any]] = {}
    skus = []
    for sku in row.get("skus", []):
        terms[sku.get("id", "")] = {name: sku[name] for name in SALE_TERMS if name in sku}
        skus.append({name: value for name, value in sku.items() if name not in SALE_TERMS})
    return product_of({**row, "skus": skus}), terms


def _sale(path: Path, product: Product, sku: Sku, terms: dict[str, Any]) -> Sale:
    for name, value in terms.items():
        if type(value) is not int or value < 0:
            raise ConfigurationError(f"{path}: {product.id}: {name}: expected a whole number, got {value!r}")
    title = product.title if len(product.skus) == 1 else f"{product.title}, {sku.title}"
    hold_ms = terms["hold_seconds"] * 1000
    return Sale(sku.sale, title, terms["stock"], sku.price_cents, product.currency, 0, 0, hold_ms, terms["per_user"])
