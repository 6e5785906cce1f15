"""The responses of the shop: a page for browsers, JSON for programs (RFC 9457 for errors), with the same headers.

Every response of checkout carries the stock for the edge in front:

    Stanchion-Stock     number of free units; `unknown` while the store is being checked
    Stanchion-Held      number of units that buyers are paying for
    Stanchion-Version   of two responses, the one with the higher version is newer
    Stanchion-Command   `complete` when this visitor has finished; `sold-out` when no unit is free or held
"""

from typing import Any

from aiohttp import hdrs, web

from checkout import pages
from checkout.refusals import explain
from checkout.values import Hold, Reason, Stock

UNKNOWN = "unknown"
STATUS = {
    Reason.UNKNOWN_SALE: 404,
    Reason.UNKNOWN_HOLD: 404,
    Reason.KEY_REUSED: 422,
}


def wants_page(request: web.Request) -> bool:
    """Return whether the client wants a page: never below `/api`; elsewhere unless it names JSON before HTML."""
    if request.path.startswith("/api/"):
        return False
    accept = request.headers.get(hdrs.ACCEPT, "")
    script, html = accept.find("json"), accept.find("html")
    return script < 0 or 0 <= html < script


def page(html: str, status: int = 200) -> web.Response:
    headers = {
        "Content-Security-Policy": pages.CONTENT_SECURITY_POLICY,
        "Cache-Control": "no-store",
        "Vary": "Accept",
    }
    return web.Response(text=html, status=status, content_type="text/html", headers=headers)


def document(body: dict[str, Any] | list[Any], status: int = 200) -> web.Response:
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store", "Vary": "Accept"})


def problem(status: int, kind: str, title: str, detail: str, **more: Any) -> web.Response:
    """Return an RFC 9457 problem document. `kind` is the stable name of the problem."""
    body = {
        "type": f"urn:checkout:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        **more,
    }
    response = web.json_response(body, status=status, content_type="application/problem+json")
    response.headers.update({"Cache-Control": "no-store", "Vary": "Accept"})
    return response


def refusal(request: web.Request, reason: Reason, hold: Hold | None = None, **more: str) -> web.Response:
    """Return the response to a refused request. hold: the visitor's hold that is the reason. more: `href`, `link`."""
    told = explain(reason, hold, **more)
    status = STATUS.get(reason, 409)
    if not wants_page(request):
        return problem(status, told.kind, told.title, told.detail, **told.links)
    return page(pages.notice(told.title, told.detail, told.href, told.link), status)


#: Pages with forms that a visitor fills in. Elsewhere only a program sends what cannot be read.
FORMS = ("/products", "/cart", "/checkout/cart")


def bad_request(request: web.Request, detail: str) -> web.Response:
    title = "Bad request"
    if request.path.startswith(FORMS) and wants_page(request):
        return page(pages.notice("Please check what you entered", detail, "/products", "Show the products"), 400)
    return problem(400, "bad-request", title, detail)


def unauthorized() -> web.Response:
    response = problem(401, "unauthorized", "Operator only", "Send the operator's token as a bearer token.")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def declined(request: web.Request, *, href: str = "/checkout", link: str = "Try another card") -> web.Response:
    title, detail = "Payment declined", "Your bank declined the card. The unit is on sale again."
    if wants_page(request):
        return page(pages.notice(title, detail, href, link), 402)
    return problem(402, "declined", title, detail)


def no_answer(request: web.Request) -> web.Response:
    title = "No answer from the bank"
    detail = "Your reservation is valid until its end. You pay at most once, and only if you get the unit."
    if wants_page(request):
        return page(pages.notice(title, detail), 504)
    return problem(504, "no-answer", title, detail)


def store_unavailable(request: web.Request) -> web.Response:
    title = "Please try again"
    detail = "The shop's database does not answer. Try again with the same key: nothing happens twice."
    if wants_page(request):
        response = page(pages.notice(title, detail), 503)
    else:
        response = problem(503, "store-unavailable", title, detail)
    response.headers["Retry-After"] = "1"
    return response


def stock_unknown(request: web.Request) -> web.Response:
    """Tell a buyer to wait, and the edge that the stock is not known, while the store is being checked."""
    title = "Please wait a moment"
    detail = (
        "The shop is checking its stock after a fault of its database. Nothing is sold meanwhile, and nothing that you "
        "were told is lost. Try again in a few seconds with the same key: nothing happens twice."
    )
    if wants_page(request):
        again = request.path if request.method == "GET" else "/checkout"
        response = page(pages.notice(title, detail, again, "Try again"), 503)
    else:
        response = problem(503, "stock-unknown", title, detail)
    response.headers["Retry-After"] = "2"
    response.headers["Stanchion-Stock"] = UNKNOWN
    return response


def overloaded(request: web.Request) -> web.Response:
    title, detail = "Too busy", "More people are checking out than the shop can serve. Nothing was charged."
    if wants_page(request):
        response = page(pages.notice(title, detail, "/checkout", "Try again"), 503)
    else:
        response = problem(503, "overloaded", title, detail)
    response.headers["Retry-After"] = "2"
    return response


def add_stock_headers(response: web.StreamResponse, stock: Stock, *, is_complete: bool = False) -> None:
    """Add the headers for the edge. A sale that does not exist has no numbers, so nothing is added."""
    if is_complete:
        response.headers["Stanchion-Command"] = "complete"
    if stock.total == 0:
        return
    response.headers["Stanchion-Stock"] = str(stock.free)
    response.headers["Stanchion-Held"] = str(stock.held)
    response.headers["Stanchion-Version"] = str(stock.version)
    if stock.free + stock.held == 0 and not is_complete:
        response.headers["Stanchion-Command"] = "sold-out"
