"""The line of a room in `mode: shadow`: nobody stands in it, but the room counts how many would have.

Every visitor passes at once, so nobody polls, and the gate sees nothing. What a line in order of arrival would have
been follows from arrivals and capacity alone, as the level of a bucket that drains at the capacity:

    backlog = max(0, backlog - capacity * time since the last arrival) + 1 at each arrival
    wait    = max(0, backlog - burst) / capacity        what this visitor would have waited, in seconds

Nobody leaves this line, so it is an upper bound: a real one would have lost some visitors. Each node counts its own
visitors against its share of the capacity.
"""

from dataclasses import dataclass

from controller import GateSettings
from edge.settings.room import RoomMode

__all__ = ["ShadowFigures", "ShadowLine", "next_shadow"]


@dataclass(frozen=True, slots=True)
class ShadowFigures:
    """Counted since the room is in this mode."""

    visitors: int
    queued: int
    """Visitors that would have waited."""
    waiting: float
    """Visitors that would be waiting now."""
    longest_s: float
    """The longest wait so far."""


class ShadowLine:
    """One node's. rate: admissions a second. burst: visitors that would have passed at once after a quiet time."""

    __slots__ = ("_backlog", "_burst", "_longest_s", "_moved_at", "_queued", "_rate", "_visitors")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._backlog = 0.0
        self._moved_at = now
        self._visitors = self._queued = 0
        self._longest_s = 0.0

    def __repr__(self) -> str:
        return f"<ShadowLine {self._queued} of {self._visitors} visitors would have waited>"

    def use(self, rate: float, burst: float, now: float) -> None:
        """Count with another capacity from now on."""
        self._advance(now)
        self._rate, self._burst = rate, burst

    def arrive(self, now: float) -> float:
        """Count a visitor; return the seconds that they would have waited. Infinite if the capacity is 0."""
        self._advance(now)
        self._backlog += 1.0
        self._visitors += 1
        behind = self._backlog - self._burst
        if behind <= 0.0:
            return 0.0
        wait_s = behind / self._rate if self._rate > 0.0 else float("inf")
        self._queued += 1
        self._longest_s = max(self._longest_s, wait_s)
        return wait_s

    def figures(self, now: float) -> ShadowFigures:
        self._advance(now)
        return ShadowFigures(self._visitors, self._queued, max(0.0, self._backlog - self._burst), self._longest_s)

    def _advance(self, now: float) -> None:
        """Let the capacity of the time since the last call drain the backlog. The clock may be set back."""
        self._backlog = max(0.0, self._backlog - self._rate * max(0.0, now - self._moved_at))
        self._moved_at = now


def next_shadow(before: ShadowLine | None, mode: RoomMode, gate: GateSettings, now: float) -> ShadowLine | None:
    """Return the shadow line of a room by other settings; None in every other mode. before: by those until now."""
    if mode != "shadow":
        return None
    rate, burst = gate.admissions_per_second, gate.idle_depth_at(gate.admissions_per_second)
    shadow = before or ShadowLine(rate, burst, now)
    shadow.use(rate, burst, now)
    return shadow
