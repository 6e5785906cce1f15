"""Connect the catalogue, the carts and their checkout with the parts of a shop that sell."""

from typing import NamedTuple

from aiohttp import web

from checkout.availability import Availability
from checkout.cashier import Cashier
from checkout.catalogue.cart_api import CartApi
from checkout.catalogue.cart_checkout import CartCheckout
from checkout.catalogue.opening import CatalogueParts
from checkout.catalogue.products_api import ProductsApi
from checkout.catalogue.shopping import Shopping
from checkout.catalogue.visitor_carts import Carts
from checkout.clock import wall_ms
from checkout.concurrency_limit import ConcurrencyLimit
from checkout.inventory import Inventory
from checkout.sale_list import SaleList


class Selling(NamedTuple):
    """The parts of a shop that sell units."""

    inventory: Inventory
    cashier: Cashier
    availability: Availability
    limit: ConcurrencyLimit
    sales: SaleList


def add_catalogue(
    app: web.Application, parts: CatalogueParts, selling: Selling, line_sale: str, operator_token: str
) -> Carts:
    """Add the pages and the API of the catalogue and the carts. Return the carts."""
    inventory, cashier, availability, limit, sales = selling
    catalogue = parts.catalogue
    checkout = CartCheckout(catalogue, parts.carts, parts.purchases, inventory, cashier, sales, wall_ms)
    carts = Carts(parts.carts, catalogue, checkout, line_sale, wall_ms)
    ProductsApi(catalogue, sales, line_sale, operator_token).add_to(app)
    CartApi(carts, limit, inventory).add_to(app)
    Shopping(catalogue, carts, sales, availability, limit, inventory, line_sale, wall_ms).add_to(app)
    return carts
