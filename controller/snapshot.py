"""What a gate shows of itself: one immutable value, for metrics, the status document and the dashboard."""

from dataclasses import dataclass

from controller.law.pi import PiTerms


@dataclass(frozen=True, slots=True)
class GateSnapshot:
    """All rates are of this node; `threshold` is on the axis of first_seen (wall clock)."""

    now: float
    lag_s: float  # now - threshold: who arrived longer ago than this may try the bucket
    threshold: float
    bucket_level: float
    bucket_depth: float
    admissions_per_second: float  # the share that was set
    waiting: int  # visitors on this node's list
    waiting_room: int  # estimate over all nodes
    eta_last_s: float | None  # wait of somebody who joins the end of the line now
    polls_per_s: float
    arrivals_per_s: float
    admitted_per_s: float
    show_up: float  # share of the expected visitors who come
    traffic_share: float  # share of the room's polls that come here; 1 = the line is this node's own
    budget_stretch: float  # 1 = polls are within the budget; 2 = intervals are twice as long
    pi: PiTerms
    admitted: int  # since the start
    polled: int
    wasted: float  # admissions lost to a full bucket while somebody waited
    held: bool  # capacity 0
