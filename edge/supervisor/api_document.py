"""The OpenAPI document of the API (`edge/supervisor/room_api.py`), made from the models that read the requests."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, get_args

from pydantic import BaseModel

from edge.messages.cluster import RoomState
from edge.rooms.sale_clock import PhaseName
from edge.settings.sale import SaleSettings
from edge.supervisor.link_document import LINK, links_schema, revoked_schema
from edge.supervisor.room_control import CHANGEABLE

__all__ = ["openapi"]

MOMENT = {"type": ["string", "null"], "format": "date-time"}
SALE = {
    "name": "sale",
    "in": "path",
    "required": True,
    "description": "The name of a sale.",
    "schema": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"},
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the room that the change is based on. Another version is refused with 412.",
    "schema": {"type": "string", "pattern": '^(\\*|"[0-9a-f]{1,32}")$'},
}


def openapi(
    address: str, patch: type[BaseModel], rooms: Sequence[str], links: Mapping[str, type[BaseModel]]
) -> dict[str, Any]:
    """Return the document. address: the URL of the admin listener. patch: the body of a change. rooms: their names.
    links: the bodies that ask for links, by the name of their schema."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Stanchion",
            "version": version("stanchion"),
            "description": "Run the rooms of a waiting room. All changes are audited.",
        },
        "servers": [{"url": address}],
        "security": [{}, {"token": []}],
        "paths": _paths(rooms),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "RoomPatch": patch.model_json_schema(),
                "Room": _room_schema(),
                "Rooms": {
                    "type": "object",
                    "required": ["rooms"],
                    "properties": {"rooms": {"type": "array", "items": {"$ref": "#/components/schemas/Room"}}},
                },
                "Problem": _problem_schema(),
                "SaleInput": SaleSettings.model_json_schema(),
                "Sales": _sales_schema(),
                "Links": links_schema(),
                "Revoked": revoked_schema(),
                **{name: model.model_json_schema() for name, model in links.items()},
            },
        },
    }


def _paths(rooms: Sequence[str]) -> dict[str, Any]:
    room = {
        "name": "room",
        "in": "path",
        "required": True,
        "description": "The room's name in the settings.",
        "schema": {"type": "string", "enum": list(rooms)},
    }
    events = {"description": "The events.", "content": {"text/event-stream": {"schema": {}}}}
    follow = "The room once a second, as server-sent events with the same document as readRoom."
    document = {"200": _ok("This document.", None)}
    return {
        "/v1/rooms": {"get": _operation("listRooms", "Every room.", {"200": _ok("Every room.", "Rooms")})},
        "/v1/rooms/{room}": {
            "parameters": [room],
            "get": _operation("readRoom", "One room.", {"200": _room("The room."), "404": _problem(404)}),
            "patch": _change(),
        },
        "/v1/rooms/{room}/overrides": {"parameters": [room], "delete": _reset()},
        "/v1/rooms/{room}/stream": {
            "parameters": [room],
            "get": _operation("followRoom", follow, {"200": events, "404": _problem(404)}),
        },
        "/v1/rooms/{room}/sales": {
            "parameters": [room],
            "get": _operation("listSales", "The sales of a room.", {"200": _sales(), "404": _problem(404)}),
            "post": _put_sale(),
        },
        "/v1/rooms/{room}/sales/{sale}": {"parameters": [room, SALE], "delete": _remove_sale()},
        **_links(room),
        "/v1/rooms/{room}/report": {"parameters": [room], "get": _report()},
        "/v1/openapi.json": {"get": _operation("readDocument", "This document.", document)},
    }


def _links(room: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, name, text in (("invites", "Invites", "invites to a lane"), ("staff-links", "StaffLinks", "staff links")):
        schema = {"schema": {"$ref": f"#/components/schemas/{name}Wanted"}}
        make = _operation(
            f"make{name}",
            f"Make {text}. They are told once.",
            {"200": _ok("The links.", "Links"), **_problems(400, 403, 404, 415)},
            requestBody={"required": True, "content": {"application/json": schema}},
        )
        revoke = _operation(
            f"revoke{name}",
            f"Revoke one or a batch of the {text}, on all machines.",
            {"200": _ok("What was revoked.", "Revoked"), **_problems(400, 403, 404, 409)},
        )
        found[f"/v1/rooms/{{room}}/{kind}"] = {"parameters": [room], "post": make}
        found[f"/v1/rooms/{{room}}/{kind}/{{link}}"] = {"parameters": [room, LINK], "delete": revoke}
    return found


def _change() -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/RoomPatch"}}
    kinds = ("application/json", "application/merge-patch+json")
    return _operation(
        "changeRoom",
        "Change a room on all machines (JSON merge patch). null leaves a key to the settings file.",
        {"200": _room("The room after the change."), **_problems(400, 403, 404, 412, 415)},
        parameters=[IF_MATCH],
        requestBody={"required": True, "content": dict.fromkeys(kinds, schema)},
    )


def _report() -> dict[str, Any]:
    moment = {"type": "number", "minimum": 0, "maximum": 99_999_999_999}
    named = {"since": "From this moment on", "until": "Up to this moment"}
    times = [
        {"name": name, "in": "query", "description": f"{text}, seconds since 1970.", "schema": moment}
        for name, text in named.items()
    ]
    kind = {"name": "format", "in": "query", "schema": {"enum": ["html", "json"]}}
    made = {"text/html": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}}
    return _operation(
        "readReport",
        "The report of a room from this machine's record: one HTML page, or its figures.",
        {"200": {"description": "The report.", "content": made}, **_problems(400, 404, 500)},
        parameters=[*times, kind],
    )


