"""CORS: which other origins may send requests to a room from a browser, and may read what the edge answers.

    a preflight in a room with origins       answered here: 204, with the policy
    a preflight in a room without origins    goes to the shop, which has a policy of its own
    the edge's answers (waiting, status)     carry the policy of the room, for the origins that it names
    the shop's answers                       carry the shop's own policy; the edge adds nothing

A preflight carries no cookie by design, so it could never have a place. (Fetch, 3.2; RFC 9110, 12.5.5)
"""

from functools import lru_cache
from typing import Final

from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Headers
from edge.rooms.room import Room
from edge.settings.room import CorsSettings

__all__ = ["fields_for", "preflight", "preflight_answer"]

#: Fields of the edge's answers that a script of another origin may read.
_EXPOSED: Final = "Stanchion-State, Retry-After, Date"
#: Methods that a preflight is answered with, beside the one that it asks for.
_STATUS_METHODS: Final = "GET, HEAD"


def fields_for(cors: CorsSettings, head: RequestHead) -> Headers:
    """Return the fields that an answer of the edge carries for the origin of a request; () if it has none."""
    origin = head.metadata.origin
    if not cors.origins or not origin:
        return ()
    return _fields(cors, origin)


def preflight_answer(cors: CorsSettings, head: RequestHead, *, is_status: bool) -> Answer:
    """Return the answer to a preflight. An origin that the room does not name gets no permission."""
    metadata = head.metadata
    fields = _fields(cors, metadata.origin)
    headers: Headers = (
        ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        ("Cache-Control", "no-store"),
    )
    if len(fields) > 1:
        method = _STATUS_METHODS if is_status else metadata.asked_method
        asked = metadata.asked_fields
        headers = (
            *(field for field in fields if field[0] not in ("Vary", "Access-Control-Expose-Headers")),
            ("Access-Control-Allow-Methods", method),
            *((("Access-Control-Allow-Headers", asked),) if asked else ()),
            ("Access-Control-Max-Age", str(int(cors.max_age_seconds))),
            *headers,
        )
    return Answer(204, headers, b"", "preflight")


@lru_cache(maxsize=1024)
def _fields(cors: CorsSettings, origin: str) -> Headers:
    """Return the permission for an origin. `Vary` stands there for every origin, because the answer depends on it."""
    if not cors.covers(origin):
        return (("Vary", "Origin"),)
    credentials = (("Access-Control-Allow-Credentials", "true"),) if cors.credentials else ()
    return (
        ("Access-Control-Allow-Origin", origin),
        *credentials,
        ("Access-Control-Expose-Headers", _EXPOSED),
        ("Vary", "Origin"),
    )


def preflight(head: RequestHead, room: Room, *, is_own: bool) -> tuple[Answer | None, Room | None]:
    """Answer a preflight by the room's policy, or let it go to the shop as if no room covered it."""
    cors = room.settings.cors
    if is_own or cors.origins:
        return preflight_answer(cors, head, is_status=is_own), None
    return None, None
