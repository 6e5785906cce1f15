"""The lists that operators change at one machine, and how all workers and machines come by them.

    admin listener -> change -> SharedLists -> settings with these lists -> workers, as at a reload
                                    |  ^
                                    v  |
                        every TELL_S over Redis: everything that is known

A message may be lost and a machine may come late: it hears everything within TELL_S. Without Redis the lists are this
machine's. They are soft: a restart of all machines forgets them.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from edge.messages.channel import Message
from edge.operations.audit import audit
from edge.settings.model import Settings
from edge.shield.shared_lists import SharedLists

__all__ = ["MOST_S", "ListSync"]

#: How often everything is told to the other machines.
TELL_S = 2.0
#: How often ended entries are looked for.
LOOK_S = 1.0
#: An entry lasts at most so long: a week.
MOST_S = 604_800.0


class ListSync:
    """apply(): configure the workers anew. tell_machines(message): to all others that there are."""

    def __init__(
        self, apply: Callable[[], None], tell_machines: Callable[[Message], None], registry: CollectorRegistry
    ) -> None:
        self._apply = apply
        self._tell_machines = tell_machines
        self._lists = SharedLists()
        self._changed = asyncio.Event()
        self._gauge = Gauge(
            "stanchion_shared_list_entries",
            "Networks that operators have put on a list for a while.",
            ["list"],
            registry=registry,
        )

    def extended(self, settings: Settings) -> Settings:
        """The settings with these lists in them."""
        allow, deny = self._lists.on("allow"), self._lists.on("deny")
        if not allow and not deny:
            return settings
        abuse = settings.abuse
        lists = {"allow": abuse.allow + allow, "deny": abuse.deny + deny}
        return settings.model_copy(update={"abuse": abuse.model_copy(update=lists)})

    def change(self, who: str, which: str, networks: Sequence[str], for_s: float) -> dict[str, Any]:
        """Put networks on a list for so many seconds; returns what they were on and are on. ValueError: nothing is."""
        if not 0 < for_s <= MOST_S:
            raise ValueError(f"seconds must be above 0 and at most {MOST_S:g}, got {for_s:g}")
        now, trial = time.time(), SharedLists()
        trial.merge(self._lists.entries_json(), now)
        before = {network: trial.change(network, which, now + for_s, now) for network in networks}
        after = {network: {"list": which, "seconds": for_s} for network in networks}
        audit(who, "change lists", "done", before, after)
        self._lists = trial
        self._changed.set()
        self._tell()
        return {"before": before, "after": after}

    def hear(self, told: Any) -> None:
        """Another machine says what it knows."""
        if isinstance(told, list) and self._lists.merge(told, time.time()):
            self._changed.set()

    def status(self) -> list[dict[str, Any]]:
        """All entries; JSON-able."""
        now = time.time()
        return [
            {"network": each.network, "list": each.list, "seconds_left": round(each.expires - now, 1)}
            for each in self._lists.entries()
            if each.list != "none" and each.expires > now
        ]

    async def run(self) -> None:
        """Keep workers and machines informed."""
        told_at = 0.0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_S)
            is_news = self._changed.is_set()
            self._changed.clear()
            if self._lists.drop_expired(time.time()) or is_news:
                for which in ("allow", "deny"):
                    self._gauge.labels(which).set(len(self._lists.on(which)))
                self._apply()
                await asyncio.sleep(LOOK_S / 4)  # many changes at once are one for the workers
            if time.monotonic() - told_at >= TELL_S:
                told_at = time.monotonic()
                self._tell()

    def _tell(self) -> None:
        if len(self._lists):
            self._tell_machines({"kind": "lists", "entries": self._lists.entries_json()})
