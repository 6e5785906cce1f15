"""The shop a visitor walks through: product, checkout, order. Handlers only translate; the inventory and
cashier decide.

A visitor is known by the ticket the edge sends along (one place buys one unit), without an edge by the
shop's own cookie.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import assert_never

from aiohttp import web

from checkout import answers, pages
from checkout.cashier import Cashier, NotPaid, Receipt, Sold, TooLate
from checkout.clock import ClockMs
from checkout.gateway import NoAnswer
from checkout.inventory import Inventory
from checkout.slots import Overrun, Slots
from checkout.values import NOTHING, Reason, Refused, Sale, State

TICKET = "X-Stanchion-Ticket"
COOKIE = "shop_visitor"
CONTENT_TYPES = {"css": "text/css", "js": "text/javascript"}


class Shop:
    """The pages of one sale, in front of an inventory."""

    def __init__(
        self, sale: Sale, inventory: Inventory, cashier: Cashier, slots: Slots, clock: ClockMs
    ) -> None:
        self._sale = sale
        self._inventory = inventory
        self._cashier = cashier
        self._slots = slots
        self._clock = clock

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/", self.show_product)
        app.router.add_get("/checkout", self.show_checkout)
        app.router.add_post("/checkout", self.check_out)
        app.router.add_get("/orders/{id}", self.show_order)
        app.router.add_get("/assets/{name}", self.show_asset)
        app.router.add_get("/health", self.show_health)
        app.router.add_get("/stats", self.show_stats)

    async def show_product(self, request: web.Request) -> web.Response:
        stock = await self._inventory.stock(self._sale.id) or NOTHING
        if answers.wants_json(request):
            return answers.document(
                {
                    "sale": self._sale.id,
                    "title": self._sale.title,
                    "price": pages.price(self._sale),
                    **stock._asdict(),
                }
            )
        return answers.page(pages.product(self._sale, stock, self._clock()))

    async def show_checkout(self, request: web.Request) -> web.Response:
        stock = await self._inventory.stock(self._sale.id) or NOTHING
        if stock.free == 0:
            response = answers.refusal(request, Reason.SOLD_OUT)
        elif answers.wants_json(request):
            response = answers.document(
                {"sale": self._sale.id, "price": pages.price(self._sale), "free": stock.free}
            )
        else:
            response = answers.page(pages.checkout(self._sale, stock, secrets.token_hex(16)))
        user, is_new = _user(request)
        if is_new:
            response.set_cookie(COOKIE, user.removeprefix("cookie:"), httponly=True, samesite="Lax", path="/")
        answers.tell_edge(response, stock)
        return response

    async def check_out(self, request: web.Request) -> web.Response:
        """Reserve and pay in one step, inside one of the checkout's slots."""
        user, is_new = _user(request)
        form = await _body(request)
        try:
            async with self._slots.enter():
                response = await self._buy(request, user, form)
        except Overrun:
            response = answers.overrun(request)
        if is_new:
            response.set_cookie(COOKIE, user.removeprefix("cookie:"), httponly=True, samesite="Lax", path="/")
        if "Stanchion-Stock" not in response.headers:
            answers.tell_edge(response, await self._inventory.stock(self._sale.id) or NOTHING)
        return response

    async def _buy(self, request: web.Request, user: str, form: Mapping[str, str]) -> web.Response:
        card = form.get("card", "")
        key = request.headers.get("Idempotency-Key") or form.get("key", "")
        scoped = f"{user}/{key}" if key else ""
        fingerprint = hashlib.sha256(repr(sorted(form.items())).encode()).hexdigest()[:32]
        sale = self._sale
        reserved = await self._inventory.reserve(sale.id, user, secrets.token_hex(8), scoped, fingerprint)
        if isinstance(reserved, Refused):
            if reserved.reason is Reason.PER_USER and reserved.hold and reserved.hold.state is State.SOLD:
                return answers.refusal(
                    request, reserved.reason, f"/orders/{reserved.hold.id}", "Show my order"
                )
            return answers.refusal(request, reserved.reason)
        assert reserved.hold is not None  # a reservation that was granted carries its hold
        try:
            paid = await self._cashier.pay(
                sale, reserved.hold.id, card, f"{scoped}/pay" if scoped else "", fingerprint
            )
        except NoAnswer:
            text = "The bank did not answer. Your reservation stands until its end; you pay at most once."
            return answers.page(pages.notice("No answer from the bank", text), 504)
        return self._receipt(request, paid)

    def _receipt(self, request: web.Request, receipt: Receipt) -> web.Response:
        match receipt:
            case Sold(hold=hold, stock=stock):
                where = f"/orders/{hold.id}"
                if answers.wants_json(request):
                    response = answers.document({"order": hold.id, "state": hold.state, "url": where}, 201)
                else:
                    response = web.Response(status=303)
                response.headers["Location"] = where
                answers.tell_edge(response, stock, is_complete=True)
                return response
            case NotPaid():
                title, detail = "Payment declined", "Your bank declined the card. The unit is on sale again."
                if answers.wants_json(request):
                    return answers.problem(402, "declined", title, detail)
                return answers.page(pages.notice(title, detail, "/checkout", "Try another card"), 402)
            case TooLate():
                return answers.refusal(request, Reason.ENDED)
            case Refused(reason=reason):
                return answers.refusal(request, reason)
            case _:
                assert_never(receipt)

    async def show_order(self, request: web.Request) -> web.Response:
        hold = await self._inventory.find(request.match_info["id"])
        if hold is None or hold.state is not State.SOLD:
            return answers.refusal(request, Reason.UNKNOWN_HOLD)
        if answers.wants_json(request):
            return answers.document({"order": hold.id, "sale": hold.sale, "state": hold.state})
        return answers.page(pages.order(self._sale, hold))

    async def show_asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        kind = CONTENT_TYPES.get(name.rpartition(".")[2])
        body = pages.asset(name)
        if kind is None or body is None:
            return answers.problem(404, "not-found", "Not found", "There is no such file.")
        headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def show_health(self, _request: web.Request) -> web.Response:
        return answers.document({"status": "ok"})

    async def show_stats(self, _request: web.Request) -> web.Response:
        """What the checkout has seen: whether the line in front of it kept it from being overrun."""
        stock = await self._inventory.stock(self._sale.id) or NOTHING
        seen = asdict(self._slots.snapshot())
        seen["refused_503"] = seen.pop("refused")
        return answers.document(
            {
                **seen,
                "orders": stock.sold,
                "stock_left": stock.free,
                "held": stock.held,
                "stock_total": stock.total,
            }
        )


def _user(request: web.Request) -> tuple[str, bool]:
    """Who asks, and whether a cookie must be set so that we know them again."""
    if ticket := request.headers.get(TICKET):
        return f"ticket:{ticket}", False
    if cookie := request.cookies.get(COOKIE):
        return f"cookie:{cookie[:64]}", False
    return f"cookie:{secrets.token_hex(16)}", True


async def _body(request: web.Request) -> dict[str, str]:
    """The fields of a form or of a flat JSON object; anything else counts as no fields."""
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except ValueError:
            return {}
        return {str(k): str(v) for k, v in body.items()} if isinstance(body, dict) else {}
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
