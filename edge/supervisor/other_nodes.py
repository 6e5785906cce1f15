"""What is known of nodes on other machines: their last heartbeat over Redis, for operators."""

import time
from typing import Any

from edge.messages.cluster import NodeSummary

__all__ = ["OtherNodes"]

#: A node that was not heard for this time is gone.
FORGET_S = 600.0
#: A node that was not heard for this time is shown as silent; the line has shared out its capacity by then.
SILENT_S = 3.0


class OtherNodes:
    """One supervisor's."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], tuple[float, NodeSummary]] = {}

    def __repr__(self) -> str:
        return f"<OtherNodes {len(self._heard)} summaries>"

    def receive(self, message: NodeSummary) -> None:
        self._heard[message.room, message.node] = time.monotonic(), message

    def of(self, room: str) -> list[dict[str, Any]]:
        """Return the nodes of a room as JSON values, by name."""
        now = time.monotonic()
        self._heard = {key: each for key, each in self._heard.items() if now - each[0] < FORGET_S}
        return [
            {
                "node": node,
                "silent": now - at > SILENT_S,
                "heard_seconds_ago": round(now - at, 1),
                "waiting": round(message.waiting),
                "admissions_per_second": message.rate,
            }
            for (name, node), (at, message) in sorted(self._heard.items())
            if name == room
        ]
