"""The admin listener: is it alive, is it ready, how does it do. For operators and their tools, never for visitors.

/livez      200 while the supervisor runs; depends on nothing
/readyz     200 when settings are loaded and a worker listens; 503 from the moment a stop is asked for.
            A slow upstream does not fail it: visitors then wait, which is what the edge is for
/metrics    Prometheus, summed over the workers
/status     JSON: every room over all nodes, and every node's own view

The first two say nothing but yes or no, and are for probes that can carry no secret. The others ask for the token, if
there is one: `Authorization: Bearer TOKEN`, compared in constant time.
"""

import json
import logging
from hmac import compare_digest

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from edge.logs import facts
from edge.workers.sockets import address_of, open_sockets
from edge.workers.supervisor import Supervisor

__all__ = ["AdminListener"]

log = logging.getLogger("edge.admin")

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
            ]
        )
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
        return web.json_response(self._supervisor.status(), dumps=lambda value: json.dumps(value, indent=2) + "\n")
