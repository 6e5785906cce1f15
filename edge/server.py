"""The visitors' listener: reads requests, asks the pipeline, does what the verdict says. The only place with both."""

import logging
import time
from collections.abc import Callable
from typing import assert_never

from aiohttp import web
from multidict import CIMultiDict

from edge.client_address import Origin, TrustedProxies
from edge.head import RequestHead
from edge.logs import facts
from edge.metrics import Metrics
from edge.pipeline import Pipeline
from edge.proxy import Proxy, UpstreamError
from edge.settings import Settings
from edge.verdict import Answer, Forward

__all__ = ["Exchange"]

access = logging.getLogger("edge.access")


class Exchange:
    """Serves one request after the other. The pipeline may be replaced between two of them (a reload)."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        proxy: Proxy,
        metrics: Metrics,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self.pipeline = pipeline
        self.is_draining = False
        self._settings = settings
        self._proxy = proxy
        self._metrics = metrics
        self._clock = clock
        self._draw = draw
        self._trusted = TrustedProxies(settings.trusted_proxies)

    def use(self, settings: Settings, pipeline: Pipeline, proxy: Proxy) -> None:
        """Serve the next requests by other settings; those under way end as they began."""
        self._settings, self.pipeline, self._proxy = settings, pipeline, proxy
        self._trusted = TrustedProxies(settings.trusted_proxies)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, from its head to the last byte of the answer."""
        began = time.monotonic()
        origin = self._origin(request)
        head = _head(request, origin)
        pipeline = self.pipeline
        known = pipeline.recognise(head)
        verdict = pipeline.decide(known, self._clock(), self._draw())
        match verdict:
            case Answer():
                response, outcome = await self._say(request, verdict), verdict.outcome
            case Forward():
                try:
                    response = await self._proxy.forward(
                        request, verdict, origin, lambda said: pipeline.observe(known, verdict, said, self._clock())
                    )
                    outcome = verdict.outcome
                except UpstreamError as fault:
                    self._metrics.upstream_failures.labels(fault.kind).inc()
                    answer = pipeline.failed(head, fault.status)
                    response, outcome = await self._say(request, answer), fault.kind
            case _:
                assert_never(verdict)
        self._metrics.requests.labels(outcome).inc()
        wanted = self._settings.log.access
        if wanted == "all" or (wanted == "upstream" and isinstance(verdict, Forward)):
            self._log(head, response.status, outcome, time.monotonic() - began)
        return response

    def _log(self, head: RequestHead, status: int, outcome: str, took_s: float) -> None:
        """The query stays out: it may hold secrets, and so may every header."""
        path = head.target.partition("?")[0]
        ms = round(took_s * 1000, 1)
        named = facts(client=head.client_ip, method=head.method, path=path, status=status, outcome=outcome, ms=ms)
        access.info("request", extra=named)

    async def _say(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        headers: CIMultiDict[str] = CIMultiDict(answer.headers)
        response = web.Response(status=answer.status, headers=headers, body=answer.body)
        if self.is_draining:
            response.force_close()
        await response.prepare(request)
        await response.write_eof()
        return response

    def _origin(self, request: web.BaseRequest) -> Origin:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        address = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        get = request.headers.get
        forwarded_for = ", ".join(request.headers.getall("X-Forwarded-For", []))
        return self._trusted.origin(
            address, "http", forwarded_for, get("X-Forwarded-Proto", ""), get("X-Forwarded-Host", "")
        )


def _head(request: web.BaseRequest, origin: Origin) -> RequestHead:
    headers = request.headers
    hosts = headers.getall("Host", [])
    return RequestHead(
        method=request.method,
        target=request.raw_path,
        host=hosts[0] if len(hosts) == 1 else "",
        scheme=origin.scheme,
        client_ip=origin.ip,
        cookie="; ".join(headers.getall("Cookie", [])),
        accept=", ".join(headers.getall("Accept", [])),
        fetch_mode=headers.get("Sec-Fetch-Mode", ""),
        referer=headers.get("Referer", ""),
        if_none_match=headers.get("If-None-Match", ""),
        accept_encoding=headers.get("Accept-Encoding", ""),
    )
