"""The HTTP API by which operators run rooms, on the admin listener.

    GET    /v1/rooms                    every room: its state and its figures
    GET    /v1/rooms/{room}             one room, with its version as `ETag`
    PATCH  /v1/rooms/{room}             change mode, capacity, message (JSON merge patch, RFC 7396); heeds `If-Match`
    DELETE /v1/rooms/{room}/overrides   let the settings file decide again
    GET    /v1/rooms/{room}/stream      the room once a second, as server-sent events
    GET    /v1/rooms/{room}/report      what happened, as a page: `edge/supervisor/report_api.py`
    GET    /v1/openapi.json             this list for programs (OpenAPI 3.1)

Errors are problem documents (RFC 9457). Moments are RFC 3339 in UTC. A change is in force on all workers of the machine
before its response is sent, and on other machines as soon as Redis has carried it.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.operations.audit import audit
from edge.settings.room import RoomMode
from edge.settings.values import Text
from edge.supervisor.admin_tokens import Caller, Role
from edge.supervisor.api_document import openapi
from edge.supervisor.link_bodies import LINK_BODIES
from edge.supervisor.problems import explained, problem
from edge.supervisor.supervisor import Supervisor
from edge.support.errors import ClientError
from waiting_room.status import timestamp

__all__ = [
    "CALLER",
    "RoomApi",
    "RoomPatch",
    "WrongType",
    "actor_of",
    "answering",
    "json_response",
    "wanted_version",
]

CALLER = web.RequestKey("caller", Caller)
"""The caller of a request, set by the admin listener once the token is known."""
STREAM_S = 1.0
MERGE_PATCH = ("application/json", "application/merge-patch+json")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RoomPatch(BaseModel):
    """What a PATCH changes. null leaves a key to the settings file; a key that is not there stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    mode: RoomMode | None = None
    admissions_per_second: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] | None = None
    """0 lets the line stand still."""
    total_active_users: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    message: Annotated[Text, Field(max_length=500)] | None = None
    """What the waiting page shows from the shop; '' shows none."""
    until: Annotated[datetime, Field(strict=False)] | None = None
    """When the settings file decides again: RFC 3339 with an offset."""
    reason: Annotated[Text, Field(max_length=500)] | None = None
    """For other operators and the audit trail; visitors do not see it."""

    def change(self) -> dict[str, Any]:
        """Return the keys that were sent. Raises ClientError if `until` has no offset."""
        change = {key: getattr(self, key) for key in self.model_fields_set}
        if self.until is not None:
            if self.until.tzinfo is None:
                raise ClientError("until: must have an offset, such as 2026-11-27T20:15:00+01:00 or ...Z")
            change["until"] = self.until.timestamp()
        return change


def answering(handler: Handler, role: Role = "view") -> Handler:
    """Return the handler for callers with this role; its errors become problem documents."""

    async def answer(request: web.Request) -> web.StreamResponse:
        caller = request[CALLER]
        try:
            if not caller.may(role):
                raise Forbidden(f"the role {caller.role!r} may not do this; it takes the role {role!r}")
            return await handler(request)
        except ClientError as fault:
            status = fault.status or HTTPStatus.BAD_REQUEST
            if role != "view":
                room = request.match_info.get("room")
                audit(actor_of(request), f"{request.method} {request.path}", f"refused: {fault}", room=room)
            return problem(status, str(fault))

    return answer


class RoomApi:
    """The routes of one supervisor. address: the URL of the admin listener, for the OpenAPI document."""

    def __init__(self, supervisor: Supervisor, address: str) -> None:
        self._supervisor = supervisor
        self._address = address

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/rooms", answering(self._rooms)),
            web.get("/v1/rooms/{room}", answering(self._room)),
            web.patch("/v1/rooms/{room}", answering(self._change, "operate")),
            web.delete("/v1/rooms/{room}/overrides", answering(self._reset, "operate")),
            web.get("/v1/rooms/{room}/stream", answering(self._stream)),
            web.get("/v1/openapi.json", answering(self._openapi)),
        ]

    async def _rooms(self, _: web.Request) -> web.Response:
        names = [room.name for room in self._supervisor.settings.rooms]
        return json_response({"rooms": [self.shown(name) for name in names]})

    async def _room(self, request: web.Request) -> web.Response:
        return self._current(request.match_info["room"])

    async def _change(self, request: web.Request) -> web.Response:
        if request.content_type not in MERGE_PATCH:
            raise WrongType(f"a change must be sent as {' or '.join(MERGE_PATCH)}")
        try:
            change = RoomPatch.model_validate_json(await request.read()).change()
        except ValidationError as fault:
            raise ClientError(explained(fault)) from None
        supervisor, room = self._supervisor, request.match_info["room"]
        supervisor.operators.rooms.change(actor_of(request), supervisor.settings, room, change, wanted_version(request))
        return self._current(room)

    async def _reset(self, request: web.Request) -> web.Response:
        supervisor, room = self._supervisor, request.match_info["room"]
        supervisor.operators.rooms.reset(actor_of(request), supervisor.settings, room, wanted_version(request))
        return self._current(room)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        room = request.match_info["room"]
        self.shown(room)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while not self._supervisor.is_stopping:
            await response.write(b"data: %b\n\n" % json.dumps(self.shown(room)).encode())
            await asyncio.sleep(STREAM_S)
        return response

    async def _openapi(self, _: web.Request) -> web.Response:
        rooms = [room.name for room in self._supervisor.settings.rooms]
        return json_response(openapi(self._address, RoomPatch, rooms, LINK_BODIES))

    def _current(self, room: str) -> web.Response:
        response = json_response(self.shown(room))
        response.headers["ETag"] = f'"{self._supervisor.operators.rooms.version(room)}"'
        return response

    def shown(self, room: str) -> dict[str, Any]:
        """Return a room's state and figures. Raises NoSuchRoom."""
        supervisor = self._supervisor
        operators = supervisor.operators
        state = operators.rooms.status(operators.sales.extended(supervisor.settings), room)
        for key in ("until", "changed_at"):
            if state[key] is not None:
                state[key] = timestamp(state[key])
        figures = supervisor.room_status(room)
        sale, version = operators.sale_of(room)
        return {**state, "time": timestamp(time.time()), "sale": sale, "sales_version": version, "figures": figures}


class Forbidden(ClientError):
    """The caller's role does not include what it asks for."""

    status = 403


class WrongType(ClientError):
    """The body is not of a type that the resource takes."""

    status = 415


def actor_of(request: web.Request) -> str:
    return f"{request.remote}, {request[CALLER].name}"


def wanted_version(request: web.Request) -> str | None:
    """Return the version that the change is based on; None if the caller does not say.

    Raises ClientError if the field is not one strong entity tag.
    """
    field = request.headers.get("If-Match")
    if field is None or field.strip() == "*":
        return None
    tag = field.strip()
    if len(tag) < 2 or tag[0] != '"' or tag[-1] != '"':
        raise ClientError('If-Match: must be the ETag of the resource, such as "61f3a0", or *')
    return tag[1:-1]


def json_response(value: object) -> web.Response:
    return web.json_response(value, dumps=lambda each: json.dumps(each, indent=2) + "\n")
