"""The catalogue, the cart and its checkout for visitors. Every step is a link or a form and works without scripts.

    GET /products ──▶ GET /products/ID ──▶ POST /cart/lines ──▶ GET /cart ──▶ GET  /cart/checkout
                                             POST /cart/lines/SKU              POST /cart/checkout ──▶ GET /purchases/ID

A cart with units of the sale behind the line is checked out at `/checkout/cart`, which is inside of the line's room.
"""

import secrets
from dataclasses import replace

from aiohttp import web

from checkout import bodies, responses
from checkout import pages as shop_pages
from checkout.availability import Availability
from checkout.cashier import Sold
from checkout.catalogue import pages
from checkout.catalogue.cart_checkout import Bought, NotTaken
from checkout.catalogue.cart_responses import not_bought
from checkout.catalogue.carts import MOST_UNITS
from checkout.catalogue.catalogue import Catalogue
from checkout.catalogue.picture import picture
from checkout.catalogue.product import Sku
from checkout.catalogue.queries import cents, query_of
from checkout.catalogue.visitor_carts import CHECKOUT, LINE_CHECKOUT, Carts
from checkout.clock import ClockMs
from checkout.concurrency_limit import ConcurrencyLimit, Overloaded
from checkout.errors import BadRequest, Conflict
from checkout.identity import KEY, Visitor
from checkout.inventory import Inventory
from checkout.sale_list import SaleList

ROWS = 24


