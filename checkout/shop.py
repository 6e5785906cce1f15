"""The pages of the shop for visitors: product, checkout, reservation, order. Every step works without scripts.

    GET /              GET /checkout ──▶ POST /checkout            buy in one step ──▶ GET /orders/ID
                             └─────────▶ POST /checkout/holds      reserve first
                                          GET  /checkout/holds/ID       the time left
                                          POST /checkout/holds/ID/pay ──▶ GET /orders/ID
                                          POST /checkout/holds/ID/cancel

The handlers only translate. The inventory and the cashier decide.
"""

import secrets
from dataclasses import asdict

from aiohttp import web

from checkout import bodies, pages, responses
from checkout.availability import Availability
from checkout.cashier import Cashier
from checkout.catalogue.prices import Prices
from checkout.clock import ClockMs
from checkout.concurrency_limit import ConcurrencyLimit, Overloaded
from checkout.errors import StockUnknown
from checkout.handlers import Handlers
from checkout.identity import Visitor, fingerprint
from checkout.inventory import Inventory
from checkout.values import LIVE, NOTHING, Done, Hold, Reason, Refused, Sale, State, Stock

CONTENT_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Shop(Handlers):
    """The pages of one sale."""

    def __init__(
        self,
        inventory: Inventory,
        cashier: Cashier,
        availability: Availability,
        limit: ConcurrencyLimit,
        prices: Prices,
        sale: Sale,
        clock: ClockMs,
        *,
        has_notices: bool = False,
    ) -> None:
        """has_notices: whether the shop can send messages to visitors (`notices/requests.py` has their page)."""
        super().__init__(inventory, cashier, availability, limit, prices)
        self._has_notices = has_notices
        self._sale = sale
        self._clock = clock

    def add_to(self, app: web.Application) -> None:
        router = app.router
        router.add_get("/", self.show_product)
        router.add_get("/checkout", self.show_checkout)
        router.add_post("/checkout", self.check_out)
        router.add_post("/checkout/holds", self.reserve)
        router.add_get("/checkout/holds/{hold}", self.show_hold)
        router.add_post("/checkout/holds/{hold}/pay", self.pay)
        router.add_post("/checkout/holds/{hold}/cancel", self.cancel)
        router.add_get("/orders/{id}", self.show_order)
        router.add_get("/assets/{name}", self.show_asset)
        router.add_get("/stock", self.show_stock)
        router.add_get("/health", self.show_health)
        router.add_get("/stats", self.show_stats)

    async def show_product(self, request: web.Request) -> web.Response:
        stock = await self._stock()
        if responses.wants_page(request):
            return responses.page(pages.product(self._sale, stock, self._clock()))
        terms = {"sale": self._sale.id, "title": self._sale.title, "price": pages.price(self._sale)}
        return responses.document({**terms, **stock._asdict()})

    async def show_checkout(self, request: web.Request) -> web.Response:
        stock = await self._stock()
        if stock.free == 0:
            if self._has_notices:
                link = "Tell me when a unit is free"
                response = responses.refusal(request, Reason.SOLD_OUT, href="/contact", link=link)
            else:
                response = responses.refusal(request, Reason.SOLD_OUT)
        elif responses.wants_page(request):
            response = responses.page(
                pages.checkout(self._sale, stock, secrets.token_hex(16), has_notices=self._has_notices)
            )
        else:
            terms = {"sale": self._sale.id, "price": pages.price(self._sale)}
            response = responses.document({**terms, "free": stock.free})
        responses.add_stock_headers(response, stock)
        return Visitor(request).with_cookie(response)

    async def check_out(self, request: web.Request) -> web.Response:
        """Reserve and pay in one step, as one purchase of the concurrency limit."""
        visitor = Visitor(request)
        try:
            form = await bodies.fields(request)
            async with self._limit.enter():
                response = await self._buy(request, visitor, form)
        except Overloaded:
            response = responses.overloaded(request)
        return visitor.with_cookie(await self._with_stock(response))

    async def reserve(self, request: web.Request) -> web.Response:
        visitor = Visitor(request)
        outcome = await self._take(request, visitor, await bodies.fields(request))
        if isinstance(outcome, Refused):
            response = responses.refusal(request, outcome.reason, outcome.hold)
        else:
            response = web.Response(status=303, headers={"Location": f"/checkout/holds/{outcome.id}"})
        return visitor.with_cookie(await self._with_stock(response))

    async def show_hold(self, request: web.Request) -> web.Response:
        hold = await self._own_hold(request)
        if hold is None:
            return responses.refusal(request, Reason.UNKNOWN_HOLD)
        if hold.state is State.SOLD:
            return web.Response(status=303, headers={"Location": f"/orders/{hold.id}"})
        left_ms = hold.ends_ms - self._clock()
        if hold.state not in LIVE or left_ms <= 0:
            return responses.refusal(request, Reason.ENDED, hold, href="/checkout", link="Try again")
        return responses.page(pages.hold(await self._terms(hold), hold, left_ms))

    async def pay(self, request: web.Request) -> web.Response:
        form = await bodies.fields(request)
        hold = await self._own_hold(request)
        if hold is None:
            return responses.refusal(request, Reason.UNKNOWN_HOLD)
        key = Visitor(request).scope_key(form.get("key", ""))
        digest = fingerprint("pay", hold.id, form.get("card", ""))
        try:
            async with self._limit.enter():
                response = await self._pay(request, await self._terms(hold), hold.id, form.get("card", ""), key, digest)
        except Overloaded:
            response = responses.overloaded(request)
        return await self._with_stock(response)

    async def show_order(self, request: web.Request) -> web.Response:
        hold = await self._inventory.find(request.match_info["id"])
        if hold is None or hold.state is not State.SOLD:
            return responses.refusal(request, Reason.UNKNOWN_HOLD)
        if responses.wants_page(request):
            return responses.page(pages.order(await self._terms(hold), hold))
        return responses.document({"order": hold.id, "sale": hold.sale, "state": hold.state})

    async def show_asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        kind = CONTENT_TYPES.get(name.rpartition(".")[2])
        body = pages.asset(name)
        if kind is None or body is None:
            return responses.problem(404, "not-found", "Not found", "There is no such file.")
        headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def show_stock(self, _request: web.Request) -> web.Response:
        """Return the stock, at most one second old. The edge polls this while no visitor is in the room."""
        stock = await self._stock()
        response = responses.document(stock._asdict())
        responses.add_stock_headers(response, stock)
        return response

    async def show_health(self, _request: web.Request) -> web.Response:
        """Return 200 if the store answers. If it does not, the middleware returns 503."""
        await self._inventory.engine.stock(self._sale.id)
        return responses.document({"status": "ok"})

    async def show_stats(self, _request: web.Request) -> web.Response:
        """Return the counts of the concurrency limit: they show whether the line protected the checkout."""
        stock = await self._inventory.stock(self._sale.id) or NOTHING
        counts = asdict(self._limit.snapshot())
        counts["refused_503"] = counts.pop("refused")
        units = {
            "orders": stock.sold,
            "stock_left": stock.free,
            "held": stock.held,
            "stock_total": stock.total,
        }
        return responses.document({**counts, **units, "availability": asdict(self._availability.snapshot())})

    # -- steps of the handlers ------------------------------------------------------------------------------------

    async def _stock(self) -> Stock:
        stock = await self._availability.get(self._sale.id)
        if stock is None:
            raise StockUnknown(f"the store does not have the sale {self._sale.id!r} any more")
        return stock

    async def _terms(self, hold: Hold) -> Sale:
        terms = await self._prices.terms(hold)
        if terms is None:
            raise StockUnknown(f"the store does not have the sale {hold.sale!r} any more")
        return terms

    async def _take(self, request: web.Request, visitor: Visitor, form: dict[str, str]) -> Hold | Refused:
        key = visitor.scope_key(request.headers.get("Idempotency-Key") or form.get("key", ""))
        digest = fingerprint(request.path, fields=form)
        outcome = await self._inventory.reserve(self._sale.id, visitor.user, secrets.token_hex(8), key, digest)
        if isinstance(outcome, Refused):
            return outcome
        assert outcome.hold is not None  # the outcome of a granted reservation contains its hold
        return outcome.hold

    async def _buy(self, request: web.Request, visitor: Visitor, form: dict[str, str]) -> web.Response:
        taken = await self._take(request, visitor, form)
        if isinstance(taken, Refused):
            return responses.refusal(request, taken.reason, taken.hold)
        key = request.headers.get("Idempotency-Key") or form.get("key", "")
        scoped = f"{visitor.scope_key(key)}/pay" if key else ""
        card = form.get("card", "")
        return await self._pay(request, self._sale, taken.id, card, scoped, fingerprint(fields=form))

    def _cancelled(self, _outcome: Done) -> web.Response:
        return responses.page(pages.notice("Cancelled", "Your reservation is cancelled. Nothing was charged."))

    def _sold(self, request: web.Request, hold: Hold) -> web.Response:
        url = f"/orders/{hold.id}"
        if responses.wants_page(request):
            response = web.Response(status=303)
        else:
            response = responses.document({"order": hold.id, "state": hold.state, "url": url}, 201)
        response.headers["Location"] = url
        return response

    async def _with_stock(self, response: web.Response) -> web.Response:
        if "Stanchion-Stock" not in response.headers:
            responses.add_stock_headers(response, await self._stock())
        return response
