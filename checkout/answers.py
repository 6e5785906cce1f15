"""One outcome, two shapes: a page for browsers, JSON (RFC 9457 for errors) for programs, the same headers
for both.

What the shop tells the edge rides on every answer of checkout: `Stanchion-Stock` is the number of free
units, `Stanchion-Held` of those whose buyers still pay, `Stanchion-Version` tells which of two answers is newer.
`Stanchion-Command` is `complete` when this visitor is done and `sold-out` when nothing is free or held any more.
"""

import json
from typing import Any

from aiohttp import hdrs, web

from checkout import pages
from checkout.errors import BadRequest
from checkout.values import Reason, Stock

STATUS = {
    Reason.UNKNOWN_SALE: 404,
    Reason.UNKNOWN_HOLD: 404,
    Reason.KEY_REUSED: 422,
}
TEXT = {
    Reason.UNKNOWN_SALE: ("No such sale", "There is no sale of this name."),
    Reason.SALE_EXISTS: ("The sale exists", "A sale of this name exists with other terms."),
    Reason.NOT_OPEN: ("Not open yet", "The sale has not begun."),
    Reason.CLOSED: ("The sale is over", "It has ended at its appointed time."),
    Reason.SOLD_OUT: ("Sold out", "No unit is free. A unit whose payment fails comes back on sale."),
    Reason.PER_USER: ("You have yours", "You already hold as many units as one visitor may take."),
    Reason.UNKNOWN_HOLD: ("No such reservation", "There is no reservation of this number."),
    Reason.ENDED: (
        "The reservation has ended",
        "Its unit is on sale again; nothing was charged, or it was given back.",
    ),
    Reason.PAYING: ("Being paid", "A payment for this reservation is on its way."),
    Reason.NOT_PAYING: ("Not being paid", "No payment has begun for this reservation."),
    Reason.NOT_DUE: ("Not over yet", "The reservation still runs."),
    Reason.KEY_REUSED: ("Key used before", "This Idempotency-Key came with another request before."),
    Reason.KEY_RUNNING: ("Still running", "The first request with this Idempotency-Key is still running."),
}


def wants_page(request: web.Request) -> bool:
    """Whether the client asks for a page: never below `/api`, else unless it mentions JSON before HTML."""
    if request.path.startswith("/api/"):
        return False
    accept = request.headers.get(hdrs.ACCEPT, "")
    script, html = accept.find("json"), accept.find("html")
    return script < 0 or 0 <= html < script


async def fields(request: web.Request) -> dict[str, str]:
    """The fields of a form or of a flat JSON object; anything else counts as no fields."""
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except (ValueError, RecursionError):
            return {}
        return {str(k): str(v) for k, v in body.items()} if isinstance(body, dict) else {}
    try:
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    except ValueError:
        return {}


async def json_object(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request; no body is an empty one."""
    if not request.body_exists:
        return {}
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise BadRequest("a JSON object expected") from error
    if not isinstance(body, dict):
        raise BadRequest("a JSON object expected")
    return body


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
    """An RFC 9457 problem document; `kind` is its stable name."""
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


def refusal(request: web.Request, reason: Reason, href: str = "/", link: str = "Back to the product") -> web.Response:
    title, detail = TEXT[reason]
    status = STATUS.get(reason, 409)
    if not wants_page(request):
        return problem(status, reason.value.replace("_", "-"), title, detail)
    return page(pages.notice(title, detail, href, link), status)


def unauthorized() -> web.Response:
    detail = "This needs the operator's token as a bearer token."
    response = problem(401, "unauthorized", "For the operator", detail)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def declined(request: web.Request) -> web.Response:
    title, detail = "Payment declined", "Your bank declined the card. The unit is on sale again."
    if wants_page(request):
        return page(pages.notice(title, detail, "/checkout", "Try another card"), 402)
    return problem(402, "declined", title, detail)


def no_answer(request: web.Request) -> web.Response:
    title = "No answer from the bank"
    detail = "Your reservation stands until its end. You pay at most once, and only if you get the unit."
    if wants_page(request):
        return page(pages.notice(title, detail), 504)
    return problem(504, "no-answer", title, detail)


def store_away(request: web.Request) -> web.Response:
    title, detail = (
        "One moment",
        "The shop's store does not answer. Ask again with the same key: nothing happens twice.",
    )
    if wants_page(request):
        response = page(pages.notice(title, detail), 503)
    else:
        response = problem(503, "store-away", title, detail)
    response.headers["Retry-After"] = "1"
    return response


def overrun(request: web.Request) -> web.Response:
    title, detail = "Too busy", "More people are checking out than the shop can take. Nothing was charged."
    if wants_page(request):
        response = page(pages.notice(title, detail, "/checkout", "Try again"), 503)
    else:
        response = problem(503, "overrun", title, detail)
    response.headers["Retry-After"] = "2"
    return response


def tell_edge(response: web.StreamResponse, stock: Stock, *, is_complete: bool = False) -> None:
    """Put the numbers of a sale on an answer; of a sale that does not exist there is nothing to say."""
    if is_complete:
        response.headers["Stanchion-Command"] = "complete"
    if stock.total == 0:
        return
    response.headers["Stanchion-Stock"] = str(stock.free)
    response.headers["Stanchion-Held"] = str(stock.held)
    response.headers["Stanchion-Version"] = str(stock.version)
    if stock.free + stock.held == 0 and not is_complete:
        response.headers["Stanchion-Command"] = "sold-out"
