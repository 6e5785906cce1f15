"""Notifications: looks once a second at everything, and sends what has happened to the webhooks."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from edge.supervisor.notices import UNUSED_S
from edge.supervisor.supervisor import Supervisor
from edge.supervisor.webhooks import Webhooks
from edge.support.tasks import faults_are_logged

__all__ = ["Notifications"]

LOOK_S = 1.0


class Notifications:
    """Of one supervisor. secrets(): of the webhooks, by the names of their variables, as of the last settings."""

    def __init__(self, supervisor: Supervisor, secrets: Callable[[], Mapping[str, bytes]]) -> None:
        self._supervisor = supervisor
        self._secrets = secrets
        self._webhooks = Webhooks(supervisor.machine, supervisor.registry)

    def __repr__(self) -> str:
        return f"<Notifications over {self._webhooks!r}>"

    async def run(self) -> None:
        """Look and deliver until cancelled."""
        await self._supervisor.wait_ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._webhooks.run())
            while True:
                with faults_are_logged("looking for what to notify of"):
                    self._look(time.time())
                await asyncio.sleep(LOOK_S)

    def _look(self, now: float) -> None:
        supervisor = self._supervisor
        wanted = supervisor.settings.notifications
        self._webhooks.use(wanted, self._secrets())
        if not wanted.webhooks:
            return
        happened = supervisor.happenings.look(
            now,
            [self._room(name, figures) for name, figures in supervisor.rooms_status().items()],
            supervisor.workers_status(),
            supervisor.redis_state,
            upstream_is_down=bool(supervisor.upstream_watch.status()["is_down"]),
            cooldown_s=wanted.cooldown_seconds,
            formed_at=wanted.line_formed_visitors,
        )
        for each in happened:
            self._webhooks.send(each)

    def _room(self, name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
        supervisor = self._supervisor
        sale, _ = supervisor.operators.sale_of(name)
        return {
            **supervisor.operators.rooms.status(supervisor.settings, name),
            "sale": sale,
            "figures": figures,
            "admitted_per_s": supervisor.history.recent_mean(name, "admitted_per_s", UNUSED_S),
            "other_nodes": supervisor.other_nodes.of(name),
        }
