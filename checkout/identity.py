"""The identity of a visitor. Behind the edge it is the ticket, so one place in line buys one unit; otherwise a cookie.

The edge removes `X-Stanchion-Ticket` from what clients send. A shop that trusts this header must be reachable through
the edge only.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

from aiohttp import web

from checkout.errors import BadRequest

TICKET = "X-Stanchion-Ticket"
COOKIE = "shop_visitor"
KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Visitor:
    """The visitor of a request. `user` is the name under which the shop stores everything that they own."""

    def __init__(self, request: web.Request) -> None:
        self._new_cookie = ""
        if ticket := request.headers.get(TICKET):
            self.user = f"ticket:{ticket[:128]}"
        elif cookie := request.cookies.get(COOKIE):
            self.user = f"cookie:{cookie[:64]}"
        else:
            self._new_cookie = secrets.token_hex(16)
            self.user = f"cookie:{self._new_cookie}"

    def with_cookie(self, response: web.Response) -> web.Response:
        """Return the response, with a cookie if the visitor is new."""
        if self._new_cookie:
            response.set_cookie(COOKIE, self._new_cookie, httponly=True, samesite="Lax", path="/")
        return response

    def scope_key(self, key: str) -> str:
        """Return the idempotency key with the user in front, so that keys of two visitors never meet."""
        return f"{self.user}/{key}" if key else ""


def fingerprint(*parts: str, fields: Mapping[str, str] | None = None) -> str:
    """Return a digest of what a request asks for. It shows when a key is used again with another request."""
    text = repr((parts, sorted((fields or {}).items())))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def idempotency_key(request: web.Request) -> str:
    """Return the key of the request. Raises `BadRequest`."""
    keys = request.headers.getall("Idempotency-Key", [])
    if len(keys) != 1 or not KEY.fullmatch(keys[0]):
        raise BadRequest("Idempotency-Key: expected one key of 1 to 255 visible ASCII characters")
    return keys[0]


def is_operator(request: web.Request, token: str) -> bool:
    """Return whether the request carries the operator's token. Without a configured token there is no operator."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return bool(token) and hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
