"""Cookies by redirect: for load balancers that lose the `Set-Cookie` fields of an allowed request.

    a visitor with a credential         303 to the same address; the cookie comes back with the next request
    an app, or a request that is no navigation   the status document `admitted` with the pass: it asks again
    a newcomer, admitted at once        303 to /_stanchion/enter?room=ROOM&to=TARGET
                                          with the cookie      303 to TARGET
                                          without it           a page: the browser keeps no cookies

A newcomer may refuse cookies. Sent to the same address they would be admitted again and again, each time by a token.
The address of the edge's own is not asked about, so that loop ends after one turn. Both redirects name the host that
was asked: `to` is a path, so nobody can be sent to another site.
"""

import re
from typing import Final
from urllib.parse import parse_qs, quote

from edge.decision.context import DecisionContext
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Headers
from waiting_room.cookie_field import cookie_name

__all__ = ["ENTER_PATH", "enter", "redirect_with"]

ENTER_PATH: Final = "/_stanchion/enter"
_NOT_STORED: Final[Headers] = (("Cache-Control", "no-store"),)
#: A request target in origin form: visible ASCII without a fragment.
_TARGET: Final = re.compile(r"/[!\"$-~]*")


def redirect_with(context: DecisionContext, to_visitor: Headers) -> Answer | None:
    """Return the redirect that sets the cookie of an admitted visitor.

    Return None if the client would not follow it: it is no navigation by GET or HEAD.
    """
    head = context.head
    if head.method not in ("GET", "HEAD") or not context.wants_page:
        return None
    target = head.target
    if context.credential is None and context.room is not None:
        target = f"{ENTER_PATH}?room={context.room.name}&to={quote(target, safe='')}"
    cookies = tuple([field for field in to_visitor if field[0] == "Set-Cookie"])
    return _see_other(head, target, cookies)


def enter(head: RequestHead) -> Answer | None:
    """Return the redirect to the target that a newcomer wanted. None if the room's cookie did not come back."""
    path, _, query = head.target.partition("?")
    values = parse_qs(query)
    room, target = (values.get("room") or [""])[0], (values.get("to") or [""])[0]
    if path != ENTER_PATH or not room or f"{cookie_name(room)}=" not in head.cookie or not _TARGET.fullmatch(target):
        return None
    return _see_other(head, target, ())


def _see_other(head: RequestHead, target: str, cookies: Headers) -> Answer:
    location = ("Location", f"{head.scheme}://{head.host}{target}")
    return Answer(303, _NOT_STORED, b"", "redirected", (location, *cookies))
