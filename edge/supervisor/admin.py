"""The admin listener, for operators and their tools, never for visitors.

/livez      200 while the supervisor runs; depends on nothing
/readyz     200 when settings are loaded and a worker serves; 503 from the moment a stop is asked for. A slow upstream
            does not fail it: visitors then wait, which is what the edge is for
/metrics    Prometheus, summed over the workers
/status     JSON: each room over all nodes, and each node's own view
/lists      GET: the networks that operators have put on a list. POST {"list": "deny", "networks": ["192.0.2.0/24"],
            "seconds": 3600}: put them there, on all machines of the cluster; 'none' takes them off
/v1/...     rooms: `edge/supervisor/room_api.py`
/reload     POST {}: read the settings again. 200 {"restart": [...]} names what waits for the next start; 422
            {"faults": [...]} if the settings have faults: then nothing changed
/           the dashboard: `edge/supervisor/dashboard.py`

The first two answer yes or no and are for probes that cannot send a secret. The others ask for a token, if there are
any: `Authorization: Bearer TOKEN` (`edge/supervisor/admin_tokens.py`). A change must be sent as JSON.

Without a token the listener answers a request only if the `Host` is its own: a loopback address, `localhost`, the host
of `admin.listen` or one of `admin.hosts`. Otherwise a page in an operator's browser could read it, if the page's own
name resolves to this machine (DNS rebinding).
"""

import ipaddress
import json
import logging
from typing import Annotated, Literal
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.operations.audit import audit
from edge.operations.logs import facts
from edge.shield.shared_lists import MOST
from edge.supervisor.admin_tokens import AdminTokens
from edge.supervisor.dashboard import OPEN_PATHS, Dashboard
from edge.supervisor.link_api import LinkApi
from edge.supervisor.problems import explained, problem
from edge.supervisor.report_api import ReportApi
from edge.supervisor.room_api import CALLER, RoomApi
from edge.supervisor.sale_api import SaleApi
from edge.supervisor.sockets import address_of, open_sockets
from edge.supervisor.supervisor import Supervisor
from edge.support.errors import ClientError, ConfigurationError

__all__ = ["AdminListener"]

log = logging.getLogger("edge.admin")

HARDENING = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
#: Paths that probes ask for, and those by which an operator gets a session.
WITHOUT_TOKEN = ("/livez", "/readyz", *OPEN_PATHS)
READING = ("GET", "HEAD")


