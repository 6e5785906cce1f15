"""Forwarding: a request streams to the upstream, its answer streams back; nothing is held whole, nothing is changed
that belongs to the two ends.

Hop-by-hop fields end here (RFC 9110, 7.6.1). The target goes on byte for byte, bodies stay compressed as they are,
repeated fields stay apart and in order. Each side is read only as fast as the other is written. A request that may have
reached the upstream is never sent twice: the connection pool tries a second connection only before the first byte.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from edge.client_address import Origin
from edge.metrics import Metrics
from edge.settings import UpstreamSettings
from edge.verdict import Forward, Headers

__all__ = ["Proxy", "UpstreamError"]

#: Fields that concern one connection only, those that `Connection` names besides.
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect")
)
#: What the edge says itself, so that no client can.
OURS = ("x-stanchion-", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")
#: As much as is read at once: aiohttp's own buffer.
CHUNK_BYTES = 65_536
#: The largest WebSocket message that is passed on.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class UpstreamError(Exception):
    """The upstream failed before the head of its answer. status: 502, or 504 when it took too long."""

    def __init__(self, status: int, kind: str) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind


class _Passed(web.StreamResponse):
    """An upstream's answer: no field is added but what HTTP/1.1 needs on this connection."""

    _added = ("Server", "Content-Type")

    async def _write_headers(self) -> None:
        for name in self._added:
            if name not in self.sent_by_upstream:
                self._headers.popall(name, None)
        await super()._write_headers()

    sent_by_upstream: CIMultiDict[str]


