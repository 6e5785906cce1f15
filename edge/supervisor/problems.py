"""Errors of the API as problem documents (RFC 9457): `application/problem+json`.

{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no room 'chekout'; ..."}
"""

import json
from http import HTTPStatus

from aiohttp import web
from pydantic import ValidationError

__all__ = ["explained", "problem"]


def problem(status: int, detail: str, **headers: str) -> web.Response:
    """Return the response. detail: what is wrong and what to do, for the caller."""
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return web.Response(
        status=status,
        body=json.dumps(document).encode(),
        headers={"Content-Type": "application/problem+json", **headers},
    )


def explained(fault: ValidationError) -> str:
    """Return what is wrong with a body, each fault with its path."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}".removeprefix(": ")
        for each in fault.errors(include_input=False, include_url=False)
    )
