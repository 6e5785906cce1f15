"""A shop that can be stopped and started again on the same port, and a crowd that notes every error."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from aiohttp import web

from edge.cli.demo.browser import Browser
from edge.cli.demo.crowd import RETRY_S, Crowd, CrowdPlan, Visit

__all__ = ["ErrorCrowd", "StoppableShop"]


class StoppableShop:
    """how: 'refused' closes the socket and all connections; '503' answers every request so; 'hangs' answers none."""

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] | None = None) -> None:
        self._handle = handle
        self._runner: web.ServerRunner | None = None
        self._fault = ""
        self._mended = asyncio.Event()
        self.port = 0
        self.probes = 0
        self.came: list[float] = []
        """When each visitor's request came; seconds of the event loop's clock."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._fault = ""
        self._mended.set()
        if self._runner is not None:
            return
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self, how: str = "refused") -> None:
        self._fault = how
        self._mended.clear()
        if how == "refused" and self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def close(self) -> None:
        self._mended.set()
        await self.stop()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        is_probe = request.headers.get("User-Agent") == "stanchion-health"
        if is_probe:
            self.probes += 1
        else:
            self.came.append(asyncio.get_running_loop().time())
        if self._fault == "503":
            return web.Response(status=503)
        await self._mended.wait()
        if self._handle is not None and not is_probe:
            return await self._handle(request)
        return web.Response(text="the shop")


class ErrorCrowd(Crowd):
    """errors: when (seconds of the event loop) a visitor met a 5xx, and their number. They try again after a second."""

    def __init__(self, base_urls: str, path: str, plan: CrowdPlan, chance: random.Random) -> None:
        super().__init__(base_urls, path, plan, chance)
        self.errors: list[tuple[float, int]] = []

    async def _poll(self, visit: Visit, browser: Browser) -> float | None:
        try:
            return await super()._poll(visit, browser)
        except KeyError:  # a problem document has no appointment
            now = asyncio.get_running_loop().time()
            self.errors.append((now, visit.number))
            return RETRY_S