def _reset() -> dict[str, Any]:
    return _operation(
        "resetRoom",
        "Let the settings file decide again.",
        {"200": _room("The room as the settings have it."), **_problems(400, 403, 404, 412)},
        parameters=[IF_MATCH],
    )


def _put_sale() -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/SaleInput"}}
    return _operation(
        "putSale",
        "Add a sale, or replace the one of its name, on all machines.",
        {"200": _sales(), **_problems(400, 403, 404, 412, 415)},
        parameters=[IF_MATCH],
        requestBody={"required": True, "content": {"application/json": schema}},
    )


def _remove_sale() -> dict[str, Any]:
    return _operation(
        "removeSale",
        "Take away what operators said of a sale. One of the settings file is as the file has it again.",
        {"200": _sales(), **_problems(400, 403, 404, 409, 412)},
        parameters=[IF_MATCH],
    )


def _problems(*statuses: int) -> dict[str, Any]:
    return {str(status): _problem(status) for status in statuses}


def _operation(name: str, text: str, responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"operationId": name, "summary": text, "responses": {**responses, "401": _problem(401)}, **more}


def _ok(text: str, schema: str | None) -> dict[str, Any]:
    reference = {"type": "object"} if schema is None else {"$ref": f"#/components/schemas/{schema}"}
    return {"description": text, "content": {"application/json": {"schema": reference}}}


def _room(text: str) -> dict[str, Any]:
    etag = {"description": "The room's version.", "schema": {"type": "string"}}
    return {**_ok(text, "Room"), "headers": {"ETag": etag}}


def _sales() -> dict[str, Any]:
    etag = {"description": "The version of what operators said.", "schema": {"type": "string"}}
    return {**_ok("The sales of the room.", "Sales"), "headers": {"ETag": etag}}


PROBLEMS = {
    400: "The request is not valid.",
    401: "A token is required.",
    403: "The token's role does not include this.",
    404: "There is no such room or sale, or no record of the room.",
    409: "The sale is one of the settings file, or too many links are revoked.",
    412: "Another operator changed the room meanwhile.",
    415: "The body is of another type.",
    500: "The edge could not do it.",
}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": PROBLEMS[status], "content": {"application/problem+json": {"schema": schema}}}


def _problem_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    }


def _room_schema() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "room": {"type": "string"},
        "mode": {"enum": list(RoomState.__annotations__["mode"].__args__[0].__args__)},
        "admissions_per_second": {"type": "number", "description": "Of all machines together."},
        "total_active_users": {"type": ["integer", "null"]},
        "message": {"type": ["string", "null"]},
        "until": {**MOMENT, "description": "When the settings file decides again."},
        "reason": {"type": ["string", "null"]},
        "changed": {
            "type": "array",
            "items": {"enum": list(CHANGEABLE)},
            "description": "The keys in which the room differs from the settings file by an operator's word.",
        },
        "changed_at": MOMENT,
        "changed_by": {"type": ["string", "null"]},
        "version": {"type": "string", "description": "Also the ETag."},
        "time": {"type": "string", "format": "date-time", "description": "The machine's clock."},
        "sale": {
            "type": ["object", "null"],
            "description": "The sale that concerns the room now, or the next one, with its phase.",
        },
        "sales_version": {"type": "string", "description": "The ETag of the sales."},
        "figures": {"type": "object", "description": "The same figures as /status, of this machine."},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _sales_schema() -> dict[str, Any]:
    sale = {
        "type": "object",
        "required": ["name", "prequeue_at", "opens_at", "closes_at", "order", "suspended", "source", "draw"],
        "properties": {
            "name": {"type": "string"},
            "prequeue_at": MOMENT,
            "opens_at": MOMENT,
            "closes_at": MOMENT,
            "order": {"enum": ["arrival", "draw"]},
            "suspended": {"type": "boolean"},
            "source": {"enum": ["file", "operator"], "description": "Where the present values come from."},
            "draw": {
                "type": ["object", "null"],
                "description": "What verifies the draw. `seed` is null until the sale has opened.",
            },
        },
    }
    properties: dict[str, Any] = {
        "room": {"type": "string"},
        "phase": {"enum": list(get_args(PhaseName))},
        "sale": {"type": ["string", "null"], "description": "The sale that the phase belongs to."},
        "time": {"type": "string", "format": "date-time", "description": "The machine's clock."},
        "version": {"type": "string", "description": "Also the ETag."},
        "sales": {"type": "array", "items": sale},
    }
    return {"type": "object", "required": list(properties), "properties": properties}
