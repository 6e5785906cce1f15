"""The response to the buyer of a cart if nothing was bought: as for a single unit, with a link back to the cart."""

from typing import assert_never

from aiohttp import web

from checkout import responses
from checkout.cashier import NotPaid, Sold, TooLate
from checkout.catalogue.cart_checkout import Bought, NotTaken
from checkout.gateway import NoAnswer
from checkout.values import Reason, Refused

CART = {"href": "/cart", "link": "Back to the cart"}


def not_bought(request: web.Request, result: Bought | NotTaken) -> web.Response | None:
    """Return the response if no unit was bought, decided by the first unit; None if one was."""
    if isinstance(result, NotTaken):
        return responses.refusal(request, result.outcome.reason, result.outcome.hold, **CART)
    if result.sold:
        return None
    match result.receipts[0]:
        case NotPaid():
            return responses.declined(request, **CART)
        case NoAnswer():
            return responses.no_answer(request)
        case TooLate(hold=hold):
            return responses.refusal(request, Reason.ENDED, hold, **CART)
        case Refused(reason=reason, hold=hold):
            return responses.refusal(request, reason, hold, **CART)
        case Sold():
            return None
        case receipt:
            assert_never(receipt)
