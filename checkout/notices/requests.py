"""What visitors ask for, and what the line tells.

PUT    /api/contact {"email"}                     tell me about my reservations and orders
DELETE /api/contact
POST   /api/sales/SALE/stock-notices {"email"}    tell me once when units are free again
POST   /api/sales/SALE/turn-notices {"email"}     tell me once when the line begins to move
POST   /hooks/line                                a webhook of the edge, with its signature
"""

import hmac
import json
import re
import time

from aiohttp import web

from checkout import bodies, pages, responses
from checkout.clock import ClockMs
from checkout.errors import BadRequest
from checkout.identity import Visitor
from checkout.notices.channels import signature
from checkout.notices.outbox import Outbox
from checkout.notices.planner import STOCK, TURN, Planner
from checkout.sale_list import SaleList
from checkout.values import Reason

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
LONGEST_ADDRESS = 254
MAX_AGE_S = 300
MOVING = frozenset({"sale.opened"})
"""Events of the edge after which a line moves."""


class NoticeRequests:
    """line_secret: of the edge's webhook; empty refuses every message."""

    def __init__(
        self, outbox: Outbox, planner: Planner, sales: SaleList, clock: ClockMs, line_secret: str, sale: str
    ) -> None:
        """sale: the sale of the pages, which a room of the edge protects."""
        self._outbox = outbox
        self._planner = planner
        self._sales = sales
        self._clock = clock
        self._line_secret = line_secret.encode()
        self._sale = sale

    def add_to(self, app: web.Application) -> None:
        router = app.router
        router.add_put("/api/contact", self.set_contact)
        router.add_delete("/api/contact", self.remove_contact)
        router.add_post("/api/sales/{sale}/stock-notices", self.wish_stock)
        router.add_post("/api/sales/{sale}/turn-notices", self.wish_turn)
        router.add_post("/hooks/line", self.hear_line)
        router.add_get("/contact", self.show_page)
        router.add_post("/contact", self.take_form)

    async def set_contact(self, request: web.Request) -> web.Response:
        visitor, address = Visitor(request), await _address(request)
        await self._outbox.set_contact(visitor.user, address)
        return visitor.with_cookie(responses.document({"email": address}))

    async def remove_contact(self, request: web.Request) -> web.Response:
        await self._outbox.set_contact(Visitor(request).user, "")
        return web.Response(status=204)

    async def show_page(self, _request: web.Request) -> web.Response:
        return responses.page(pages.contact(await self._title()))

    async def take_form(self, request: web.Request) -> web.Response:
        """Take the form of the page: an address, and what the visitor wants to be told."""
        visitor, form = Visitor(request), await bodies.fields(request)
        try:
            address = _checked(form.get("email", "").strip())
        except BadRequest as error:
            return responses.page(pages.notice("Please check the address", str(error), "/contact", "Try again"), 400)
        if "orders" in form:
            await self._outbox.set_contact(visitor.user, address)
        for kind in (STOCK, TURN):
            if kind in form:
                await self._outbox.wish(kind, self._sale, visitor.user, address)
        text = (
            f"You will get messages at {address}." if form.keys() & {"orders", STOCK, TURN} else "Nothing was chosen."
        )
        return visitor.with_cookie(responses.page(pages.notice("Saved", text, "/checkout", "Check out")))

    async def _title(self) -> str:
        sale = await self._sales.find(self._sale)
        return sale.title if sale else self._sale

    async def wish_stock(self, request: web.Request) -> web.Response:
        return await self._wish(request, STOCK)

    async def wish_turn(self, request: web.Request) -> web.Response:
        return await self._wish(request, TURN)

    async def hear_line(self, request: web.Request) -> web.Response:
        """Take a message of the edge. It may come twice: visitors are told once, because their wish is gone."""
        body, sent_at = await request.read(), request.headers.get("Stanchion-Timestamp", "")
        given = request.headers.get("Stanchion-Signature", "").encode("utf-8", "replace")
        is_ours = bool(self._line_secret) and sent_at.isascii() and sent_at.isdecimal() and len(sent_at) <= 12
        if not is_ours or not hmac.compare_digest(given, signature(self._line_secret, sent_at, body).encode()):
            return responses.problem(401, "bad-signature", "Not from the line", "The signature is missing or wrong.")
        if abs(time.time() - int(sent_at)) > MAX_AGE_S:
            return responses.problem(401, "old-message", "Too old", "The message was signed too long ago.")
        try:
            event = json.loads(body)["event"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadRequest("expected a webhook message of the edge with an event") from error
        if event in MOVING:
            await self._planner.tell_turn(self._sale, self._clock())
        return web.Response(status=204)

    async def _wish(self, request: web.Request, kind: str) -> web.Response:
        sale = await self._sales.find(request.match_info["sale"])
        visitor, address = Visitor(request), await _address(request)
        if sale is None:
            return responses.refusal(request, Reason.UNKNOWN_SALE)
        await self._outbox.wish(kind, sale.id, visitor.user, address)
        return visitor.with_cookie(responses.document({"sale": sale.id, "email": address}, 202))


async def _address(request: web.Request) -> str:
    return _checked((await bodies.json_object(request)).get("email"))


def _checked(address: object) -> str:
    if not isinstance(address, str) or len(address) > LONGEST_ADDRESS or not ADDRESS.fullmatch(address):
        raise BadRequest("email: expected an address like ada@example.com")
    return address
