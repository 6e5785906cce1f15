"""Envoy's external authorization over gRPC: `envoy.service.auth.v3.Authorization/Check`, with health and reflection.

    CheckRequest -> AskedHead -> AskDecider (`asking.py`) -> CheckResponse

The service needs the packages of `stanchion[grpc]`, so this module is imported only if `plugins.grpc_listen` is set.
gRPC opens its own sockets: every worker listens on the same address with SO_REUSEPORT, and a worker that is killed
loses the calls in its queue, which Envoy repeats or fails by `failure_mode_allow`.

A response's body is text in protobuf, so pages are sent without a content coding; Envoy may compress them. The
visitor's address is the one that Envoy saw; `X-Forwarded-For` counts behind `trusted_proxies` only.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from edge.messages.verdict import Answer, Deferred, Verdict
from edge.messages.watcher import Watcher
from edge.plugins.asking import Allowed, AskDecider, AskedHead
from edge.plugins.endpoint import STANCHION_FIELDS, Endpoint, grpc_endpoint_of
from edge.plugins.ext_authz_messages import CHECK, SERVICE, CheckRequest, CheckResponse
from edge.settings.model import Settings
from edge.support.client_address import TrustedProxies
from edge.support.errors import InternalError

__all__ = ["ExtAuthzServer"]

#: `google.rpc.Code`.
_OK, _PERMISSION_DENIED = 0, 7
#: `HeaderValueOption.append_action`.
_ADD, _REPLACE = 0, 2
_LOOPBACK: Final = ("127.0.0.1", "::1")
#: Fields of an answer that Envoy writes itself.
_OF_ENVOY: Final = frozenset(("content-length", "date", "connection"))


class ExtAuthzServer:
    """One worker's. clock(): wall clock, seconds. uniform(): a random number in [0, 1)."""

    def __init__(
        self,
        settings: Settings,
        decider: AskDecider,
        watcher: Watcher,
        clock: Callable[[], float],
        uniform: Callable[[], float],
    ) -> None:
        self._watcher = watcher
        self._clock = clock
        self._uniform = uniform
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self.use(settings, decider)

    def use(self, settings: Settings, decider: AskDecider) -> None:
        """Answer the next questions by these."""
        endpoint = grpc_endpoint_of(settings.plugins)
        if endpoint is None:
            raise InternalError("the gRPC listener has no endpoint")
        self._endpoint: Endpoint = endpoint
        self._decider = decider
        self._trusted = TrustedProxies(settings.trusted_proxies)
        self._peers = TrustedProxies(settings.plugins.peers)

    async def listen(self, address: str) -> None:
        """Serve at HOST:PORT."""
        server = self._server = grpc.aio.server(options=(("grpc.so_reuseport", 1),))
        check = grpc.unary_unary_rpc_method_handler(
            self._check,
            request_deserializer=CheckRequest.FromString,
            response_serializer=CheckResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {CHECK: check}),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        server.add_insecure_port(address)
        await server.start()
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def drain(self, grace_s: float) -> None:
        """Take no further calls, let those under way end within `grace_s`."""
        await self._health.enter_graceful_shutdown()
        if self._server is not None:
            await self._server.stop(grace_s)

    async def _check(self, request: Any, call: Any) -> Any:
        peer = call.peer().partition(":")[2].rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
        if not self._peers.trusts(peer):
            await call.abort(grpc.StatusCode.PERMISSION_DENIED, f"{peer} is not one of plugins.peers")
        head = self._head(request.attributes)
        context = self._decider.classify(head)
        answer = await self._settle(self._decider.decide(context, self._clock(), self._uniform()))
        self._watcher.record(head, answer.outcome, answer.status, len(answer.body), 0.0, to_upstream=False)
        return _allowed(answer) if isinstance(answer, Allowed) else _denied(answer)

    async def _settle(self, verdict: Verdict) -> Answer:
        """Return the answer, after the wait of a parked poll or of a redemption check."""
        while isinstance(verdict, Deferred):
            later: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

            def then(settled: Verdict, later: "asyncio.Future[Verdict]" = later) -> None:
                if not later.done():
                    later.set_result(settled)

            hang_up = verdict.ask(then)
            try:
                verdict = await later
            except asyncio.CancelledError:
                # Envoy has given up, or the visitor is gone.
                if hang_up is not None:
                    hang_up()
                raise
        if not isinstance(verdict, Answer):
            raise InternalError(f"an asked request cannot be forwarded: {verdict!r}")
        return verdict

    def _head(self, attributes: Any) -> AskedHead:
        http = attributes.request.http
        fields = {entry.key: entry.value for entry in http.headers}
        get = fields.get
        peer = attributes.source.address.socket_address.address or "127.0.0.1"
        forwarded_for = get("x-forwarded-for", "")
        if peer in _LOOPBACK and forwarded_for:
            # Envoy appends another address than the one it saw if that is its own machine's.
            peer = forwarded_for.rpartition(",")[2].strip()
        origin = self._trusted.origin(peer, "http", {b"x-forwarded-for": forwarded_for.encode("latin-1", "replace")})
        scheme = get("x-forwarded-proto", "") or http.scheme
        head = AskedHead(
            http.method, http.path, http.host, "https" if scheme == "https" else "http", origin.ip,
            get("cookie", ""), get("accept", ""), get("sec-fetch-mode", ""), get("referer", ""),
            get("if-none-match", ""), "", get("user-agent", ""), get("accept-language", ""),
        )  # fmt: skip
        head.endpoint, head.may_report = self._endpoint, None
        return head


def _allowed(answer: Allowed) -> Any:
    response = CheckResponse()
    response.status.code = _OK
    told = response.ok_response
    for name, value in answer.cookies:
        if name not in STANCHION_FIELDS:
            _add(told.response_headers_to_add, name, value)
        elif value:
            _add(told.headers, name, value)
        else:
            # The visitor's own field of this name must not reach the shop.
            told.headers_to_remove.append(name.lower())
    return response


def _denied(answer: Answer) -> Any:
    response = CheckResponse()
    response.status.code = _PERMISSION_DENIED
    told = response.denied_response
    told.status.code = answer.status
    for name, value in (*answer.headers, *answer.cookies):
        if name.lower() not in _OF_ENVOY:
            _add(told.headers, name, value)
    told.body = answer.body.decode("utf-8", "replace")
    return response


def _add(fields: Any, name: str, value: str) -> None:
    added = fields.add()
    added.header.key, added.header.value = name, value
    added.append_action = _ADD if name == "Set-Cookie" else _REPLACE