class AdminListener:
    """Serves one supervisor. Opens its socket when it is made, so that a taken port is a configuration error."""

    def __init__(self, supervisor: Supervisor, tokens: AdminTokens, listen: str | None = None) -> None:
        """listen: the address if not that of the settings."""
        self._supervisor = supervisor
        self._tokens = tokens
        [[self._socket]] = open_sockets([listen or supervisor.settings.admin.listen], 1, "admin.listen")
        self.address = address_of(self._socket)
        admin = supervisor.settings.admin
        listening = urlsplit(admin.listen).hostname or ""
        self._hosts = frozenset(("localhost", _name_of(listening), *(_name_of(each) for each in admin.hosts)))
        self._api = RoomApi(supervisor, self.address)
        self._dashboard = Dashboard(supervisor, tokens, self._api)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "AdminListener":
        app = web.Application(middlewares=[self._ask_host, self._ask_token])
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/status", self._status),
                web.get("/lists", self._lists),
                web.post("/lists", self._change_lists),
                *self._api.routes(),
                *SaleApi(self._supervisor).routes(),
                *LinkApi(self._supervisor).routes(),
                *self._dashboard.routes(),
                *ReportApi(self._supervisor).routes(),
                web.post("/reload", self._reload),
            ]
        )
        app.on_response_prepare.append(_harden)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _ask_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        sent = request.headers.getall("Host", [])
        if not self._tokens.is_needed and sent and not (len(sent) == 1 and self._is_own(sent[0])):
            reason = f"the Host {sent[0][:100]!r} is not this listener's: use localhost, or add its name to admin.hosts"
            log.warning(
                "a request for another host was refused", extra=facts(client=request.remote, host=sent[0][:100])
            )
            if request.method not in READING:
                audit(f"{request.remote}, no token", f"{request.method} {request.path}", f"refused: {reason}")
            return problem(421, reason)
        return await handler(request)

    def _is_own(self, host: str) -> bool:
        """Whether a `Host` field, with or without a port, names this listener."""
        name = _name_of(host)
        if name in self._hosts:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    @web.middleware
    async def _ask_token(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in WITHOUT_TOKEN:
            return await handler(request)
        caller = self._tokens.caller(request.headers.get("Authorization", "")) or self._dashboard.caller(request)
        if caller is None:
            log.warning(
                "a request without the admin token was refused",
                extra=facts(client=request.remote, path=request.path),
            )
            return problem(401, "a token is required", **{"WWW-Authenticate": "Bearer"})
        request[CALLER] = caller
        return await handler(request)

    async def _lists(self, _: web.Request) -> web.Response:
        return _json({"entries": self._supervisor.lists.status()})

    async def _change_lists(self, request: web.Request) -> web.Response:
        actor = _actor(request)
        refusal = _refusal(request, actor, "change lists")
        if refusal is not None:
            return refusal
        try:
            change = Change.model_validate_json(await request.read())
            return _json(self._supervisor.lists.change(actor, change.list, change.networks, change.seconds))
        except ValidationError as fault:
            return _refused(actor, "change lists", 400, explained(fault))
        except ClientError as error:
            return _refused(actor, "change lists", error.status, str(error))

    async def _reload(self, request: web.Request) -> web.Response:
        actor = _actor(request)
        refusal = _refusal(request, actor, "reload")
        if refusal is not None:
            return refusal
        try:
            return _json({"restart": self._supervisor.change_settings(actor)})
        except ConfigurationError as error:
            faults = [{"path": fault.path, "message": fault.message} for fault in error.faults]
            return _json({"source": error.source, "faults": faults}, status=422)

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = self._supervisor.is_ready
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._supervisor.metrics_folder)  # type: ignore[no-untyped-call]
        body = generate_latest(registry) + generate_latest(self._supervisor.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _status(self, _: web.Request) -> web.Response:
        return _json(self._supervisor.status())


class Change(BaseModel):
    """Networks to put on a list, and for how many seconds."""

    model_config = ConfigDict(extra="forbid")

    list: Literal["deny", "allow", "none"]
    networks: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST)]
    seconds: float = 3600.0


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    """Let no response be stored, sniffed, framed or run, and do not name the server software."""
    for name, value in HARDENING.items():
        response.headers.setdefault(name, value)
    response.headers.popall("Server", None)


def _json(value: object, status: int = 200) -> web.Response:
    return web.json_response(value, status=status, dumps=lambda each: json.dumps(each, indent=2) + "\n")


def _actor(request: web.Request) -> str:
    """Return the caller as the audit line names it."""
    return f"{request.remote}, {request[CALLER].name}"


def _refusal(request: web.Request, actor: str, action: str) -> web.Response | None:
    """Return the refusal of a change that is no JSON, or that the caller's role may not make; else None."""
    if request.content_type != "application/json":
        return _refused(actor, action, 415, "a change must be sent as application/json")
    caller = request[CALLER]
    if not caller.may("operate"):
        return _refused(actor, action, 403, f"the role {caller.role!r} may not {action}; it takes the role 'operate'")
    return None


def _refused(actor: str, action: str, status: int, reason: str) -> web.Response:
    audit(actor, action, f"refused: {reason}")
    return web.Response(status=status, text=f"{reason}\n")


def _name_of(host: str) -> str:
    """Return the name or address in a `Host` field, in one form: `[::1]:9090` -> `::1`, `Example.:80` -> `example`."""
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    else:
        name = host if host.count(":") > 1 else host.partition(":")[0]
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower().removesuffix(".")
