"""The shop for programs: JSON requests and responses, RFC 9457 for errors. `openapi.json` describes it and is tested.

Every request that changes stock needs an `Idempotency-Key`:

    no key                              400
    the same key with the same request  the first response again
    the same key, another request       422
    the first request is in progress    409
"""

import re
import secrets
from importlib.resources import files
from typing import Any

from aiohttp import web

from checkout import bodies, responses
from checkout.audit import audit
from checkout.availability import Availability
from checkout.cashier import Cashier
from checkout.catalogue.prices import Prices
from checkout.clock import wall_ms
from checkout.concurrency_limit import ConcurrencyLimit, Overloaded
from checkout.errors import BadRequest
from checkout.handlers import Handlers
from checkout.identity import Visitor, fingerprint, idempotency_key, is_operator
from checkout.inventory import Inventory
from checkout.sale_list import SaleList
from checkout.values import Done, Hold, Reason, Refused, Sale, State, Stock

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
MAX_ROWS = 1000
LIMITS = {
    "total": (0, 10_000_000),
    "price_cents": (0, 10**9),
    "opens_ms": (0, 10**14),
    "closes_ms": (0, 10**14),
}
LIMITS |= {"hold_ms": (1, 86_400_000), "per_user": (1, 1000)}
DEFAULTS: dict[str, Any] = {
    "currency": "EUR",
    "opens_ms": 0,
    "closes_ms": 0,
    "hold_ms": 120_000,
    "per_user": 1,
}


class Api(Handlers):
    """The handlers below `/api`."""

    def __init__(
        self,
        inventory: Inventory,
        cashier: Cashier,
        availability: Availability,
        limit: ConcurrencyLimit,
        sales: SaleList,
        prices: Prices,
        operator_token: str,
    ) -> None:
        super().__init__(inventory, cashier, availability, limit, prices)
        self._sales = sales
        self._operator_token = operator_token
        self._document = files("checkout").joinpath("openapi.json").read_text(encoding="utf-8")

    def add_to(self, app: web.Application) -> None:
        router = app.router
        router.add_get("/api/openapi.json", self.describe)
        router.add_get("/api/sales", self.list_sales)
        router.add_post("/api/sales", self.create_sale)
        router.add_get("/api/sales/{sale}", self.show_sale)
        router.add_get("/api/sales/{sale}/availability", self.show_availability)
        router.add_post("/api/sales/{sale}/holds", self.reserve)
        router.add_get("/api/sales/{sale}/orders", self.list_orders)
        router.add_get("/api/sales/{sale}/events", self.list_events)
        router.add_get("/api/sales/{sale}/audit", self.show_audit)
        router.add_get("/api/holds/{hold}", self.show_hold)
        router.add_post("/api/holds/{hold}/cancellation", self.cancel)
        router.add_post("/api/holds/{hold}/payment", self.pay)

    async def describe(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._document, content_type="application/json")

    async def list_sales(self, _request: web.Request) -> web.Response:
        return responses.document([_sale(sale, stock) for sale, stock in await self._sales.all()])

    async def create_sale(self, request: web.Request) -> web.Response:
        if not is_operator(request, self._operator_token):
            return responses.unauthorized()
        sale = _terms(await bodies.json_object(request))
        outcome = await self._inventory.open(sale)
        if isinstance(outcome, Refused):
            return responses.refusal(request, outcome.reason)
        self._sales.add(sale)
        return responses.document(_sale(sale, outcome.stock), 200 if outcome.repeated else 201)

    async def show_sale(self, request: web.Request) -> web.Response:
        sale = await self._sales.find(request.match_info["sale"])
        stock = await self._availability.get(sale.id) if sale else None
        if sale is None or stock is None:
            return responses.refusal(request, Reason.UNKNOWN_SALE)
        return responses.document(_sale(sale, stock))

    async def show_availability(self, request: web.Request) -> web.Response:
        stock = await self._availability.get(request.match_info["sale"])
        if stock is None:
            return responses.refusal(request, Reason.UNKNOWN_SALE)
        return responses.document({**stock._asdict(), "is_available": stock.free > 0})

    async def reserve(self, request: web.Request) -> web.Response:
        visitor, sale_id = Visitor(request), request.match_info["sale"]
        key = visitor.scope_key(idempotency_key(request))
        await bodies.json_object(request)
        digest = fingerprint("reserve", sale_id)
        outcome = await self._inventory.reserve(sale_id, visitor.user, secrets.token_hex(8), key, digest)
        if isinstance(outcome, Refused):
            response = responses.refusal(request, outcome.reason, outcome.hold)
        else:
            response = responses.document(_hold(outcome), 201)
        responses.add_stock_headers(response, outcome.stock)
        return visitor.with_cookie(response)

    async def show_hold(self, request: web.Request) -> web.Response:
        hold = await self._own_hold(request)
        return responses.document(_hold(hold)) if hold else responses.refusal(request, Reason.UNKNOWN_HOLD)

    async def pay(self, request: web.Request) -> web.Response:
        key = Visitor(request).scope_key(idempotency_key(request))
        body = await bodies.json_object(request)
        card = body.get("card")
        if not isinstance(card, str) or not 1 <= len(card) <= 100:
            raise BadRequest("card: expected a text of 1 to 100 characters")
        hold = await self._own_hold(request)
        sale = await self._prices.terms(hold) if hold else None
        if hold is None or sale is None:
            return responses.refusal(request, Reason.UNKNOWN_HOLD)
        try:
            async with self._limit.enter():
                return await self._pay(request, sale, hold.id, card, key, fingerprint("pay", hold.id, card))
        except Overloaded:
            return responses.overloaded(request)

    async def list_orders(self, request: web.Request) -> web.Response:
        return await self._for_operator(request, self._orders)

    async def list_events(self, request: web.Request) -> web.Response:
        return await self._for_operator(request, self._events)

    async def show_audit(self, request: web.Request) -> web.Response:
        return await self._for_operator(request, self._audit)

    async def _for_operator(self, request: web.Request, read: Any) -> web.Response:
        if not is_operator(request, self._operator_token):
            return responses.unauthorized()
        sale = await self._sales.find(request.match_info["sale"])
        if sale is None:
            return responses.refusal(request, Reason.UNKNOWN_SALE)
        return responses.document(await read(sale, request))

    async def _orders(self, sale: Sale, _request: web.Request) -> list[dict[str, Any]]:
        evidence = await self._inventory.engine.evidence(sale.id)
        return [order._asdict() for order in evidence.orders] if evidence else []

    async def _events(self, sale: Sale, request: web.Request) -> list[dict[str, Any]]:
        after = request.query.get("after", "0")
        if not after.isascii() or not after.isdecimal() or len(after) > 15:
            raise BadRequest("after: expected the number of an event")
        events = await self._inventory.engine.events(sale.id, int(after), MAX_ROWS)
        return [event._asdict() for event in events]

    async def _audit(self, sale: Sale, _request: web.Request) -> dict[str, Any]:
        evidence = await self._inventory.engine.evidence(sale.id)
        findings = audit(evidence) if evidence else []
        rows = [{"rule": finding.rule, "text": finding.text} for finding in findings]
        return {"sale": sale.id, "is_clean": not rows, "findings": rows}

    def _cancelled(self, outcome: Done) -> web.Response:
        return responses.document(_hold(outcome))

    def _sold(self, _request: web.Request, hold: Hold) -> web.Response:
        body = {"order": hold.id, "sale": hold.sale, "state": State.SOLD, "url": f"/orders/{hold.id}"}
        return responses.document(body, 201)


