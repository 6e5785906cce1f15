"""What the pages (`shop.py`) and the API (`api.py`) have in common: from a request to the inventory and the cashier.

A hold belongs to one user. For every other user it does not exist.
"""

from abc import ABC, abstractmethod
from typing import assert_never

from aiohttp import web

from checkout import responses
from checkout.availability import Availability
from checkout.cashier import Cashier, NotPaid, Receipt, Sold, TooLate
from checkout.catalogue.prices import Prices
from checkout.concurrency_limit import ConcurrencyLimit
from checkout.gateway import NoAnswer
from checkout.identity import Visitor
from checkout.inventory import Inventory
from checkout.values import Done, Hold, Reason, Refused, Sale


class Handlers(ABC):
    """Base of the two sets of handlers. Subclasses say what a cancellation and an order look like."""

    def __init__(
        self,
        inventory: Inventory,
        cashier: Cashier,
        availability: Availability,
        limit: ConcurrencyLimit,
        prices: Prices,
    ) -> None:
        self._inventory = inventory
        self._cashier = cashier
        self._availability = availability
        self._limit = limit
        self._prices = prices

    async def cancel(self, request: web.Request) -> web.Response:
        hold = await self._own_hold(request)
        if hold is None:
            return responses.refusal(request, Reason.UNKNOWN_HOLD)
        outcome = await self._inventory.cancel(hold.id)
        if isinstance(outcome, Refused):
            response = responses.refusal(request, outcome.reason, outcome.hold)
        else:
            response = self._cancelled(outcome)
        responses.add_stock_headers(response, outcome.stock)
        return response

    async def _own_hold(self, request: web.Request) -> Hold | None:
        """Return the hold that the path names, or None if it does not exist or belongs to another user."""
        hold = await self._inventory.find(request.match_info["hold"])
        return hold if hold and hold.user == Visitor(request).user else None

    async def _pay(
        self, request: web.Request, sale: Sale, hold_id: str, card: str, key: str, fingerprint: str
    ) -> web.Response:
        try:
            receipt = await self._cashier.pay(sale, hold_id, card, key, fingerprint)
        except NoAnswer:
            return responses.no_answer(request)
        return self._receipt(request, receipt)

    def _receipt(self, request: web.Request, receipt: Receipt) -> web.Response:
        match receipt:
            case Sold(hold=hold, stock=stock):
                response = self._sold(request, hold)
                responses.add_stock_headers(response, stock, is_complete=True)
                return response
            case NotPaid():
                return responses.declined(request)
            case TooLate(hold=hold):
                return responses.refusal(request, Reason.ENDED, hold)
            case Refused(reason=reason, hold=refused_hold):
                return responses.refusal(request, reason, refused_hold)
            case _:
                assert_never(receipt)

    @abstractmethod
    def _cancelled(self, outcome: Done) -> web.Response:
        """Return the response to a cancellation."""

    @abstractmethod
    def _sold(self, request: web.Request, hold: Hold) -> web.Response:
        """Return the response to a payment that sold the unit."""
