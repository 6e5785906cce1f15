"""Allow and deny lists that operators change at one machine, and how all workers and machines get them.

    admin listener -> change -> SharedLists -> settings with these lists -> Configure to all workers, as at a reload
                                    |  ^
                                    v  |
                        Lists over the bus, every PUBLISH_S: all entries

A message may be lost and a machine may join late: it gets everything within PUBLISH_S. Without Redis the lists are
those of this machine. They are soft state: a restart of all machines forgets them.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from edge.messages.cluster import Lists
from edge.operations.audit import audit
from edge.settings.model import Settings
from edge.shield.shared_lists import SharedLists
from edge.support.errors import ClientError

__all__ = ["MAX_SECONDS", "ListSync"]

#: Seconds between two messages with all entries to the other machines.
PUBLISH_S = 2.0
#: Seconds between two searches for entries that have ended.
LOOK_S = 1.0
#: An entry lasts at most a week.
MAX_SECONDS = 604_800.0


class ListSync:
    """apply(): configure the workers again. publish(message): send it to all other machines."""

    def __init__(
        self, apply: Callable[[], None], publish: Callable[[Lists], None], registry: CollectorRegistry
    ) -> None:
        self._apply = apply
        self._publish_lists = publish
        self._lists = SharedLists()
        self._changed = asyncio.Event()
        self._gauge = Gauge(
            "stanchion_shared_list_entries",
            "Networks that operators have put on a list for a while.",
            ["list"],
            registry=registry,
        )

    def __repr__(self) -> str:
        return f"<ListSync {len(self._lists)} entries>"

    def extended(self, settings: Settings) -> Settings:
        """Return the settings with these lists in them."""
        allow, deny = self._lists.on("allow"), self._lists.on("deny")
        if not allow and not deny:
            return settings
        abuse = settings.abuse
        lists = {"allow": abuse.allow + allow, "deny": abuse.deny + deny}
        return settings.model_copy(update={"abuse": abuse.model_copy(update=lists)})

    def change(self, actor: str, which: str, networks: Sequence[str], seconds: float) -> dict[str, Any]:
        """Put networks on a list for some seconds; return which list they were on and are on now.

        actor: the operator, for the audit line. Raises ClientError if any of them cannot be; then nothing has changed.
        """
        if not 0 < seconds <= MAX_SECONDS:
            raise ClientError(f"seconds must be above 0 and at most {MAX_SECONDS:g}, got {seconds:g}")
        now, trial = time.time(), SharedLists()
        trial.merge(self._lists.entries_json(), now)
        before = {network: trial.change(network, which, now + seconds, now) for network in networks}
        after = {network: {"list": which, "seconds": seconds} for network in networks}
        audit(actor, "change lists", "done", before, after)
        self._lists = trial
        self._changed.set()
        self._publish()
        return {"before": before, "after": after}

    def receive(self, message: Lists) -> None:
        """Merge the entries of another machine."""
        if self._lists.merge(message.entries, time.time()):
            self._changed.set()

    def status(self) -> list[dict[str, Any]]:
        """Return all entries as JSON values."""
        now = time.time()
        return [
            {"network": each.network, "list": each.list, "seconds_left": round(each.expires - now, 1)}
            for each in self._lists.entries()
            if each.list != "none" and each.expires > now
        ]

    async def run(self) -> None:
        """Keep workers and other machines informed until cancelled."""
        published_at = 0.0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_S)
            is_news = self._changed.is_set()
            self._changed.clear()
            if self._lists.drop_expired(time.time()) or is_news:
                for which in ("allow", "deny"):
                    self._gauge.labels(which).set(len(self._lists.on(which)))
                self._apply()
                await asyncio.sleep(LOOK_S / 4)  # so that the workers get many changes at once
            if time.monotonic() - published_at >= PUBLISH_S:
                published_at = time.monotonic()
                self._publish()

    def _publish(self) -> None:
        if len(self._lists):
            entries = ((each.network, each.list, each.expires, each.changed) for each in self._lists.entries())
            self._publish_lists(Lists(tuple(entries)))
