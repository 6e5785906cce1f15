"""The cart for programs. The cart is named by the cookie `shop_cart`, which the first change of a new cart sets."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from checkout import bodies, responses
from checkout.cashier import NotPaid, Receipt, Sold, TooLate
from checkout.catalogue.cart_checkout import Bought, NotTaken, Review, ReviewLine, title_of
from checkout.catalogue.cart_responses import not_bought
from checkout.catalogue.carts import MOST_UNITS
from checkout.catalogue.visitor_carts import Carts
from checkout.concurrency_limit import ConcurrencyLimit, Overloaded
from checkout.errors import BadRequest
from checkout.gateway import NoAnswer
from checkout.identity import Visitor, idempotency_key
from checkout.inventory import Inventory
from checkout.values import State


class CartApi:
    """The handlers below `/api/cart` and `/api/purchases`."""

    def __init__(self, carts: Carts, limit: ConcurrencyLimit, inventory: Inventory) -> None:
        self._carts = carts
        self._limit = limit
        self._inventory = inventory

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/api/cart", self.show)
        app.router.add_put("/api/cart/lines/{sku}", self.put)
        app.router.add_post("/api/cart/checkout", self.check_out)
        app.router.add_get("/api/purchases/{purchase}", self.show_purchase)

    async def show(self, request: web.Request) -> web.Response:
        return responses.document(_cart(await self._carts.review(request)))

    async def put(self, request: web.Request) -> web.Response:
        """Set the units of a SKU; 0 removes its line."""
        body = await bodies.json_object(request)
        product, units = body.get("product"), body.get("units")
        if type(units) is float and units.is_integer():
            units = int(units)
        if not isinstance(product, str) or not product:
            raise BadRequest("product: expected the id of the product of this SKU")
        if type(units) is not int or not 0 <= units <= MOST_UNITS:
            raise BadRequest(f"units: expected a whole number from 0 to {MOST_UNITS}")
        cart = await self._carts.put(request, product, request.match_info["sku"], units, adds=False)
        review = await self._carts.checkout.review(cart)
        return self._carts.keep(responses.document(_cart(review)), cart)

    async def check_out(self, request: web.Request) -> web.Response:
        visitor = Visitor(request)
        key = idempotency_key(request)
        body = await bodies.json_object(request)
        card, agreement = body.get("card"), body.get("agreement")
        if not isinstance(card, str) or not 1 <= len(card) <= 100:
            raise BadRequest("card: expected a text of 1 to 100 characters")
        if not isinstance(agreement, str):
            raise BadRequest("agreement: expected the `agreement` of the cart that the buyer has seen")
        try:
            async with self._limit.enter():
                result = await self._carts.checkout.buy(self._carts.of(request), visitor.user, key, card, agreement)
        except Overloaded:
            return responses.overloaded(request)
        response = not_bought(request, result)
        if response is None and isinstance(result, Bought):
            response = _bought(result)
        assert response is not None  # a purchase that was refused has a response
        if isinstance(result, NotTaken):
            responses.add_stock_headers(response, result.outcome.stock)
        return visitor.with_cookie(response)

    async def show_purchase(self, request: web.Request) -> web.Response:
        bought = await self._carts.checkout.find(request.match_info["purchase"])
        if bought is None:
            title = "No such purchase"
            return responses.problem(404, "unknown-purchase", title, "There is no purchase with this number.")
        holds = [await self._inventory.find(line.hold) for line in bought.lines]
        states = [hold.state if hold else None for hold in holds]
        return responses.document(_purchase(bought.id, bought.lines, states))


def _cart(review: Review) -> dict[str, Any]:
    return {
        "lines": [_line(each) for each in review.lines],
        "totals": review.totals,
        "agreement": review.agreement,
    }


def _line(each: ReviewLine) -> dict[str, Any]:
    row: dict[str, Any] = {
        "sku": each.line.sku,
        "product": each.line.product,
        "units": each.line.units,
        "seen_price_cents": each.line.price_cents,
        "is_sold": each.sku is not None,
    }
    if each.sku is not None and each.stored is not None:
        row |= {
            "title": title_of(each.stored, each.sku),
            "price_cents": each.sku.price_cents,
            "currency": each.stored.product.currency,
            "sale": each.sku.sale,
        }
    return row


def _purchase(name: str, lines: list[Any], states: Sequence[str | None]) -> dict[str, Any]:
    rows = [{**line._asdict(), "state": state or "none"} for line, state in zip(lines, states, strict=True)]
    return {"purchase": name, "url": f"/purchases/{name}", "lines": rows}


def _bought(result: Bought) -> web.Response:
    states = [_state(receipt) for receipt in result.receipts]
    return responses.document(_purchase(result.purchase.id, result.purchase.lines, states), 201)


def _state(receipt: Receipt | NoAnswer) -> str:
    """Return the state of a unit after its payment. A payment without an answer is in progress."""
    if isinstance(receipt, Sold | NotPaid | TooLate):
        return receipt.hold.state
    return State.PAYING
