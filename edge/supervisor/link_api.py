"""The HTTP API of invites and staff links, on the admin listener.

    POST   /v1/rooms/{room}/invites             make invites to a lane
    DELETE /v1/rooms/{room}/invites/{link}      revoke one, or a batch of them
    POST   /v1/rooms/{room}/staff-links         make links that let in without waiting
    DELETE /v1/rooms/{room}/staff-links/{link}  revoke one, or a batch of them

Nothing is stored of a link, so it is told once, in the response that makes it. `link` is the id of a link, or of its
batch. A revocation is in force on all workers of the machine before its response is sent.
"""

from aiohttp import web
from pydantic import ValidationError

from edge.supervisor.link_bodies import InvitesWanted, StaffLinksWanted
from edge.supervisor.problems import explained
from edge.supervisor.room_api import WrongType, actor_of, answering, json_response
from edge.supervisor.supervisor import Supervisor
from edge.support.errors import ClientError
from waiting_room.links import BY_INVITE, BY_STAFF_LINK

__all__ = ["LinkApi"]


class LinkApi:
    """The routes of one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/rooms/{room}/invites", answering(self._invite, "operate")),
            web.delete("/v1/rooms/{room}/invites/{link}", answering(self._revoke_invite, "operate")),
            web.post("/v1/rooms/{room}/staff-links", answering(self._let_staff_in, "operate")),
            web.delete("/v1/rooms/{room}/staff-links/{link}", answering(self._revoke_staff_link, "operate")),
        ]

    async def _invite(self, request: web.Request) -> web.Response:
        body = await _json_body(request)
        try:
            wanted = InvitesWanted.model_validate_json(body)
        except ValidationError as fault:
            raise ClientError(explained(fault)) from None
        return self._make(request, BY_INVITE, wanted, wanted.lane, wanted.uses)

    async def _let_staff_in(self, request: web.Request) -> web.Response:
        body = await _json_body(request)
        try:
            wanted = StaffLinksWanted.model_validate_json(body)
        except ValidationError as fault:
            raise ClientError(explained(fault)) from None
        return self._make(request, BY_STAFF_LINK, wanted, "", 0)

    def _make(self, request: web.Request, kind: str, wanted: StaffLinksWanted, lane: str, uses: int) -> web.Response:
        made = self._supervisor.operators.links.make(
            actor_of(request),
            kind,
            request.match_info["room"],
            lane=lane,
            count=wanted.count,
            uses=uses,
            seconds=wanted.expires_in_seconds,
            url=wanted.url,
            note=wanted.note,
        )
        return json_response(made)

    async def _revoke_invite(self, request: web.Request) -> web.Response:
        return self._revoke(request, BY_INVITE)

    async def _revoke_staff_link(self, request: web.Request) -> web.Response:
        return self._revoke(request, BY_STAFF_LINK)

    def _revoke(self, request: web.Request, kind: str) -> web.Response:
        room, link = request.match_info["room"], request.match_info["link"]
        return json_response(self._supervisor.operators.links.revoke(actor_of(request), kind, room, link))


async def _json_body(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        raise WrongType("the body must be JSON, with Content-Type: application/json")
    return await request.read()
