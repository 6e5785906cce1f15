"""The shop a visitor walks through: product, checkout, reservation, order. Every step works without scripts.

    GET /              GET /checkout ──▶ POST /checkout            buy in one step ──▶ GET /orders/ID
                             └─────────▶ POST /checkout/holds      reserve first
                                          GET  /checkout/holds/ID       the time left
                                          POST /checkout/holds/ID/pay ──▶ GET /orders/ID
                                          POST /checkout/holds/ID/cancel

Handlers only translate; the inventory and the cashier decide.
"""

import secrets
from dataclasses import asdict
from typing import assert_never

from aiohttp import web

from checkout import answers, pages
from checkout.availability import Availability
from checkout.cashier import Cashier, NotPaid, Receipt, Sold, TooLate
from checkout.clock import ClockMs
from checkout.concurrency_limit import ConcurrencyLimit, Overrun
from checkout.gateway import NoAnswer
from checkout.identity import Visitor, fingerprint
from checkout.inventory import Inventory
from checkout.values import LIVE, NOTHING, Hold, Reason, Refused, Sale, State, Stock

CONTENT_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Shop:
    """The pages of one sale, in front of an inventory."""

    def __init__(
        self,
        sale: Sale,
        inventory: Inventory,
        cashier: Cashier,
        availability: Availability,
        slots: ConcurrencyLimit,
        clock: ClockMs,
    ) -> None:
        self._sale = sale
        self._inventory = inventory
        self._cashier = cashier
        self._availability = availability
        self._slots = slots
        self._clock = clock

    def add_to(self, app: web.Application) -> None:
        router = app.router
        router.add_get("/", self.show_product)
        router.add_get("/checkout", self.show_checkout)
        router.add_post("/checkout", self.check_out)
        router.add_post("/checkout/holds", self.reserve)
        router.add_get("/checkout/holds/{id}", self.show_hold)
        router.add_post("/checkout/holds/{id}/pay", self.pay)
        router.add_post("/checkout/holds/{id}/cancel", self.cancel)
        router.add_get("/orders/{id}", self.show_order)
        router.add_get("/assets/{name}", self.show_asset)
        router.add_get("/stock", self.show_stock)
        router.add_get("/health", self.show_health)
        router.add_get("/stats", self.show_stats)

    async def show_product(self, request: web.Request) -> web.Response:
        stock = await self._stock()
        if answers.wants_page(request):
            return answers.page(pages.product(self._sale, stock, self._clock()))
        terms = {"sale": self._sale.id, "title": self._sale.title, "price": pages.price(self._sale)}
        return answers.document({**terms, **stock._asdict()})

    async def show_checkout(self, request: web.Request) -> web.Response:
        stock = await self._stock()
        if stock.free == 0:
            response = answers.refusal(request, Reason.SOLD_OUT)
        elif answers.wants_page(request):
            response = answers.page(pages.checkout(self._sale, stock, secrets.token_hex(16)))
        else:
            terms = {"sale": self._sale.id, "price": pages.price(self._sale)}
            response = answers.document({**terms, "free": stock.free})
        answers.tell_edge(response, stock)
        return Visitor(request).greet(response)

    async def check_out(self, request: web.Request) -> web.Response:
        """Reserve and pay in one step, inside one of the checkout's slots."""
        visitor = Visitor(request)
        try:
            form = await answers.fields(request)
            async with self._slots.enter():
                response = await self._buy(request, visitor, form)
        except Overrun:
            response = answers.overrun(request)
        return visitor.greet(await self._told(response))

    async def reserve(self, request: web.Request) -> web.Response:
        visitor = Visitor(request)
        outcome = await self._take(request, visitor, await answers.fields(request))
        if isinstance(outcome, Refused):
            response = self._refusal(request, outcome)
        else:
            response = web.Response(status=303, headers={"Location": f"/checkout/holds/{outcome.id}"})
        return visitor.greet(await self._told(response))

    async def show_hold(self, request: web.Request) -> web.Response:
        hold = await self._own(request)
        if hold is None:
            return answers.refusal(request, Reason.UNKNOWN_HOLD)
        if hold.state is State.SOLD:
            return web.Response(status=303, headers={"Location": f"/orders/{hold.id}"})
        left_ms = hold.ends_ms - self._clock()
        if hold.state not in LIVE or left_ms <= 0:
            return answers.refusal(request, Reason.ENDED, "/checkout", "Try again")
        return answers.page(pages.hold(self._sale, hold, left_ms))

    async def pay(self, request: web.Request) -> web.Response:
        form = await answers.fields(request)
        hold = await self._own(request)
        if hold is None:
            return answers.refusal(request, Reason.UNKNOWN_HOLD)
        key = Visitor(request).scoped(form.get("key", ""))
        mark = fingerprint("pay", hold.id, form.get("card", ""))
        try:
            async with self._slots.enter():
                response = await self._charge(request, hold.id, form.get("card", ""), key, mark)
        except Overrun:
            response = answers.overrun(request)
        return await self._told(response)

    async def cancel(self, request: web.Request) -> web.Response:
        hold = await self._own(request)
        if hold is None:
            return answers.refusal(request, Reason.UNKNOWN_HOLD)
        outcome = await self._inventory.cancel(hold.id)
        if isinstance(outcome, Refused):
            response = answers.refusal(request, outcome.reason)
        else:
            response = answers.page(pages.notice("Given back", "Your reservation is cancelled. Nothing was charged."))
        answers.tell_edge(response, outcome.stock)
        return response

    async def show_order(self, request: web.Request) -> web.Response:
        hold = await self._inventory.find(request.match_info["id"])
        if hold is None or hold.state is not State.SOLD:
            return answers.refusal(request, Reason.UNKNOWN_HOLD)
        if answers.wants_page(request):
            return answers.page(pages.order(self._sale, hold))
        return answers.document({"order": hold.id, "sale": hold.sale, "state": hold.state})

    async def show_asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        kind = CONTENT_TYPES.get(name.rpartition(".")[2])
        body = pages.asset(name)
        if kind is None or body is None:
            return answers.problem(404, "not-found", "Not found", "There is no such file.")
        headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def show_stock(self, _request: web.Request) -> web.Response:
        """What is left, for the edge to ask while nobody is inside: from memory, at most a second old."""
        stock = await self._stock()
        response = answers.document(stock._asdict())
        answers.tell_edge(response, stock)
        return response

    async def show_health(self, _request: web.Request) -> web.Response:
        """Fine when the store answers; 503 by the middleware when it does not."""
        await self._inventory.engine.stock(self._sale.id)
        return answers.document({"status": "ok"})

    async def show_stats(self, _request: web.Request) -> web.Response:
        """What the checkout has seen: whether the line in front of it kept it from being overrun."""
        stock = await self._inventory.stock(self._sale.id) or NOTHING
        seen = asdict(self._slots.snapshot())
        seen["refused_503"] = seen.pop("refused")
        counts = {
            "orders": stock.sold,
            "stock_left": stock.free,
            "held": stock.held,
            "stock_total": stock.total,
        }
        return answers.document({**seen, **counts, "availability": asdict(self._availability.snapshot())})

    # -- the steps behind ------------------------------------------------------------------------------------

    async def _stock(self) -> Stock:
        return await self._availability.get(self._sale.id) or NOTHING

    async def _own(self, request: web.Request) -> Hold | None:
        hold = await self._inventory.find(request.match_info["id"])
        return hold if hold and hold.user == Visitor(request).user else None

    async def _take(self, request: web.Request, visitor: Visitor, form: dict[str, str]) -> Hold | Refused:
        key = visitor.scoped(request.headers.get("Idempotency-Key") or form.get("key", ""))
        mark = fingerprint(request.path, fields=form)
        outcome = await self._inventory.reserve(self._sale.id, visitor.user, secrets.token_hex(8), key, mark)
        if isinstance(outcome, Refused):
            return outcome
        assert outcome.hold is not None  # a reservation that was granted carries its hold
        return outcome.hold

    async def _buy(self, request: web.Request, visitor: Visitor, form: dict[str, str]) -> web.Response:
        taken = await self._take(request, visitor, form)
        if isinstance(taken, Refused):
            return self._refusal(request, taken)
        key = request.headers.get("Idempotency-Key") or form.get("key", "")
        scoped = f"{visitor.scoped(key)}/pay" if key else ""
        return await self._charge(request, taken.id, form.get("card", ""), scoped, fingerprint(fields=form))

    async def _charge(self, request: web.Request, hold_id: str, card: str, key: str, mark: str) -> web.Response:
        try:
            receipt = await self._cashier.pay(self._sale, hold_id, card, key, mark)
        except NoAnswer:
            return answers.no_answer(request)
        return self._receipt(request, receipt)

    def _receipt(self, request: web.Request, receipt: Receipt) -> web.Response:
        match receipt:
            case Sold(hold=hold, stock=stock):
                where = f"/orders/{hold.id}"
                if answers.wants_page(request):
                    response = web.Response(status=303)
                else:
                    response = answers.document({"order": hold.id, "state": hold.state, "url": where}, 201)
                response.headers["Location"] = where
                answers.tell_edge(response, stock, is_complete=True)
                return response
            case NotPaid():
                return answers.declined(request)
            case TooLate():
                return answers.refusal(request, Reason.ENDED)
            case Refused():
                return self._refusal(request, receipt)
            case _:
                assert_never(receipt)

    def _refusal(self, request: web.Request, refused: Refused) -> web.Response:
        """Who has their unit already is led to it."""
        hold = refused.hold
        if refused.reason is Reason.PER_USER and hold:
            if hold.state is State.SOLD:
                return answers.refusal(request, refused.reason, f"/orders/{hold.id}", "Show my order")
            return answers.refusal(request, refused.reason, f"/checkout/holds/{hold.id}", "Show my reservation")
        return answers.refusal(request, refused.reason)

    async def _told(self, response: web.Response) -> web.Response:
        if "Stanchion-Stock" not in response.headers:
            answers.tell_edge(response, await self._stock())
        return response
