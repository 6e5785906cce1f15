"""Asks the shop for its stock, for rooms with `stock.path`: while nobody is inside, no response reports it.

    rooms[].stock.path  --GET, every interval_seconds-->  the headers that the shop's other responses carry too
                                                          (`edge/rooms/stock.py`)

The supervisor asks, once for all workers; each machine of a cluster asks for itself. Of several servers it asks the one
that answered last, and the next one if that fails. A shop that does not answer, or answers that it does not know its
stock itself, changes nothing: the line goes on with what was last known, unless the room's `when_stock_unknown` is
'hold'. The log says so once, and again when it is over.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge

from edge.messages.cluster import RoomEvent
from edge.operations.logs import facts
from edge.proxy.server_address import tls_context
from edge.rooms.stock import is_unknown, news_in
from edge.settings.model import Settings
from edge.settings.room import RoomSettings
from edge.settings.upstream import UpstreamSettings

__all__ = ["StockWatch"]

log = logging.getLogger("edge.stock")

#: Part by which the interval varies, so that machines that started together do not ask together.
JITTER = 0.1


class StockWatch:
    """publish(event): called with the stock that the shop reports.

    publish_known({room: is_known}): called when the shop starts or stops to report a room's stock.
    """

    def __init__(
        self,
        publish: Callable[[RoomEvent], None],
        publish_known: Callable[[dict[str, bool]], None],
        registry: CollectorRegistry,
    ) -> None:
        self._publish = publish
        self._publish_known = publish_known
        self._known: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self._settings: Settings | None = None
        self._faults: dict[str, str | None] = {}
        self._answered_at: dict[str, float] = {}
        self._failures = Counter(
            "stanchion_stock_failures", "Requests for the shop's stock that failed.", ["room"], registry=registry
        )
        self._up = Gauge(
            "stanchion_stock_up", "1 while the shop answers requests for its stock.", ["room"], registry=registry
        )

    def __repr__(self) -> str:
        return f"<StockWatch {self._known}>"

    @property
    def known(self) -> dict[str, bool]:
        """By room: whether the shop reported its stock when it was asked last."""
        return dict(self._known)

    def use(self, settings: Settings) -> None:
        """Follow these settings from now on."""
        self._settings = settings
        self._changed.set()

    def status(self, room: str) -> dict[str, Any] | None:
        """Return the state of a room's watch as JSON values, None if its shop is not asked."""
        if room not in self._faults:
            return None
        answered_at = self._answered_at.get(room)
        age_s = None if answered_at is None else round(time.monotonic() - answered_at, 2)
        return {"fault": self._faults[room], "answered_seconds_ago": age_s}

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            settings = self._settings
            watched = [room for room in settings.rooms if room.stock.path is not None] if settings else []
            self._faults = {room.name: self._faults.get(room.name) for room in watched}
            self._known = {name: is_known for name, is_known in self._known.items() if name in self._faults}
            if settings is None or not watched:
                continue
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
                sessions = [await stack.enter_async_context(each) for each in _sessions(settings.upstream)]
                name = settings.upstream.tls.server_name
                watches = [group.create_task(self._watch(sessions, room, name)) for room in watched]
                await self._changed.wait()
                for watch in watches:
                    watch.cancel()

    async def _watch(self, sessions: Sequence[aiohttp.ClientSession], room: RoomSettings, name: str | None) -> None:
        first = 0
        while True:
            fault: str | None = None
            for step in range(len(sessions)):
                fault = await self._ask(sessions[(first + step) % len(sessions)], room, name)
                if fault is None:
                    first = (first + step) % len(sessions)
                    break
            self._note(room.name, fault)
            await asyncio.sleep(room.stock.interval_seconds * random.uniform(1 - JITTER, 1 + JITTER))

    async def _ask(self, session: aiohttp.ClientSession, room: RoomSettings, name: str | None) -> str | None:
        """Ask once; return what went wrong, None if nothing did. name: of the server, for TLS."""
        timeout = aiohttp.ClientTimeout(total=room.stock.timeout_seconds)
        try:
            async with session.get(
                str(room.stock.path), timeout=timeout, allow_redirects=False, server_hostname=name
            ) as response:
                status, headers = response.status, response.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            return f"{type(fault).__name__}: {fault}".rstrip(": ")
        if is_unknown(headers.items()):
            return "the shop does not know its stock at present (Stanchion-Stock: unknown)"
        event = news_in(room.name, headers.items())
        if not 200 <= status < 300:
            return f"answered {status}"
        if event is None or event.stock is None:
            return "answered without Stanchion-Stock"
        self._publish(event)
        return None

    def _note(self, room: str, fault: str | None) -> None:
        before, self._faults[room] = self._faults.get(room), fault
        is_known = fault is None
        self._up.labels(room).set(is_known)
        if self._known.get(room) != is_known:
            self._known[room] = is_known
            self._publish_known({room: is_known})
        if is_known:
            self._answered_at[room] = time.monotonic()
            if before is not None:
                log.info("the shop reports its stock again", extra=facts(room=room))
            return
        self._failures.labels(room).inc()
        if before is None:  # once, not at every attempt
            log.warning(
                "the shop does not report its stock; going on with what was last known: %s",
                fault,
                extra=facts(room=room),
            )


def _sessions(upstream: UpstreamSettings) -> list[aiohttp.ClientSession]:
    """Return a client for each server."""
    made = []
    for url in upstream.addresses:
        connector: aiohttp.BaseConnector | None = None
        if url.startswith("unix://"):
            connector, url = aiohttp.UnixConnector(url.removeprefix("unix://")), "http://localhost"
        elif url.startswith("https://"):
            connector = aiohttp.TCPConnector(ssl=tls_context(upstream.tls))
        made.append(aiohttp.ClientSession(url, connector=connector))
    return made
