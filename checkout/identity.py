"""Who asks. Behind the edge a visitor is their ticket (one place buys one unit); without it, the shop's own
cookie.

The edge strips `X-Stanchion-Ticket` from what clients send, so a shop that trusts it must be reached
through the edge only.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

from aiohttp import web

TICKET = "X-Stanchion-Ticket"
COOKIE = "shop_visitor"
KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Visitor:
    """`user` is the key of everything they own; a new one is given a cookie."""

    def __init__(self, request: web.Request) -> None:
        self._cookie = ""
        if ticket := request.headers.get(TICKET):
            self.user = f"ticket:{ticket[:128]}"
        elif cookie := request.cookies.get(COOKIE):
            self.user = f"cookie:{cookie[:64]}"
        else:
            self._cookie = secrets.token_hex(16)
            self.user = f"cookie:{self._cookie}"

    def greet(self, response: web.Response) -> web.Response:
        """Give a new visitor their cookie."""
        if self._cookie:
            response.set_cookie(COOKIE, self._cookie, httponly=True, samesite="Lax", path="/")
        return response

    def scoped(self, key: str) -> str:
        """A key of this visitor's own: nobody else's request can hit it."""
        return f"{self.user}/{key}" if key else ""


def fingerprint(*parts: str, fields: Mapping[str, str] | None = None) -> str:
    """What a request asked for, so that a key used again with another request is noticed."""
    text = repr((parts, sorted((fields or {}).items())))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def is_operator(request: web.Request, token: str) -> bool:
    """Whether the request carries the operator's token; without a token there is no operator."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return bool(token) and hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
