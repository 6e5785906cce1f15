"""The catalogue for programs: read and search for everybody; create, change and retire for the operator."""

from typing import Any

from aiohttp import web

from checkout import bodies, responses
from checkout.catalogue.catalogue import Catalogue
from checkout.catalogue.product import Product, product_of
from checkout.catalogue.queries import query_of
from checkout.errors import BadRequest, Conflict
from checkout.identity import is_operator
from checkout.sale_list import SaleList

ROWS = 24
MOST_EVENTS = 500
READ_ONLY = ("made_ms", "changed_ms")
ACTOR = "operator"


class ProductsApi:
    """The handlers below `/api/products` and `/api/catalogue`."""

    def __init__(self, catalogue: Catalogue, sales: SaleList, line_sale: str, operator_token: str) -> None:
        """line_sale: the sale behind the line. Its price is fixed: all visitors of a line pay the same."""
        self._catalogue = catalogue
        self._sales = sales
        self._line_sale = line_sale
        self._operator_token = operator_token

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/api/products", self.search)
        app.router.add_get("/api/products/{product}", self.show)
        app.router.add_put("/api/products/{product}", self.put)
        app.router.add_delete("/api/products/{product}", self.retire)
        app.router.add_get("/api/catalogue/events", self.list_events)

    async def search(self, request: web.Request) -> web.Response:
        query = query_of(request.query, limit=ROWS)
        found, after, corrected = await self._catalogue.search(query)
        rows = [stored.document() for stored in found]
        return responses.document({"products": rows, "next": after, "corrected": corrected})

    async def show(self, request: web.Request) -> web.Response:
        """Return a product. A retired one is returned as well, because orders and carts name it."""
        stored = await self._catalogue.get(request.match_info["product"])
        return responses.document(stored.document()) if stored else unknown_product()

    async def put(self, request: web.Request) -> web.Response:
        if not is_operator(request, self._operator_token):
            return responses.unauthorized()
        body = await bodies.json_object(request)
        for name in READ_ONLY:
            _take_number(body, name)
        expected = _take_number(body, "version")
        if body.setdefault("id", request.match_info["product"]) != request.match_info["product"]:
            raise BadRequest("id: expected the id in the path")
        product = product_of(body)
        await self._check_price(product)
        is_new = await self._catalogue.read(product.id) is None
        stored = await self._catalogue.put(product, ACTOR, expected)
        return responses.document(stored.document(), 201 if is_new else 200)

    async def retire(self, request: web.Request) -> web.Response:
        """Take a product out of the catalogue. Repeated, it changes nothing."""
        if not is_operator(request, self._operator_token):
            return responses.unauthorized()
        stored = await self._catalogue.retire(request.match_info["product"], ACTOR)
        return responses.document(stored.document()) if stored else unknown_product()

    async def list_events(self, request: web.Request) -> web.Response:
        if not is_operator(request, self._operator_token):
            return responses.unauthorized()
        after = request.query.get("after", "0")
        if not after.isascii() or not after.isdecimal() or len(after) > 15:
            raise BadRequest("after: expected the number of an event")
        events = await self._catalogue.events(int(after), MOST_EVENTS)
        rows: list[Any] = [event.document() for event in events]
        return responses.document(rows)

    async def _check_price(self, product: Product) -> None:
        """Refuse another price for the units of the line: each of its visitors was promised the same one."""
        for sku in product.skus:
            if sku.sale == self._line_sale:
                sale = await self._sales.find(sku.sale)
                if sale is not None and (sale.price_cents, sale.currency) != (sku.price_cents, product.currency):
                    price = f"{sale.price_cents} cents {sale.currency}"
                    detail = f"SKU {sku.id!r} is sold by the sale behind the line. The price of that sale is {price}."
                    raise Conflict("price-fixed", "The price is fixed", detail)


def _take_number(body: dict[str, Any], name: str) -> int | None:
    if name not in body:
        return None
    value = body.pop(name)
    if type(value) is float and value.is_integer():
        value = int(value)  # 5.0 is a whole number in JSON
    if type(value) is not int or not 0 <= value < 2**53:
        raise BadRequest(f"{name}: expected a whole number, or leave it out")
    return value


def unknown_product() -> web.Response:
    return responses.problem(404, "unknown-product", "No such product", "There is no product with this name.")