def _terms(body: dict[str, Any]) -> Sale:
    terms = {**DEFAULTS, **body}
    faults = [f"{name}: unknown term" for name in terms.keys() - set(Sale._fields)]
    faults += [f"{name}: missing" for name in Sale._fields if name not in terms]
    for name, (least, most) in LIMITS.items():
        value = terms.get(name)
        if type(value) is float and value.is_integer():
            value = terms[name] = int(value)  # 5.0 is a whole number in JSON
        if name in terms and (type(value) is not int or not least <= value <= most):
            faults.append(f"{name}: expected a whole number from {least} to {most}")
    for name, pattern in (
        ("id", NAME.pattern),
        ("title", r"[^\x00-\x1f\ud800-\udfff]{1,200}"),
        ("currency", "[A-Z]{3}"),
    ):
        value = terms.get(name)
        if name in terms and not (isinstance(value, str) and re.fullmatch(pattern, value)):
            faults.append(f"{name}: must match {pattern}")
    if faults:
        raise BadRequest("; ".join(sorted(faults)))
    return Sale(**terms)


def _sale(sale: Sale, stock: Stock) -> dict[str, Any]:
    return {**sale._asdict(), **stock._asdict(), "now_ms": wall_ms()}


def _hold(source: Hold | Done) -> dict[str, Any]:
    hold = source.hold if isinstance(source, Done) else source
    assert hold is not None  # the outcome of a command about a hold contains that hold
    names = ("sale", "state", "made_ms", "ends_ms")
    return {"hold": hold.id, **{name: getattr(hold, name) for name in names}}
