"""The closed loops of a machine: workers measure the upstream, the supervisor decides, and all workers follow.

    worker --Report: samples of the upstream--> supervisor: one law a room --Adapt: the rooms' factors--> all workers

Each machine of a cluster decides for itself by what its own visitors meet. The capacity of a joined room is then the
mean of theirs, weighted by where its visitors are.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from controller import AdaptiveLaw, AdaptiveSettings, Answered
from edge.messages.processes import Adapt, Report
from edge.settings.model import Settings
from edge.settings.room import RoomSettings

__all__ = ["BELIEVED_S", "Adaptation"]

#: Seconds between two control steps.
STEP_S = 0.5
#: A report that the upstream is down holds this long if the worker reports nothing more.
BELIEVED_S = 2.0
#: Relative change of a factor from which on it is published.
LEAST_CHANGE = 0.005


class Adaptation:
    """publish(message): called with the factors of rooms that changed, for all workers.

    Times are monotonic seconds.
    """

    def __init__(self, publish: Callable[[Adapt], None], registry: CollectorRegistry) -> None:
        self._publish = publish
        self._laws: dict[str, AdaptiveLaw] = {}
        self._published: dict[str, float] = {}
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

    def __repr__(self) -> str:
        return f"<Adaptation {self.factors}>"

    def use(self, settings: Settings) -> None:
        """Follow these settings from now on; loops that exist already go on where they are."""
        wanted = {room.name: _law_settings(room) for room in settings.rooms if room.capacity.adaptive.enabled}
        for gone in self._laws.keys() - wanted.keys():
            del self._laws[gone]
            self._published.pop(gone, None)
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
        """The factor of each room that has a loop."""
        return {name: law.factor for name, law in self._laws.items()}

    def factor(self, room: str) -> float:
        """Return the factor of a room, 1.0 if it has no loop."""
        law = self._laws.get(room)
        return 1.0 if law is None else law.factor

    def status(self, room: str, now: float) -> dict[str, Any] | None:
        """Return the state of a room's loop as JSON values, None if it has none."""
        law = self._laws.get(room)
        if law is None:
            return None
        return {
            "factor": round(law.factor, 4),
            "strain": round(law.strain, 3),
            "slowness": round(law.slowness, 3),
            "error_share": round(law.failures, 4),
            "is_paused": now < self._down_until,
        }

    def receive(self, report: Report, now: float) -> None:
        """Take in a worker's samples of the upstream."""
        if report.upstream_is_down:
            self._down_until = now + BELIEVED_S
        for name, sample in report.upstream.items():
            if name in self._laws:
                self._laws[name].observe(Answered(sample.count, sample.slowness, sample.failed))

    def step(self, now: float) -> None:
        """Take one control step of every loop; any time may have passed since the last one."""
        dt_s, self._stepped_at = now - self._stepped_at, now
        is_paused = now < self._down_until
        changed = {}
        for name, law in self._laws.items():
            factor = law.step(dt_s, is_paused=is_paused)
            self._factor.labels(name).set(factor)
            self._strain.labels(name).set(law.strain)
            published = self._published.get(name, 1.0)
            if abs(factor - published) > LEAST_CHANGE * published or (factor != published and factor == 1.0):
                changed[name] = self._published[name] = factor
        if changed:
            self._publish(Adapt(changed))

    async def run(self) -> None:
        """Take control steps until cancelled."""
        while True:
            await self._has_laws.wait()
            await asyncio.sleep(STEP_S)
            self.step(time.monotonic())


def _law_settings(room: RoomSettings) -> AdaptiveSettings:
    adaptive = room.capacity.adaptive
    return AdaptiveSettings(adaptive.error_share, adaptive.floor, adaptive.recovery_seconds)
