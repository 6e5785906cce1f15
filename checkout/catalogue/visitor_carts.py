"""From a request to the visitor's cart: a cookie that only this shop reads names it."""

from aiohttp import web

from checkout.catalogue.cart_checkout import CartCheckout, Review
from checkout.catalogue.carts import KEEP_DAYS, CartLine, CartStore, new_cart
from checkout.catalogue.catalogue import Catalogue
from checkout.clock import ClockMs
from checkout.errors import Conflict

COOKIE = "shop_cart"
CHECKOUT, LINE_CHECKOUT = "/cart/checkout", "/checkout/cart"


class Carts:
    """The carts of the visitors. The name of a cart is empty if the visitor has none."""

    def __init__(
        self, store: CartStore, catalogue: Catalogue, checkout: CartCheckout, line_sale: str, clock: ClockMs
    ) -> None:
        """line_sale: the sale behind the line. Its units are checked out inside of the line's room."""
        self._clock = clock
        self.store = store
        self.checkout = checkout
        self._catalogue = catalogue
        self._line_sale = line_sale

    @staticmethod
    def of(request: web.Request) -> str:
        cart = request.cookies.get(COOKIE, "")
        return cart if len(cart) == 32 and cart.isalnum() and cart.isascii() else ""

    async def review(self, request: web.Request) -> Review:
        cart = self.of(request)
        return await self.checkout.review(cart) if cart else Review([])

    async def put(self, request: web.Request, product: str, sku_id: str, units: int, *, adds: bool) -> str:
        """Set or add units, and return the name of the cart. Raises `BadRequest`, `Conflict`."""
        stored = await self._catalogue.get(product)
        sku = stored.product.sku(sku_id) if stored else None
        if sku is None and (adds or units):
            raise Conflict("not-sold", "Not sold any more", "There is no such product, or it is not sold any more.")
        cart = self.of(request) or new_cart()
        price_cents = sku.price_cents if sku else 0
        await self.store.put(cart, CartLine(sku_id, product, units, price_cents, self._clock()), adds=adds)
        return cart

    def path(self, review: Review) -> str:
        """Return where this cart is checked out."""
        return LINE_CHECKOUT if self._line_sale in review.sales() else CHECKOUT

    @staticmethod
    def keep(response: web.Response, cart: str) -> web.Response:
        response.set_cookie(COOKIE, cart, max_age=KEEP_DAYS * 86_400, httponly=True, samesite="Lax", path="/")
        return response

    async def log_in(self, request: web.Request, response: web.Response, buyer: str) -> None:
        """Move the browser's cart into the buyer's, and let the browser use that one from now on."""
        target = await self.store.cart_of(buyer)
        if source := self.of(request):
            await self.store.move(source, target)
        self.keep(response, target)
