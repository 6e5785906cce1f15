"""The fleet of a settings file: a room's capacity, and the nodes that share it.

    nodes    machines x workers
    joined   whether `stanchion run` would let these nodes exchange summaries

The limit `total_active_users` is not played: a list of arrivals does not say how long visitors shop.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edge.rooms.table import gate_settings
from edge.settings.loading import load_settings
from edge.settings.model import Settings
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["Fleet"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Rates are of the whole room, over all nodes. active_limit: None if there is none."""

    source: str
    capacity: float
    burst_s: float
    poll_min_s: float
    poll_max_s: float
    poll_budget_per_s: float | None
    nodes: int
    joined: bool
    burst_floor: float
    active_limit: int | None = None

    @classmethod
    def load(cls, path: Path, room: str | None) -> Self:
        """Read the fleet from a settings file. Raises ConfigurationError."""
        return cls.of(load_settings(path), room, str(path))

    @classmethod
    def of(cls, settings: Settings, room: str | None, source: str = "settings") -> Self:
        """Return the fleet of one room. room: may be None if the settings have only one. Raises ConfigurationError."""
        names = ", ".join(each.name for each in settings.rooms)
        if room is None and len(settings.rooms) > 1:
            raise ConfigurationError(
                source, [SettingFault("rooms", f"there are several; choose one with --room: {names}")]
            )
        found = [each for each in settings.rooms if room in (None, each.name)]
        if not found:
            raise ConfigurationError(source, [SettingFault("rooms", f"there is no {room!r}; choose from: {names}")])
        gate = gate_settings(settings, found[0])
        return cls(
            source=f"{source}, room {found[0].name}",
            capacity=gate.room_rate,
            burst_s=gate.burst_seconds,
            poll_min_s=gate.poll_min_s,
            poll_max_s=gate.poll_max_s,
            poll_budget_per_s=found[0].polling.budget_per_second,
            nodes=settings.nodes,
            joined=settings.is_joined,
            burst_floor=gate.burst_floor,
            active_limit=found[0].capacity.total_active_users,
        )