class Proxy:
    """The way to one upstream. Use `async with`."""

    def __init__(self, settings: UpstreamSettings, metrics: Metrics) -> None:
        self.settings = settings
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Proxy":
        timeouts = aiohttp.ClientTimeout(
            total=None,
            connect=self.settings.connect_timeout_seconds,
            sock_connect=self.settings.connect_timeout_seconds,
            sock_read=self.settings.idle_timeout_seconds,
        )
        keep_s, limit = self.settings.keepalive_seconds, self.settings.max_connections
        if keep_s > 0:
            connector = aiohttp.TCPConnector(limit=limit, keepalive_timeout=keep_s)
        else:
            connector = aiohttp.TCPConnector(limit=limit, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeouts,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def forward(
        self,
        request: web.BaseRequest,
        verdict: Forward,
        origin: Origin,
        observe: Callable[[list[tuple[str, str]]], Headers],
    ) -> web.StreamResponse:
        """Send the request on and stream the answer back. observe: given what the upstream said to the edge, returns
        fields to add. Raises UpstreamError when no answer's head came."""
        headers = self._request_headers(request, verdict, origin)
        if _is_websocket(request):
            return await self._relay_messages(request, verdict, headers)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.settings.response_timeout_seconds) as limit:
                has_body = request.body_exists
                body = _body(request, limit, self.settings.response_timeout_seconds) if has_body else None
                response = await self._session_().request(
                    request.method,
                    self._url(request),
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                )
                limit.reschedule(None)
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise UpstreamError(504, "timeout") from None
        except aiohttp.ClientConnectorError:
            raise UpstreamError(502, "connect") from None
        except aiohttp.ClientError:
            raise UpstreamError(502, "broken") from None
        self._metrics.upstream_seconds.observe(time.monotonic() - began)
        async with response:
            return await self._answer(request, verdict, response, observe)

    async def _answer(
        self,
        request: web.BaseRequest,
        verdict: Forward,
        upstream: aiohttp.ClientResponse,
        observe: Callable[[list[tuple[str, str]]], Headers],
    ) -> web.StreamResponse:
        sent = [
            (name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in upstream.raw_headers
        ]
        to_edge = [(name, value) for name, value in sent if name.lower().startswith("stanchion-")]
        dropped = HOP_BY_HOP | _named_by_connection(upstream.headers.getall("Connection", []))
        kept: CIMultiDict[str] = CIMultiDict(
            (name, value)
            for name, value in sent
            if name.lower() not in dropped and not name.lower().startswith("stanchion-")
        )
        response = _Passed(status=upstream.status, reason=upstream.reason, headers=kept)
        response.sent_by_upstream = CIMultiDict(kept)
        for name, value in (*verdict.response_headers, *observe(to_edge)):
            response.headers.add(name, value)
        await response.prepare(request)
        if request.method != "HEAD":
            try:
                async for chunk in upstream.content.iter_chunked(CHUNK_BYTES):
                    await response.write(chunk)
            except (aiohttp.ClientError, TimeoutError):
                # The head is gone: a broken connection is the only honest way to say that the rest will not come.
                self._metrics.upstream_failures.labels("cut").inc()
                if request.transport is not None:
                    request.transport.abort()
                return response
        await response.write_eof()
        return response

    async def _relay_messages(
        self, request: web.BaseRequest, verdict: Forward, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        protocols = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
        for name in [name for name in headers if name.lower().startswith("sec-websocket-")]:
            headers.popall(name, None)
        try:
            far = await self._session_().ws_connect(
                self._url(request),
                headers=headers,
                protocols=protocols,
                autoping=False,
                autoclose=False,
                max_msg_size=MAX_MESSAGE_BYTES,
            )
        except aiohttp.WSServerHandshakeError:
            raise UpstreamError(502, "upgrade") from None
        except (aiohttp.ClientError, TimeoutError):
            raise UpstreamError(502, "connect") from None
        async with far:
            near = web.WebSocketResponse(
                protocols=[far.protocol] if far.protocol else (),
                autoping=False,
                autoclose=False,
                max_msg_size=MAX_MESSAGE_BYTES,
                compress=False,
            )
            for name, value in verdict.response_headers:
                near.headers.add(name, value)
            await near.prepare(request)
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy_messages(near, far))
                group.create_task(_copy_messages(far, near))
            return near

    def _session_(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use 'async with' before forwarding")
        return self._session

    def _url(self, request: web.BaseRequest) -> URL:
        return URL(self.settings.url + request.raw_path, encoded=True)

    def _request_headers(self, request: web.BaseRequest, verdict: Forward, origin: Origin) -> CIMultiDict[str]:
        dropped = HOP_BY_HOP | _named_by_connection(request.headers.getall("Connection", []))
        headers: CIMultiDict[str] = CIMultiDict()
        for raw_name, raw_value in request.raw_headers:
            name = raw_name.decode("latin-1")
            lowered = name.lower()
            if lowered not in dropped and not lowered.startswith(OURS):
                headers.add(name, raw_value.decode("utf-8", "surrogateescape"))
        if self.settings.host_header == "upstream":
            headers.popall("Host", None)
        headers.add("X-Forwarded-For", origin.forwarded_for)
        headers.add("X-Forwarded-Proto", origin.scheme)
        headers.add("X-Forwarded-Host", origin.host or request.headers.get("Host") or "")
        for name, value in verdict.request_headers:
            headers.add(name, value)
        return headers


def _is_websocket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket" and request.method == "GET"


def _named_by_connection(values: list[str]) -> frozenset[str]:
    """Fields that `Connection` declares to be hop-by-hop. It cannot take away what the ends agree on by."""
    named = {name.strip().lower() for value in values for name in value.split(",")}
    return frozenset(named - {"host", "cookie", "content-length", "x-forwarded-for", "close", "keep-alive", ""})


async def _body(request: web.BaseRequest, limit: asyncio.Timeout, seconds: float) -> AsyncIterator[bytes]:
    """The request's body as it comes; the upstream's time to answer counts from its end."""
    loop = asyncio.get_running_loop()
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= aiohttp.HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    async for chunk in request.content.iter_any():
        yield chunk
        if limit.when() is not None:
            limit.reschedule(loop.time() + seconds)


async def _copy_messages(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    async for message in source:
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                await sink.send_str(message.data)
            case aiohttp.WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            case aiohttp.WSMsgType.PING:
                await sink.ping(message.data)
            case aiohttp.WSMsgType.PONG:
                await sink.pong(message.data)
            case _:
                break
    await sink.close(code=source.close_code or aiohttp.WSCloseCode.OK)
