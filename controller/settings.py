"""The settings of one gate: rates, bounds and its place among the other nodes. Checked once, frozen afterwards.

Every setting has a default that needs no tuning from 1/s to 5,000/s a node; only `admissions_per_second` says something
about the shop. Units stand in the names. Rates are those of this one node unless the name says `room`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Of the cushion of a joined node; see controller/fleet/shared_bucket.py.
CUSHION: Final = 1.0
CUSHION_SD: Final = 1.0


class SettingsError(ValueError):
    """The settings describe no possible gate. The message names every fault."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """The settings of one gate.

    admissions_per_second: this node's share of the capacity; 0 closes the room.
    burst_seconds: how many seconds' worth of unused admissions the bucket keeps. The bucket is at least one admission
        deep, or a share of 0.2/s could not admit at all.
    poll_min_s, poll_max_s: the shortest and the longest interval between two polls of a visitor.
    poll_budget_per_s: polls a second that this node wants to see at most. The longest interval is stretched to keep it.
        None: no budget.
    nodes: how many nodes the line is spread over when they share nothing; each sees one visitor in `nodes`.
    room_admissions_per_second: the capacity of the whole room. None means `nodes * admissions_per_second`.
    burst_floor: least depth of the bucket, in admissions, and only while somebody waits. 1 keeps the promise of the
        whole room: all nodes together admit at most max(burst, nodes) at once. With a burst of one admission a node of
        1/s loses a thirtieth of its share, because a token is lost whenever no visitor is there at once. 3 wins nearly
        all of it back, and admits `3 * nodes` at once at worst.
    max_leases: most leases (some 40 bytes each) that are kept exactly; of a longer line the gate samples the far end.
    """

    admissions_per_second: float
    burst_seconds: float = 1.0
    poll_min_s: float = 1.0
    poll_max_s: float = 15.0
    poll_budget_per_s: float | None = None
    nodes: int = 1
    room_admissions_per_second: float | None = None
    burst_floor: float = 3.0
    max_leases: int = 2_097_152

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise SettingsError("; ".join(faults))

    def depth_at(self, rate: float) -> float:
        """Return the most admissions in one instant at a share of `rate`: the burst, and at least burst_floor."""
        return max(1.0 if rate <= 0.0 else self.burst_floor, self.burst_seconds * rate)

    def idle_depth_at(self, rate: float) -> float:
        """Return how much of the depth is filled while nobody waits: the burst alone, and at least one."""
        return max(1.0, self.burst_seconds * rate)

    def cushion_at(self, rate: float) -> float:
        """Return the tokens that a joined node keeps beyond its burst, for visitors that come to it by chance."""
        return 0.0 if self.burst_floor <= 1.0 else CUSHION + CUSHION_SD * rate**0.5

    @property
    def room_rate(self) -> float:
        """Admissions a second of the whole room, over all nodes."""
        if self.room_admissions_per_second is not None:
            return self.room_admissions_per_second
        return self.admissions_per_second * self.nodes


def _faults(s: GateSettings) -> Iterator[str]:
    def within(name: str, value: float, low: float, high: float) -> Iterator[str]:
        if not (math.isfinite(value) and low <= value <= high):
            yield f"{name}: must be within {low:g}..{high:g}, got {value!r}"

    yield from within("admissions_per_second", s.admissions_per_second, 0.0, 1e6)
    yield from within("burst_seconds", s.burst_seconds, 0.0, 3600.0)
    yield from within("poll_min_s", s.poll_min_s, 0.05, 600.0)
    yield from within("poll_max_s", s.poll_max_s, 0.05, 3600.0)
    if s.poll_max_s < s.poll_min_s:
        yield f"poll_max_s: must be >= poll_min_s ({s.poll_min_s!r}), got {s.poll_max_s!r}"
    if s.poll_budget_per_s is not None:
        yield from within("poll_budget_per_s", s.poll_budget_per_s, 1e-3, 1e9)
    yield from within("nodes", s.nodes, 1, 1_000_000)
    if s.room_admissions_per_second is not None:
        yield from within("room_admissions_per_second", s.room_admissions_per_second, 0.0, 1e9)
    yield from within("burst_floor", s.burst_floor, 1.0, 1e6)
    yield from within("max_leases", s.max_leases, 1024, 1 << 24)
