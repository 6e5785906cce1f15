"""Asks the shop for its stock, for rooms that say where: while nobody is inside, no answer would tell it.

    rooms[].stock.path  --GET, interval_seconds-->  the headers that checkout's answers carry too (`edge/rooms/stock.py`)

The supervisor does this, once for all workers; of several machines each asks for itself. A shop that does not answer
changes nothing: the line goes on with what was last known. The log says so once, and again when it is over.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge

from edge.operations.logs import facts
from edge.rooms.stock import RoomEvent, news_in
from edge.settings.model import Settings
from edge.settings.room import RoomSettings

__all__ = ["StockWatch"]

log = logging.getLogger("edge.stock")

#: How much sooner or later than `interval_seconds`, so that machines started together do not ask together.
JITTER = 0.1


class StockWatch:
    """One a process. hear(event): called with whatever the shop says. changed({room: known}): called when it begins or
    ceases to say it."""

    def __init__(
        self,
        hear: Callable[[RoomEvent], None],
        changed: Callable[[dict[str, bool]], None],
        registry: CollectorRegistry,
    ) -> None:
        self._hear = hear
        self._tell_changed = changed
        self.known: dict[str, bool] = {}
        """Of which rooms the stock is known: the last time the shop was asked it answered."""
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

    def use(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._settings = settings
        self._changed.set()

    def status(self, room: str) -> dict[str, Any] | None:
        """How asking goes, for operators; None: this room's shop is not asked."""
        if room not in self._faults:
            return None
        answered_at = self._answered_at.get(room)
        age_s = None if answered_at is None else round(time.monotonic() - answered_at, 2)
        return {"fault": self._faults[room], "answered_seconds_ago": age_s}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            settings = self._settings
            watched = [room for room in settings.rooms if room.stock.path is not None] if settings else []
            self._faults = {room.name: self._faults.get(room.name) for room in watched}
            self.known = {name: known for name, known in self.known.items() if name in self._faults}
            if settings is None or not watched:
                continue
            async with aiohttp.ClientSession(settings.upstream.url) as session, asyncio.TaskGroup() as group:
                asking = [group.create_task(self._ask_for_ever(session, room)) for room in watched]
                await self._changed.wait()
                for task in asking:
                    task.cancel()

    async def _ask_for_ever(self, session: aiohttp.ClientSession, room: RoomSettings) -> None:
        while True:
            fault = await self._ask(session, room)
            self._note(room.name, fault)
            await asyncio.sleep(room.stock.interval_seconds * random.uniform(1 - JITTER, 1 + JITTER))

    async def _ask(self, session: aiohttp.ClientSession, room: RoomSettings) -> str | None:
        """Ask once; what went wrong, None: nothing."""
        timeout = aiohttp.ClientTimeout(total=room.stock.timeout_seconds)
        try:
            async with session.get(str(room.stock.path), timeout=timeout, allow_redirects=False) as answer:
                status, headers = answer.status, answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            return f"{type(fault).__name__}: {fault}".rstrip(": ")
        event = news_in(room.name, headers.items())
        if not 200 <= status < 300:
            return f"answered {status}"
        if event is None or event.stock is None:
            return "answered without Stanchion-Stock"
        self._hear(event)
        return None

    def _note(self, room: str, fault: str | None) -> None:
        was, self._faults[room] = self._faults.get(room), fault
        self._up.labels(room).set(fault is None)
        if self.known.get(room) != (fault is None):
            self.known[room] = fault is None
            self._tell_changed({room: fault is None})
        if fault is None:
            self._answered_at[room] = time.monotonic()
            if was is not None:
                log.info("the shop says its stock again", extra=facts(room=room))
            return
        self._failures.labels(room).inc()
        if was is None:  # once, not at every try
            log.warning("the shop does not say its stock, going on with what was last known: %s", fault,
                        extra=facts(room=room))  # fmt: skip
