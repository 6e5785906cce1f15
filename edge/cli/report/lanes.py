"""The lanes of a room in a report: how many came to each, got in and left, how long they waited, and the order."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.cli.report.measures import Spread, kendall, spread
from edge.cli.report.reading import History, Visitor
from edge.record.events import lane_code
from edge.settings.lanes import GENERAL

__all__ = ["Lane", "admissions_by_lane", "lanes_of"]


@dataclass(frozen=True, slots=True)
class Lane:
    """share: of the capacity, percent, as the settings had it last; None if the record does not say."""

    name: str
    share: float | None
    came: int
    got_in: int
    left: int
    wait: Spread
    kendall: float

    @property
    def waiting(self) -> int:
        """Visitors in line at the end."""
        return self.came - self.got_in - self.left


def lanes_of(history: History) -> list[Lane]:
    """Return the lanes of a room, the general one first; [] if it has no named lanes."""
    shares: dict[str, float] = {}
    for each in history.of_kind("state"):
        shares.update((str(name), float(share)) for name, share in each.note.values.get("lanes", ()))
    names = {0 if name == GENERAL else lane_code(name): name for name in (GENERAL, *shares)}
    found: dict[int, list[Visitor]] = {code: [] for code in names}
    for visitor in history.visitors:
        found.setdefault(visitor.lane, []).append(visitor)
    if len(found) == 1:
        return []
    # A record of which the oldest files were removed may not name a lane.
    return [
        _lane(names.get(code, f"lane {code:06x}"), shares.get(names.get(code, "")), visitors)
        for code, visitors in found.items()
    ]


def _lane(name: str, share: float | None, visitors: Sequence[Visitor]) -> Lane:
    inside = [(each.admitted_s, each.arrival_s) for each in visitors if each.admitted_s is not None]
    return Lane(
        name=name,
        share=share,
        came=len(visitors),
        got_in=len(inside),
        left=sum(each.has_left for each in visitors),
        wait=spread([admitted - arrival for admitted, arrival in inside]),
        kendall=kendall([admitted for admitted, _ in inside]),
    )


def admissions_by_lane(visitors: Sequence[Visitor]) -> list[list[float]]:
    """Return the moments of the admissions of each lane, in the order of arrival. visitors: in that order."""
    found: dict[int, list[float]] = {}
    for each in visitors:
        if each.admitted_s is not None:
            found.setdefault(each.lane, []).append(each.admitted_s)
    return list(found.values())
