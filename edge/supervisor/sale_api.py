"""The HTTP API of scheduled sales, on the admin listener.

    GET    /v1/rooms/{room}/sales          the sales of a room and its phase, with their version as `ETag`
    POST   /v1/rooms/{room}/sales          add a sale, or replace the one of its name; heeds `If-Match`
    DELETE /v1/rooms/{room}/sales/{sale}   take away what operators said of a sale; heeds `If-Match`

A change is in force on all workers of the machine before its response is sent, as one of a room is (`room_api.py`).
"""

from aiohttp import web
from pydantic import ValidationError

from edge.settings.sale import SaleSettings
from edge.supervisor.problems import explained
from edge.supervisor.room_api import WrongType, actor_of, answering, json_response, wanted_version
from edge.supervisor.supervisor import Supervisor
from edge.support.errors import ClientError

__all__ = ["SaleApi"]


class SaleApi:
    """The routes of one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/rooms/{room}/sales", answering(self._sales)),
            web.post("/v1/rooms/{room}/sales", answering(self._put, "operate")),
            web.delete("/v1/rooms/{room}/sales/{sale}", answering(self._remove, "operate")),
        ]

    async def _sales(self, request: web.Request) -> web.Response:
        return self._current(request)

    async def _put(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            raise WrongType("a sale must be sent as application/json")
        try:
            sale = SaleSettings.model_validate_json(await request.read())
        except ValidationError as fault:
            raise ClientError(explained(fault)) from None
        supervisor, room = self._supervisor, request.match_info["room"]
        version = wanted_version(request)
        supervisor.operators.sales.put(actor_of(request), supervisor.settings, room, sale, version)
        return self._current(request)

    async def _remove(self, request: web.Request) -> web.Response:
        supervisor, room, sale = self._supervisor, request.match_info["room"], request.match_info["sale"]
        version = wanted_version(request)
        supervisor.operators.sales.remove(actor_of(request), supervisor.settings, room, sale, version)
        return self._current(request)

    def _current(self, request: web.Request) -> web.Response:
        document = self._supervisor.operators.sales_of(request.match_info["room"])
        response = json_response(document)
        response.headers["ETag"] = f'"{document["version"]}"'
        return response
