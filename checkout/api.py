"""The shop for programs: JSON in, JSON out, RFC 9457 for what went wrong. Described by `openapi.json`,
which is tested.

What changes stock needs an `Idempotency-Key`: 400 without one, the first answer again for the same request,
422 when the key came with another request, 409 while the first is still running. A hold is its owner's
alone: for all others it does not exist.
"""

import re
import secrets
from importlib.resources import files
from typing import Any, assert_never

from aiohttp import web

from checkout import answers
from checkout.audit import audit
from checkout.availability import Availability
from checkout.cashier import Cashier, NotPaid, Sold, TooLate
from checkout.catalogue import Catalogue
from checkout.clock import wall_ms
from checkout.concurrency_limit import ConcurrencyLimit, Overrun
from checkout.errors import BadRequest
from checkout.gateway import NoAnswer
from checkout.identity import KEY, Visitor, fingerprint, is_operator
from checkout.inventory import Inventory
from checkout.values import Done, Hold, Reason, Refused, Sale, State, Stock

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
MOST_ROWS = 1000
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


class Api:
    def __init__(
        self,
        inventory: Inventory,
        cashier: Cashier,
        catalogue: Catalogue,
        availability: Availability,
        slots: ConcurrencyLimit,
        operator_token: str,
    ) -> None:
        self._inventory = inventory
        self._cashier = cashier
        self._catalogue = catalogue
        self._availability = availability
        self._slots = slots
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
        return answers.document([_sale(sale, stock) for sale, stock in await self._catalogue.all()])

    async def create_sale(self, request: web.Request) -> web.Response:
        if not is_operator(request, self._operator_token):
            return answers.unauthorized()
        sale = _terms(await answers.json_object(request))
        outcome = await self._inventory.open(sale)
        if isinstance(outcome, Refused):
            return answers.refusal(request, outcome.reason)
        return answers.document(_sale(sale, outcome.stock), 200 if outcome.repeated else 201)

    async def show_sale(self, request: web.Request) -> web.Response:
        sale = await self._catalogue.find(request.match_info["sale"])
        stock = await self._availability.get(sale.id) if sale else None
        if sale is None or stock is None:
            return answers.refusal(request, Reason.UNKNOWN_SALE)
        return answers.document(_sale(sale, stock))

    async def show_availability(self, request: web.Request) -> web.Response:
        stock = await self._availability.get(request.match_info["sale"])
        if stock is None:
            return answers.refusal(request, Reason.UNKNOWN_SALE)
        return answers.document({**stock._asdict(), "is_available": stock.free > 0})

    async def reserve(self, request: web.Request) -> web.Response:
        visitor, sale_id = Visitor(request), request.match_info["sale"]
        key = visitor.scoped(_key(request))
        await answers.json_object(request)
        mark = fingerprint("reserve", sale_id)
        outcome = await self._inventory.reserve(sale_id, visitor.user, secrets.token_hex(8), key, mark)
        if isinstance(outcome, Refused):
            response = answers.refusal(request, outcome.reason)
        else:
            response = answers.document(_hold(outcome), 201)
        answers.tell_edge(response, outcome.stock)
        return visitor.greet(response)

    async def show_hold(self, request: web.Request) -> web.Response:
        hold = await self._own(request)
        return answers.document(_hold(hold)) if hold else answers.refusal(request, Reason.UNKNOWN_HOLD)

    async def cancel(self, request: web.Request) -> web.Response:
        hold = await self._own(request)
        if hold is None:
            return answers.refusal(request, Reason.UNKNOWN_HOLD)
        outcome = await self._inventory.cancel(hold.id)
        if isinstance(outcome, Refused):
            response = answers.refusal(request, outcome.reason)
        else:
            response = answers.document(_hold(outcome))
        answers.tell_edge(response, outcome.stock)
        return response

    async def pay(self, request: web.Request) -> web.Response:
        key = Visitor(request).scoped(_key(request))
        body = await answers.json_object(request)
        card = body.get("card")
        if not isinstance(card, str) or not 1 <= len(card) <= 100:
            raise BadRequest("card: a text of 1 to 100 characters expected")
        hold = await self._own(request)
        sale = await self._catalogue.find(hold.sale) if hold else None
        if hold is None or sale is None:
            return answers.refusal(request, Reason.UNKNOWN_HOLD)
        try:
            async with self._slots.enter():
                mark = fingerprint("pay", hold.id, card)
                receipt = await self._cashier.pay(sale, hold.id, card, key, mark)
        except Overrun:
            return answers.overrun(request)
        except NoAnswer:
            return answers.no_answer(request)
        match receipt:
            case Sold(hold=sold, stock=stock):
                response = answers.document(_order(sold), 201)
                answers.tell_edge(response, stock, is_complete=True)
            case NotPaid():
                response = answers.declined(request)
            case TooLate():
                response = answers.refusal(request, Reason.ENDED)
            case Refused(reason=reason):
                response = answers.refusal(request, reason)
            case _:
                assert_never(receipt)
        return response

    async def list_orders(self, request: web.Request) -> web.Response:
        return await self._for_operator(request, self._orders)

    async def list_events(self, request: web.Request) -> web.Response:
        return await self._for_operator(request, self._events)

    async def show_audit(self, request: web.Request) -> web.Response:
        return await self._for_operator(request, self._audit)

    async def _for_operator(self, request: web.Request, read: Any) -> web.Response:
        if not is_operator(request, self._operator_token):
            return answers.unauthorized()
        sale = await self._catalogue.find(request.match_info["sale"])
        if sale is None:
            return answers.refusal(request, Reason.UNKNOWN_SALE)
        return answers.document(await read(sale, request))

    async def _orders(self, sale: Sale, _request: web.Request) -> list[dict[str, Any]]:
        evidence = await self._inventory.engine.evidence(sale.id)
        return [order._asdict() for order in evidence.orders] if evidence else []

    async def _events(self, sale: Sale, request: web.Request) -> list[dict[str, Any]]:
        after = request.query.get("after", "0")
        if not after.isascii() or not after.isdecimal() or len(after) > 15:
            raise BadRequest("after: the number of an event expected")
        events = await self._inventory.engine.events(sale.id, int(after), MOST_ROWS)
        return [event._asdict() for event in events]

    async def _audit(self, sale: Sale, _request: web.Request) -> dict[str, Any]:
        evidence = await self._inventory.engine.evidence(sale.id)
        findings = audit(evidence) if evidence else []
        rows = [{"rule": finding.rule, "text": finding.text} for finding in findings]
        return {"sale": sale.id, "is_clean": not rows, "findings": rows}

    async def _own(self, request: web.Request) -> Hold | None:
        hold = await self._inventory.find(request.match_info["hold"])
        return hold if hold and hold.user == Visitor(request).user else None


