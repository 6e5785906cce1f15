"""What a gate shows of itself: one immutable value, for metrics, the status and the dashboard."""

from dataclasses import dataclass

from controller.law.bucket import LeakyBucket
from controller.law.pi import PiTerms
from controller.line.view import LineView
from controller.meter import RateMeter
from controller.polling.budget import PollBudget

__all__ = ["GateSnapshot", "snapshot_of"]


@dataclass(frozen=True, slots=True)
class GateSnapshot:
    """All rates are of this node. `threshold` is on the axis of first_seen (wall clock)."""

    now: float
    lag_s: float  # now - threshold: visitors that arrived longer ago than this may try the bucket
    threshold: float
    bucket_level: float
    bucket_depth: float
    admissions_per_second: float  # this node's share
    waiting: int  # visitors on this node's list
    waiting_room: int  # estimate over all nodes
    eta_last_s: float | None  # until a visitor that joins the end of the line now is admitted
    polls_per_s: float
    arrivals_per_s: float
    admitted_per_s: float
    return_rate: float  # share of newcomers that poll a second time
    traffic_share: float  # share of the room's polls that reach this node; 1 = the line is this node's own
    budget_stretch: float  # 1 = polls are within the budget; 2 = intervals are twice as long
    pi: PiTerms
    admitted: int  # since the start
    polled: int
    wasted: float  # tokens lost because no visitor took them in time
    is_closed: bool  # the capacity is 0
    is_frozen: bool  # the line stands still, for whatever reason


def snapshot_of(
    now: float,
    threshold: float,
    bucket: LeakyBucket,
    view: LineView,
    budget: PollBudget,
    admitted: RateMeter,
    terms: PiTerms,
    is_closed: bool,
    is_frozen: bool,
) -> GateSnapshot:
    """Return the picture of a gate with these parts."""
    line = view.line
    waiting = line.waiting()
    threshold = min(threshold, now)
    return GateSnapshot(
        now=now,
        lag_s=max(0.0, now - threshold),
        threshold=threshold,
        bucket_level=bucket.level(now),
        bucket_depth=bucket.depth,
        admissions_per_second=0.0 if is_closed else bucket.rate,
        waiting=round(waiting),
        waiting_room=round(waiting / view.sample),
        eta_last_s=None if is_frozen else waiting / view.flow,
        polls_per_s=budget.polls.rate,
        arrivals_per_s=budget.arrivals.rate,
        admitted_per_s=admitted.rate,
        return_rate=line.return_rate.share,
        traffic_share=line.traffic.share,
        budget_stretch=budget.stretch,
        pi=terms,
        admitted=admitted.total + admitted.count,
        polled=budget.polls.total + budget.polls.count,
        wasted=bucket.overflowed,
        is_closed=is_closed,
        is_frozen=is_frozen,
    )
