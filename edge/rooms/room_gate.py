"""A room's gate, on an axis of time that holds places exactly.

    number = (place - origin) * 2^-30          seconds since the origin, a double

A place is an integer of 61 bits (`waiting_room/places.py`), a double has 53. So the gate counts time from an origin:
the last multiple of 30 days before it was made. Within 97 days of the origin every place is a number of its own, and
the same place is the same number again. The rest of the edge counts Unix time; here and in `Room` the two meet. News of
other nodes carries places, because their origin may be another one.

`moved` gives an older gate a new origin while nobody waits. A line is never as old as the rest of the 97 days.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import floor
from typing import Any, Final

from controller import Gate, GateSettings, GateSnapshot, Summary
from waiting_room.places import UNITS_PER_S

__all__ = ["MOVE_AFTER_S", "UNIT_S", "RoomGate"]

UNIT_S: Final = 1.0 / UNITS_PER_S
GRID_S: Final = 30 * 86_400
MOVE_AFTER_S: Final = 2.0 * GRID_S
#: Entries of a checkpoint that are moments.
_MOMENTS: Final = ("at", "threshold", "near", "near_from")


class RoomGate:
    """All times are Unix time in seconds. `inner` is the gate itself: its times are seconds since `origin_s`."""

    __slots__ = ("inner", "origin", "origin_s")

    def __init__(self, settings: GateSettings, now: float, resume: Mapping[str, float] | None = None) -> None:
        """The same as `Gate`."""
        origin_s = floor(now / GRID_S) * GRID_S
        self.origin_s = float(origin_s)
        self.origin = origin_s * UNITS_PER_S
        """The place at which `origin_s` is."""
        if resume is not None:
            resume = {name: value - self.origin_s if name in _MOMENTS else value for name, value in resume.items()}
        self.inner = Gate(settings, now - self.origin_s, resume)

    def __repr__(self) -> str:
        return f"<RoomGate from {self.origin_s:.0f}, {self.inner!r}>"

    @property
    def settings(self) -> GateSettings:
        return self.inner.settings

    @property
    def is_quiet(self) -> bool:
        return self.inner.is_quiet

    @property
    def is_frozen(self) -> bool:
        return self.inner.is_frozen

    @property
    def is_returning(self) -> bool:
        return self.inner.is_returning

    def moved(self, now: float) -> "RoomGate":
        """Return this gate or, if it is old and nobody waits, one that goes on from a new origin."""
        if abs(now - self.origin_s) < MOVE_AFTER_S or self.inner.snapshot(now - self.origin_s).waiting:
            return self
        return RoomGate(self.settings, now, self.checkpoint(now))

    def hold(self, is_held: bool, now: float, until: float | None = None) -> None:
        self.inner.hold(is_held, now - self.origin_s, None if until is None else until - self.origin_s)

    def pause(self) -> str | None:
        """Return for what reason of its own the gate stands still; None if it does not."""
        if not self.is_frozen:
            return None
        return "capacity" if self.settings.room_rate <= 0.0 else "restart" if self.is_returning else "nodes"

    def leave_fleet(self, now: float) -> None:
        self.inner.leave_fleet(now - self.origin_s)

    def reconfigure(self, settings: GateSettings, now: float) -> None:
        self.inner.reconfigure(settings, now - self.origin_s)

    def snapshot(self, now: float) -> GateSnapshot:
        shown = self.inner.snapshot(now - self.origin_s)
        return replace(shown, now=now, threshold=shown.threshold + self.origin_s)

    def checkpoint(self, now: float) -> dict[str, float]:
        saved = self.inner.checkpoint(now - self.origin_s)
        # 0 stands for none. It becomes the year 1970, which is before all visitors.
        return {name: value + self.origin_s if name in _MOMENTS and value else value for name, value in saved.items()}

    def summary(self, node: str, beat: int, now: float) -> Summary:
        """Return the summary for other nodes: with places, which are integers, where the gate has numbers."""
        own, place = self.inner.summary(node, beat, now - self.origin_s), self._place
        return replace(
            own,
            at=now,
            leases=tuple([(place(number), due_s, is_first) for number, due_s, is_first in own.leases]),
            admitted=tuple([place(number) for number in own.admitted]),
            profile=tuple([place(number) for number in own.profile]),
        )

    def observe(self, node: str, summaries: Iterable[Summary], now: float) -> None:
        """Take in summaries as `summary` returns them."""
        self.inner.observe(node, [self._here(summary) for summary in summaries], now - self.origin_s)

    def _here(self, summary: Summary) -> Summary:
        number = self._number
        # Compiled code would take the integers for the floats of the type, and round them.
        leases: Any = summary.leases
        admitted: Any = summary.admitted
        profile: Any = summary.profile
        return replace(
            summary,
            at=summary.at - self.origin_s,
            leases=tuple([(number(place), due_s, is_first) for place, due_s, is_first in leases]),
            admitted=tuple([number(place) for place in admitted]),
            profile=tuple([number(place) for place in profile]),
        )

    def _number(self, place: object) -> float:
        """Return the number of a place or, from an older version, of a moment."""
        if isinstance(place, int):
            return (place - self.origin) * UNIT_S
        return float(place) - self.origin_s if isinstance(place, float) else 0.0

    def _place(self, number: float) -> int:
        return self.origin + int(number * UNITS_PER_S)