def _key(request: web.Request) -> str:
    keys = request.headers.getall("Idempotency-Key", [])
    if len(keys) != 1 or not KEY.fullmatch(keys[0]):
        raise BadRequest("Idempotency-Key: one key of 1 to 255 visible ASCII characters expected")
    return keys[0]


def _terms(body: dict[str, Any]) -> Sale:
    terms = {**DEFAULTS, **body}
    faults = [f"{name}: not a term of a sale" for name in terms.keys() - set(Sale._fields)]
    faults += [f"{name}: missing" for name in Sale._fields if name not in terms]
    for name, (least, most) in LIMITS.items():
        value = terms.get(name)
        if type(value) is float and value.is_integer():
            value = terms[name] = int(value)  # 5.0 is a whole number in JSON
        if name in terms and (type(value) is not int or not least <= value <= most):
            faults.append(f"{name}: a whole number from {least} to {most} expected")
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


def _hold(of: Hold | Done) -> dict[str, Any]:
    hold = of.hold if isinstance(of, Done) else of
    assert hold is not None  # an outcome about a hold carries it
    names = ("sale", "state", "made_ms", "ends_ms")
    return {"hold": hold.id, **{name: getattr(hold, name) for name in names}}


def _order(hold: Hold) -> dict[str, Any]:
    return {"order": hold.id, "sale": hold.sale, "state": State.SOLD, "url": f"/orders/{hold.id}"}
