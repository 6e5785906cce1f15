"""The dashboard at the root of the admin listener: its files, its sessions, and what it draws.

    GET  /                                 the page; /dashboard.css, /dashboard.js
    /v1/session                            `edge/supervisor/dashboard_sessions.py`
    GET  /v1/overview                      everything that the page shows, once a second
    GET  /v1/rooms/{room}/history?minutes  5, 30 or 180 minutes for the plots
    GET  /v1/audit                         the last changes of operators

The page holds no data, so it needs no token. It loads nothing from elsewhere, and its policy allows no inline script.
"""

import time
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.operations.audit import recent
from edge.supervisor.admin_tokens import AdminTokens, Caller
from edge.supervisor.dashboard_sessions import COOKIE, LIFETIME_S, Session, Sessions
from edge.supervisor.notices import UNUSED_S, machine_notices, room_notices
from edge.supervisor.problems import explained, problem
from edge.supervisor.room_api import CALLER, RoomApi, json_response
from edge.supervisor.supervisor import Supervisor
from edge.support.errors import ClientError
from waiting_room.status import timestamp

__all__ = ["OPEN_PATHS", "Dashboard"]

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/dashboard.css": ("dashboard.css", "text/css; charset=utf-8"),
    "/dashboard.js": ("dashboard.js", "text/javascript; charset=utf-8"),
    "/dashboard-plot.js": ("dashboard-plot.js", "text/javascript; charset=utf-8"),
}
#: Paths that need no token: the page, and where a token is shown.
OPEN_PATHS = (*_FILES, "/v1/session")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class _Login(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    token: str = Field(max_length=1024)


class Dashboard:
    """The routes of one supervisor's dashboard."""

    def __init__(self, supervisor: Supervisor, tokens: AdminTokens, api: RoomApi) -> None:
        self._supervisor = supervisor
        self._tokens = tokens
        self._api = api
        self._sessions = Sessions(tokens)
        folder = files("static") / "dashboard"
        self._files = {path: (folder / name).read_bytes() for path, (name, _) in _FILES.items()}

    def routes(self) -> list[web.RouteDef]:
        return [
            *(web.get(path, self._file) for path in _FILES),
            web.get("/v1/session", self._session),
            web.post("/v1/session", self._begin),
            web.delete("/v1/session", self._end),
            web.get("/v1/overview", self._overview),
            web.get("/v1/audit", self._audit),
            web.get("/v1/rooms/{room}/history", self._history),
        ]

    def caller(self, request: web.Request) -> Caller | None:
        """Return the caller of a request that shows a session, None if it shows none or may not make this change."""
        session = self._shown(request)
        if session is None:
            return None
        if request.method not in ("GET", "HEAD") and not Sessions.is_own(
            session, request.headers.get("X-CSRF-Token", "")
        ):
            return None
        return session.caller

    def _shown(self, request: web.Request) -> Session | None:
        return self._sessions.find(request.cookies.get(COOKIE, ""))

    async def _file(self, request: web.Request) -> web.Response:
        _, kind = _FILES[request.path]
        headers = {"Content-Type": kind, "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
        return web.Response(body=self._files[request.path], headers=headers)

    async def _session(self, request: web.Request) -> web.Response:
        if not self._tokens.is_needed:
            return json_response({"is_needed": False, "name": "no token", "role": "admin", "csrf": ""})
        session = self._shown(request)
        if session is None:
            return problem(401, "show a token: POST /v1/session", **{"WWW-Authenticate": "Bearer"})
        return json_response(_described(session))

    async def _begin(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return problem(415, "the token must be sent as application/json")
        try:
            login = _Login.model_validate_json(await request.read())
        except ValidationError as fault:
            return problem(400, explained(fault))
        begun = self._sessions.begin(login.token.strip())
        if begun is None:
            return problem(401, "this token does not count", **{"WWW-Authenticate": "Bearer"})
        cookie, session = begun
        response = json_response(_described(session))
        response.set_cookie(
            COOKIE, cookie, max_age=int(LIFETIME_S), httponly=True, samesite="Strict", secure=request.secure
        )
        return response

    async def _end(self, request: web.Request) -> web.Response:
        session = self._shown(request)
        if session is not None and not Sessions.is_own(session, request.headers.get("X-CSRF-Token", "")):
            return problem(403, "X-CSRF-Token does not belong to this session")
        self._sessions.end(request.cookies.get(COOKIE, ""))
        response = web.Response(status=204)
        response.del_cookie(COOKIE)
        return response

    async def _overview(self, request: web.Request) -> web.Response:
        supervisor = self._supervisor
        workers, redis = supervisor.workers_status(), supervisor.redis_state
        return json_response(
            {
                "time": timestamp(time.time()),
                "version": version("stanchion"),
                "ready": supervisor.is_ready,
                "workers": workers,
                "redis": redis,
                "machines": supervisor.settings.cluster.machines,
                "notices": machine_notices(workers, redis),
                "rooms": [self._room(room.name) for room in supervisor.settings.rooms],
                "role": request[CALLER].role,
            }
        )

    def _room(self, name: str) -> dict[str, Any]:
        shown: Mapping[str, Any] = self._api.shown(name)
        admitted = self._supervisor.history.recent_mean(name, "admitted_per_s", UNUSED_S)
        others = self._supervisor.other_nodes.of(name)
        has_record = self._supervisor.recording.folder is not None
        return {**shown, "notices": room_notices(shown, admitted), "other_nodes": others, "has_record": has_record}

    async def _audit(self, _: web.Request) -> web.Response:
        entries = [{**entry, "time": timestamp(entry["time"])} for entry in recent()]
        return json_response({"entries": entries[::-1]})

    async def _history(self, request: web.Request) -> web.Response:
        room = request.match_info["room"]
        try:
            self._api.shown(room)
            text = request.query.get("minutes", "5")
            if not (text.isascii() and text.isdecimal() and len(text) < 6):
                raise ClientError(f"minutes: must be a whole number, got {text[:20]!r}")
            return json_response(self._supervisor.history.series(room, int(text)))
        except ClientError as fault:
            return problem(fault.status or 400, str(fault))


def _described(session: Session) -> dict[str, Any]:
    caller = session.caller
    return {"is_needed": True, "name": caller.name, "role": caller.role, "csrf": session.csrf}
