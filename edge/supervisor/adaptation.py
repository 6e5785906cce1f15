"""The closed loops of a machine: workers measure, the supervisor decides for each room, and all workers follow.

    worker --report: what its requests came to--> supervisor: one law a room --adapt: the rooms' factors--> all workers

Machines of a cluster decide each for itself, by what their own visitors meet; a joined room's capacity is then the mean
of theirs, weighted by where its visitors are.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from controller import AdaptiveLaw, AdaptiveSettings, Answered
from edge.settings.model import Settings
from edge.settings.room import RoomSettings

__all__ = ["Adaptation"]

STEP_S = 0.5
#: A worker that said that the upstream is down, and says nothing more, is believed for so long.
BELIEVED_S = 2.0
#: A change of the factor that is worth telling.
TELLING = 0.005


class Adaptation:
    """tell(factors): called with the factors of rooms that changed, for all workers to go by."""

    def __init__(self, tell: Callable[[dict[str, float]], None], registry: CollectorRegistry) -> None:
        self._tell = tell
        self._laws: dict[str, AdaptiveLaw] = {}
        self._told: dict[str, float] = {}
        self._down_until = 0.0
        self._stepped_at = 0.0
        self._has_laws = asyncio.Event()
        self._factor = Gauge(
            "stanchion_adaptive_capacity_ratio",
            "Part of the configured capacity that adaptive capacity lets the room use.",
            ["room"],
            registry=registry,
        )
        self._strain = Gauge(
            "stanchion_adaptive_strain_ratio",
            "How slow or faulty the upstream is for the room. 1 is the limit that the settings allow.",
            ["room"],
            registry=registry,
        )

    def use(self, settings: Settings) -> None:
        """Go by these settings from now on; loops that are not new go on where they are."""
        wanted = {room.name: _law_settings(room) for room in settings.rooms if room.capacity.adaptive.enabled}
        for gone in self._laws.keys() - wanted.keys():
            del self._laws[gone]
            self._told.pop(gone, None)
            self._factor.remove(gone)
            self._strain.remove(gone)
        for name, law_settings in wanted.items():
            if name in self._laws:
                self._laws[name].reconfigure(law_settings)
            else:
                self._laws[name] = AdaptiveLaw(law_settings)
        if self._laws:
            self._has_laws.set()
        else:
            self._has_laws.clear()

    @property
    def factors(self) -> dict[str, float]:
        """By room; those without a loop are not in it."""
        return {name: law.factor for name, law in self._laws.items()}

    def factor(self, room: str) -> float:
        law = self._laws.get(room)
        return 1.0 if law is None else law.factor

    def status(self, room: str, now: float) -> dict[str, Any] | None:
        """How the loop does, for operators; None: the room has none. now: monotonic seconds, as everywhere here."""
        law = self._laws.get(room)
        if law is None:
            return None
        return {
            "factor": round(law.factor, 4),
            "strain": round(law.strain, 3),
            "slowness": round(law.slowness, 3),
            "error_share": round(law.failures, 4),
            "is_held": now < self._down_until,
        }

    def hear(self, upstream: Mapping[str, Any], now: float) -> None:
        """A worker's report of the upstream: `down`, and by room what came of its requests."""
        if upstream["down"]:
            self._down_until = now + BELIEVED_S
        for name, (count, slowness, failed) in upstream["rooms"].items():
            if name in self._laws:
                self._laws[name].observe(Answered(count, slowness, failed))

    def step(self, now: float) -> None:
        """The control step of every loop; the time since the last one may be anything."""
        dt_s, self._stepped_at = now - self._stepped_at, now
        is_held = now < self._down_until
        changed = {}
        for name, law in self._laws.items():
            factor = law.step(dt_s, is_held=is_held)
            self._factor.labels(name).set(factor)
            self._strain.labels(name).set(law.strain)
            told = self._told.get(name, 1.0)
            if abs(factor - told) > TELLING * told or (factor != told and factor == 1.0):
                changed[name] = self._told[name] = factor
        if changed:
            self._tell(changed)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._has_laws.wait()
            await asyncio.sleep(STEP_S)
            self.step(time.monotonic())


def _law_settings(room: RoomSettings) -> AdaptiveSettings:
    adaptive = room.capacity.adaptive
    return AdaptiveSettings(adaptive.error_share, adaptive.floor, adaptive.recovery_seconds)
