"""Read the body of a request. A body that cannot be read is the fault of the client: 400, 413 or 415."""

import json
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from checkout.errors import BadRequest, UnknownCharset

#: aiohttp raises these for bodies that do not match their headers: a wrong charset, length, encoding or boundary.
FAULTY = (web.RequestPayloadError, HttpProcessingError, RuntimeError, AssertionError)
UNREADABLE = (*FAULTY, ValueError, LookupError, RecursionError)


async def fields(request: web.Request) -> dict[str, str]:
    """Return the fields of a form or of a flat JSON object. Any other body has no fields.

    Raises `BadRequest` if the body does not match its own headers, and `UnknownCharset`.
    """
    _check_charset(request)
    try:
        if request.content_type == "application/json":
            body = await _json(request)
            return {str(k): str(v) for k, v in body.items()} if isinstance(body, dict) else {}
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    except UNREADABLE as error:
        if isinstance(error, FAULTY):
            raise BadRequest("the body does not match its headers") from error
        return {}


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a request; without a body, an empty one. Raises `BadRequest`."""
    if not request.body_exists:
        return {}
    _check_charset(request)
    try:
        body = await _json(request)
    except UNREADABLE as error:
        raise BadRequest("expected a JSON object") from error
    if not isinstance(body, dict):
        raise BadRequest("expected a JSON object")
    return body


async def _json(request: web.Request) -> Any:
    return json.loads((await request.read()).decode(request.charset or "utf-8"))


def _check_charset(request: web.Request) -> None:
    """Raise `UnknownCharset` unless the charset of the request names a text encoding."""
    charset = request.charset
    try:
        if charset is not None:
            b"".decode(charset)
            "".encode(charset)
    except (LookupError, ValueError) as error:
        raise UnknownCharset("Content-Type: the charset is not known; send utf-8") from error
