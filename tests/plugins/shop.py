"""The shop behind the load balancers: it records every request and answers by its path.

/.../ws         a WebSocket that echoes
/.../events     server-sent events: the next one when the test says so
/.../download   5 MB
/.../say/WORD   sends `Stanchion-Command: WORD`
/.../jump       tries `X-Accel-Redirect`
anything else   the request's body, with two cookies of the shop's own
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.edge.running import running_upstream

DOWNLOAD = hashlib.sha256(b"stanchion").digest() * (5 * 1024 * 1024 // 32)
COOKIES = ("shop=a b; Path=/", 'cart="1, 2"; Path=/')


@dataclass
class Seen:
    """A request as it reached the shop."""

    method: str
    target: str
    headers: dict[str, list[str]]
    body: bytes = b""

    def get(self, name: str) -> str | None:
        """Return the value of a field; None if it is missing or empty."""
        values = [value for value in self.headers.get(name.lower(), []) if value]
        return ", ".join(values) or None


@dataclass
class Shop:
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    event: asyncio.Event = field(default_factory=asyncio.Event)
    """The next server-sent event may go out."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers: dict[str, list[str]] = {}
        for name, value in request.raw_headers:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        seen = Seen(request.method, request.raw_path if hasattr(request, "raw_path") else request.path_qs, headers)
        seen.target = request._message.path
        self.seen.append(seen)
        path = request.path
        if path.endswith("/ws"):
            return await self._talk(request)
        if path.endswith("/events"):
            return await self._stream(request)
        seen.body = await request.content.read()
        extra = {"Stanchion-Command": path.rpartition("/")[2]} if "/say/" in path else {}
        if path.endswith("/jump"):
            extra["X-Accel-Redirect"] = "@stanchion_down"
        body = DOWNLOAD if path.endswith("/download") else b"the shop " + seen.body
        response = web.Response(body=body, content_type="text/plain", headers=extra)
        for cookie in COOKIES:
            response.headers.add("Set-Cookie", cookie)
        return response

    async def _talk(self, request: web.BaseRequest) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
        return socket

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        try:
            await response.write(b"data: first\n\n")
            await self.event.wait()
            await response.write(b"data: second\n\n")
        except ConnectionError:
            pass
        return response


@asynccontextmanager
async def running_shop() -> AsyncIterator[Shop]:
    shop = Shop()
    async with running_upstream(shop.handle) as url:
        shop.url = url
        try:
            yield shop
        finally:
            shop.event.set()
