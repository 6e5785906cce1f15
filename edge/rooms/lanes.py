"""The lanes of one room on one node: their shares, and the control step that lends what a lane does not use.

    Room 'checkout'            the general lane; it covers requests, and is what `rooms[].name` names
    Room 'checkout', 'members' a named lane: a gate, a door and a fairness recorder of its own
                               shared: stock, redeemed tickets, vacancies, pages, cookie, guests

All lanes of a room are `Room`s of one family. What an operator, the shop or a dependency says of the room holds for all
of them. A room without lanes is a family of one, and has no `RoomLanes`.
"""

from collections.abc import Sequence
from dataclasses import replace

from controller.lanes import LaneDivider
from edge.rooms.room_gate import RoomGate
from edge.settings.room import RoomSettings

__all__ = ["FEW", "RoomLanes", "shares_of"]

#: With so few vacancies the lanes take turns.
FEW = 8

#: Seconds between two steps, at the least: each lane's control step calls for one.
STEP_S = 0.09


def shares_of(room: RoomSettings) -> tuple[float, ...]:
    """Return the parts of the capacity that the lanes have, the general lane first. They add up to 1."""
    named = [lane.share / 100.0 for lane in room.lanes]
    return (1.0 - sum(named), *named)


class RoomLanes:
    """rate: the capacity of the whole room, admissions a second over all nodes and lanes."""

    def __init__(self, room: RoomSettings, rate: float, now: float, before: "RoomLanes | None" = None) -> None:
        """before: of the room before a reload, if it had lanes."""
        self.names = ("", *(lane.name for lane in room.lanes))
        self._divider = LaneDivider(shares_of(room), rate)
        self._divided_at = now
        if before is not None and before.names == self.names:
            self._divider.follow(before._divider)

    def __repr__(self) -> str:
        return f"<RoomLanes {', '.join(name or 'general' for name in self.names)}, {self._divider!r}>"

    @property
    def rate(self) -> float:
        return self._divider.rate

    def has_turn(self, lane: str) -> bool:
        """Return whether a lane may take the next vacancy, if there are few."""
        return self._divider.has_turn(self.names.index(lane))

    def took(self, lane: str) -> None:
        """Count the admission of a visitor of this lane."""
        self._divider.took(self.names.index(lane))

    def divide(self, gates: Sequence[RoomGate], now: float) -> None:
        """Lend what lanes do not use. gates: of all lanes, in the order of the names."""
        dt = now - self._divided_at
        if 0.0 <= dt < STEP_S:
            return
        self._divided_at = now
        inner = [gate.inner for gate in gates]
        self._divider.divide(inner, [now - gate.origin_s for gate in gates], max(dt, 0.0))

    def use_rate(self, rate: float, gates: Sequence[RoomGate], now: float) -> None:
        """Use another capacity of the whole room from now on. Thresholds, buckets and lines stay."""
        self._divider.rate = rate
        for share, gate in zip(self._divider.shares, gates, strict=True):
            wanted, part = gate.settings, share * rate
            fresh = replace(wanted, admissions_per_second=part / wanted.nodes, room_admissions_per_second=part)
            gate.reconfigure(fresh, now)
