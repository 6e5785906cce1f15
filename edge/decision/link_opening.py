"""Links that operators hand out: an invite puts its holder into a lane, a staff link lets in without waiting.

    GET /checkout?stanchion_invite=TOKEN   not authentic, expired, revoked, opened too often   -> Answer: 403 or 410
                                           the same browser again, or one use left             -> Answer: 303 to
                                                                                /checkout, with the claim as a cookie
                                           a preview, a prefetch, a robot              -> the same, without the claim
    GET /checkout?stanchion_staff=TOKEN    the same, with the claim of a staff link

    a request with the claim of a staff link, while it lasts   -> Forward: no token, no place, no vacancy

A link works at each address that a room covers; it is for the room that it names. The supervisor counts how often an
invite was opened (`edge/rooms/link_client.py`). So opening an invite waits for its answer; nothing else does.
"""

import logging
import re
from collections.abc import Mapping
from typing import Final

from edge.decision.claims import Claims
from edge.decision.context import DecisionContext
from edge.decision.forwarding import forward_unqueued
from edge.decision.responses import Responses
from edge.decision.visits import VISIT, says_robot
from edge.messages.head import RequestHead
from edge.messages.processes import LinkOutcome
from edge.messages.verdict import Answer, Deferred, Forward, Headers, Verdict
from edge.operations import logs
from edge.operations.metrics import Metrics
from edge.rooms.binding import Binding
from edge.rooms.link_client import LinkClient
from edge.rooms.room import Room
from waiting_room.links import BY_INVITE, BY_STAFF_LINK, Claim, Link, Links

__all__ = ["LinkOpening", "link_in", "without_link"]

log = logging.getLogger("edge.links")

#: Every parameter that holds a link begins so.
MARK: Final = "stanchion_"
#: A parameter that holds a link. What a mail program has put behind the token is no part of it.
_LINK: Final = re.compile(r"stanchion_(invite|staff)=([A-Za-z0-9._~-]*)")
_KINDS: Final = {"invite": BY_INVITE, "staff": BY_STAFF_LINK}
_WHY: Final = {
    "forged": (403, "this link is not valid: it may be cut off or changed on its way"),
    "expired": (410, "this link has expired"),
    "revoked": (410, "this link was revoked"),
    "used": (410, "this link was opened in another browser already"),
    "unverified": (503, "it cannot be found out now whether this link was opened already; try again in a moment"),
}


def link_in(target: str) -> tuple[str, str] | None:
    """Return the kind and the token of the first link in a target's query; None if there is none."""
    for parameter in target.partition("?")[2].split("&"):
        found = _LINK.match(parameter)
        if found is not None:
            return _KINDS[found[1]], found[2]
    return None


def without_link(target: str) -> str:
    """Return a target without its first link: the next one is opened after the redirect. The path stays as it is, so no
    value of a link leads out of the room."""
    path, _, query = target.partition("?")
    parameters = query.split("&")
    for at, parameter in enumerate(parameters):
        if _LINK.match(parameter) is not None:
            left = "&".join(parameters[:at] + parameters[at + 1 :])
            return f"{path}?{left}" if left else path
    return target


def _see_other(head: RequestHead, cookie: Headers = ()) -> Answer:
    """Redirect to the address without the link."""
    location = ("Location", f"{head.scheme}://{head.forwarded_host or head.host}{without_link(head.target)}")
    fields = (("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"))
    return Answer(303, fields, b"", "redirected", (location, *cookie))


class LinkOpening:
    """One node's. bindings: by room. client: None if nobody can be asked."""

    def __init__(
        self,
        links: Links,
        claims: Claims,
        bindings: Mapping[str, Binding],
        responses: Responses,
        metrics: Metrics,
        client: LinkClient | None,
    ) -> None:
        self._links = links
        self._claims = claims
        self._bindings = bindings
        self._responses = responses
        self._metrics = metrics
        self._client = client

    def open(self, request: DecisionContext, room: Room, kind: str, token: str, now: float) -> Verdict:
        """Answer a request that has a link in its address."""
        link = self._links.read(token, kind)
        if link is None or link.room != room.name:
            return self._refuse(request, room, kind, "forged")
        if self._claims.is_revoked(link.id):
            return self._refuse(request, room, kind, "revoked")
        if now >= link.expires:
            return self._refuse(request, room, kind, "expired")
        head = request.head
        if request.kind != VISIT or says_robot(head.user_agent):
            return _see_other(head)  # a messenger or mail program loads a link to show a preview of it
        if not link.uses:
            return self._opened(request, room, link, now)
        client = self._client
        if client is None:
            return self._refuse(request, room, kind, "unverified")
        holder = self._bindings[room.name].binding_digest(link.id, request.head)

        def settle(outcome: LinkOutcome) -> Verdict:
            if outcome == "granted":
                return self._opened(request, room, link, now)
            return self._refuse(request, room, kind, outcome)

        return Deferred(lambda then: client.ask(link, holder, lambda outcome: then(settle(outcome))))

    def _opened(self, request: DecisionContext, room: Room, link: Link, now: float) -> Answer:
        head = request.head
        self._count(room, link.kind, "opened")
        if link.kind == BY_STAFF_LINK:
            log.info("a staff link was opened", extra=logs.facts(room=room.name, link=link.id, client=head.client_ip))
        cookie = self._claims.give(link.kind, link.room, link.lane, link.id, link.expires, head, now)
        return _see_other(head, cookie)

    def _refuse(self, request: DecisionContext, room: Room, kind: str, result: str) -> Answer:
        self._count(room, kind, result)
        code, detail = _WHY[result]
        head, retry_s = request.head, 2 if code == 503 else None
        language = self._responses.language(head.accept_language)
        return self._responses.problem(
            code, wants_page=request.wants_page, detail=detail, retry_after_s=retry_s, language=language
        )

    def _count(self, room: Room, kind: str, result: str) -> None:
        self._metrics.links.count(room.name, "staff" if kind == BY_STAFF_LINK else "invite", result)

    def let_in(self, room: Room, claim: Claim, now: float) -> Forward:
        """Forward the request of a member of staff."""
        self._metrics.staff.count_one(room.name)
        return forward_unqueued(room, f"staff-{claim.id}", "staff", now)
