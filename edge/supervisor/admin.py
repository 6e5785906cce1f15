"""The admin listener: is it alive, is it ready, how does it do. For operators and their tools, never for visitors.

/livez      200 while the supervisor runs; depends on nothing
/readyz     200 when settings are loaded and a worker listens; 503 from the moment a stop is asked for.
            A slow upstream does not fail it: visitors then wait, which is what the edge is for
/metrics    Prometheus, summed over the workers
/status     JSON: every room over all nodes, and every node's own view
/lists      GET: the networks that operators have put on a list. POST {"list": "deny", "networks": ["192.0.2.0/24"],
            "seconds": 3600}: put them there, on all machines of the cluster; 'none' takes them off

The first two say nothing but yes or no, and are for probes that can carry no secret. The others ask for the token, if
there is one: `Authorization: Bearer TOKEN`, compared in constant time. A change must be sent as JSON and, without a
token, to a loopback address by name: a page in an operator's browser can do neither.
"""

import ipaddress
import json
import logging
from hmac import compare_digest
from typing import Annotated, Literal

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.operations.audit import audit, digest
from edge.operations.logs import facts
from edge.shield.shared_lists import MOST
from edge.supervisor.sockets import address_of, open_sockets
from edge.supervisor.supervisor import Supervisor

__all__ = ["AdminListener"]

log = logging.getLogger("edge.admin")

HARDENING = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
#: What probes ask for.
OPEN = ("/livez", "/readyz")


class AdminListener:
    """Serves one supervisor. Opens its socket at once, so that a taken port is a fault of the start."""

    def __init__(self, supervisor: Supervisor, token: bytes | None = None) -> None:
        self._supervisor = supervisor
        self._token = token
        [[self._socket]] = open_sockets([supervisor.settings.admin.listen], 1, "admin.listen")
        self.address = address_of(self._socket)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "AdminListener":
        app = web.Application(middlewares=[self._ask_token])
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/status", self._status),
                web.get("/lists", self._lists),
                web.post("/lists", self._change_lists),
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
    async def _ask_token(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token is not None and request.path not in OPEN:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            sent = given.strip().encode("utf-8", "surrogateescape")  # whatever bytes it has
            if scheme.lower() != "bearer" or not compare_digest(sent, self._token):
                log.warning("refused without the token", extra=facts(client=request.remote, path=request.path))
                return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"}, text="a token is required\n")
        return await handler(request)

    def _who(self, request: web.Request) -> str:
        """The caller, for the audit line."""
        token = "no token" if self._token is None else f"token {digest(self._token)}"
        return f"{request.remote}, {token}"

    async def _lists(self, _: web.Request) -> web.Response:
        return _json({"entries": self._supervisor.listing.status()})

    async def _change_lists(self, request: web.Request) -> web.Response:
        who = self._who(request)

        def refused(status: int, why: str) -> web.Response:
            audit(who, "change lists", f"refused: {why}")
            return web.Response(status=status, text=f"{why}\n")

        if request.content_type != "application/json":
            return refused(415, "a change must be sent as application/json")
        if self._token is None and not _is_loopback(request.host):
            return refused(403, "without a token only loopback addresses may be asked for changes")
        try:
            asked = Change.model_validate_json(await request.read())
            return _json(self._supervisor.listing.change(who, asked.list, asked.networks, asked.seconds))
        except ValidationError as fault:
            wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in fault.errors(include_input=False))
            return refused(400, "; ".join(wrong))
        except ValueError as fault:
            return refused(400, str(fault))

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
    """What is to be on which list, and for how long."""

    model_config = ConfigDict(extra="forbid")

    list: Literal["deny", "allow", "none"]
    networks: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST)]
    seconds: float = 3600.0


async def _harden(_: web.Request, answer: web.StreamResponse) -> None:
    """Every answer: not kept, nothing else than it says it is, nothing to run in it, no word of what serves it."""
    answer.headers.update(HARDENING)
    answer.headers.popall("Server", None)


def _json(value: object) -> web.Response:
    return web.json_response(value, dumps=lambda each: json.dumps(each, indent=2) + "\n")


def _is_loopback(host: str) -> bool:
    """Whether a `Host` names this machine itself: a name that an attacker's DNS answers for does not."""
    name = host.rpartition(":")[0] if host[-1:].isdigit() and ":" in host else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost"