class Shopping:
    """The pages of the catalogue and the cart."""

    def __init__(
        self,
        catalogue: Catalogue,
        carts: Carts,
        sales: SaleList,
        availability: Availability,
        limit: ConcurrencyLimit,
        inventory: Inventory,
        line_sale: str,
        clock: ClockMs,
    ) -> None:
        self._catalogue = catalogue
        self._carts = carts
        self._sales = sales
        self._availability = availability
        self._limit = limit
        self._inventory = inventory
        self._line_sale = line_sale
        self._clock = clock

    def add_to(self, app: web.Application) -> None:
        router = app.router
        router.add_get("/products", self.list_products)
        router.add_get("/products/{product}", self.show_product)
        router.add_get("/pictures/{name}.svg", self.show_picture)
        router.add_get("/cart", self.show_cart)
        router.add_post("/cart/lines", self.add_line)
        router.add_post("/cart/lines/{sku}", self.change_line)
        for path in (CHECKOUT, LINE_CHECKOUT):
            router.add_get(path, self.show_checkout)
            router.add_post(path, self.check_out)
        router.add_get("/purchases/{purchase}", self.show_purchase)

    async def list_products(self, request: web.Request) -> web.Response:
        fields = {name: value for name, value in request.query.items() if value and name != "after"}
        query = query_of(request.query, limit=ROWS)
        if (least := cents(fields.get("from", ""), "from")) is not None:
            query = replace(query, least_cents=least)
        if (most := cents(fields.get("to", ""), "to")) is not None:
            query = replace(query, most_cents=most)
        found, after, corrected = await self._catalogue.search(query)
        shown: dict[str, str] = {name: fields[name] for name in ("q", "category", "from", "to") if name in fields}
        return responses.page(pages.products(pages.ResultPage(found, after, corrected, {**shown, "sort": query.sort})))

    async def show_product(self, request: web.Request) -> web.Response:
        stored = await self._catalogue.get(request.match_info["product"])
        if stored is None:
            text = "There is no product with this name."
            return responses.page(shop_pages.notice("No such product", text, "/products", "Show the products"), 404)
        shown_skus = [await self._shown_sku(sku) for sku in stored.product.live_skus()]
        html = pages.product(stored, shown_skus, self._line_sale, self._clock())
        return responses.page(html, 410 if not shown_skus else 200)

    async def show_picture(self, request: web.Request) -> web.Response:
        headers = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
        headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        return web.Response(
            text=picture(request.match_info["name"]), content_type="image/svg+xml", charset="utf-8", headers=headers
        )

    async def show_cart(self, request: web.Request) -> web.Response:
        review = await self._carts.review(request)
        return responses.page(pages.cart(review, self._carts.path(review)))

    async def add_line(self, request: web.Request) -> web.Response:
        """Add units, and keep the cart in a cookie."""
        form = await bodies.fields(request)
        return await self._put(request, form.get("product", ""), form.get("sku", ""), _units(form, "1"), adds=True)

    async def change_line(self, request: web.Request) -> web.Response:
        """Set the units of a line; 0 removes it."""
        sku, units = request.match_info["sku"], _units(await bodies.fields(request), "0")
        lines = await self._carts.store.lines(self._carts.of(request)) if self._carts.of(request) else []
        line = next((line for line in lines if line.sku == sku), None)
        if line is None:
            return _see("/cart")
        return await self._put(request, line.product, sku, units, adds=False)

    async def show_checkout(self, request: web.Request) -> web.Response:
        review = await self._carts.review(request)
        path = self._carts.path(review)
        if request.path != path:
            return _see(path)
        if not review.lines or any(each.sku is None for each in review.lines):
            return responses.page(pages.cart(review, path))
        response = responses.page(pages.checkout(review, path, secrets.token_hex(16)))
        return Visitor(request).with_cookie(await self._with_stock(request, response))

    async def check_out(self, request: web.Request) -> web.Response:
        """Hold and pay for every unit of the cart, as one purchase of the concurrency limit."""
        visitor, form = Visitor(request), await bodies.fields(request)
        key = request.headers.get("Idempotency-Key") or form.get("key", "")
        cart, review = self._carts.of(request), await self._carts.review(request)
        if not KEY.fullmatch(key):
            raise BadRequest("key: expected the key of the form")
        if request.path == CHECKOUT and self._carts.path(review) == LINE_CHECKOUT:
            return _see(LINE_CHECKOUT)
        try:
            async with self._limit.enter():
                checkout = self._carts.checkout
                result = await checkout.buy(cart, visitor.user, key, form.get("card", ""), form.get("agreement", ""))
            response = self._result(request, result)
        except Overloaded:
            response = responses.overloaded(request)
        except Conflict as error:
            again = await self._carts.review(request)
            response = responses.page(pages.cart(again, self._carts.path(again), str(error)), 409)
        return visitor.with_cookie(await self._with_stock(request, response))

    async def show_purchase(self, request: web.Request) -> web.Response:
        bought = await self._carts.checkout.find(request.match_info["purchase"])
        if bought is None:
            notice = shop_pages.notice("No such purchase", "There is no purchase with this number.")
            return responses.page(notice, 404)
        holds = [await self._inventory.find(line.hold) for line in bought.lines]
        return responses.page(pages.purchase(bought, holds))

    # -- steps of the handlers ------------------------------------------------------------------------------------

    async def _shown_sku(self, sku: Sku) -> pages.ShownSku:
        sale = await self._sales.find(sku.sale)
        return pages.ShownSku(sku, sale, await self._availability.get(sku.sale) if sale else None)

    async def _put(self, request: web.Request, product: str, sku: str, units: int, *, adds: bool) -> web.Response:
        try:
            cart = await self._carts.put(request, product, sku, units, adds=adds)
        except Conflict as error:
            review = await self._carts.review(request)
            return responses.page(pages.cart(review, self._carts.path(review), str(error)), 409)
        return self._carts.keep(_see("/cart"), cart)

    def _result(self, request: web.Request, result: Bought | NotTaken) -> web.Response:
        response = not_bought(request, result)
        if isinstance(result, NotTaken):
            assert response is not None  # a refused purchase has a response
            if result.line.sale == self._line_sale:
                responses.add_stock_headers(response, result.outcome.stock)
            return response
        response = response or _see(f"/purchases/{result.purchase.id}")
        for line, receipt in zip(result.purchase.lines, result.receipts, strict=True):
            if isinstance(receipt, Sold) and line.sale == self._line_sale:
                responses.add_stock_headers(response, receipt.stock, is_complete=True)
        return response

    async def _with_stock(self, request: web.Request, response: web.Response) -> web.Response:
        """Add the stock of the sale behind the line to what is answered inside of its room."""
        if request.path == LINE_CHECKOUT and "Stanchion-Stock" not in response.headers:
            stock = await self._availability.get(self._line_sale)
            if stock is not None:
                responses.add_stock_headers(response, stock)
        return response


def _units(form: dict[str, str], default: str) -> int:
    text = form.get("units", default)
    if not text.isascii() or not text.isdecimal() or len(text) > 3 or int(text) > MOST_UNITS:
        raise BadRequest(f"units: expected a whole number from 0 to {MOST_UNITS}")
    return int(text)


def _see(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})
