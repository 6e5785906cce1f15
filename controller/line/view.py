"""How a gate counts the line in its mode. One object a mode, chosen once a control step.

    mode      view                              what the node sees                     positions count
    alone     controller/line/alone.py          the whole line, by its own leases      its own list
    joined    controller/fleet/joined.py        its own leases, and other nodes' news  the room's whole line
    sampled   controller/line/sampled/view.py   its own leases, one visitor in n       its own list, scaled up

    decide    estimate, doubt, appointment      the position and the ETA of one visitor
    tick      measure, supply, thresholds       the figures of the line, the law's input, the law's output as thresholds

The base class is what holds where the whole line is seen. The ETA of a visitor x: called visitors are admitted within
`lead_s`, the others after those before them:

    eta = lead_s + (visitors between the threshold and x) / flow
    P90 = eta + DOUBT_SHARE * eta + doubt_s + what the count may be off by (`doubt`)
"""

from abc import ABC, abstractmethod
from math import inf, sqrt
from typing import Final

from controller.law.bucket import LeakyBucket
from controller.law.sample import Call, LawTuning, Supply, Thresholds
from controller.line.line import Line
from controller.line.stall_guard import StallGuard
from controller.polling.appointments import Parking, exact_appointment, parking
from controller.settings import GateSettings

__all__ = ["DOUBT_SHARE", "ZONE_S", "LineView"]

#: Near the front is what is called within the longest interval and this.
ZONE_S: Final = 6.0
# A node that sees the whole line asks visitors back this much before they are expected to be admitted: more than the
# network and the page vary by, so that nearly all are parked when they are called.
EARLY_MOST_S: Final = 0.6
LEAST_FLOW: Final = 0.01  # of what tokens allow, while there is no vacancy
# The ETA's interval, fitted to the scenarios.
DOUBT_SHARE: Final = 0.08
DOUBT_S: Final = 1.2
DOUBT_TURNS: Final = 2.0  # turns of the room's: where one takes a second or more, DOUBT_S is less than one too many


class LineView(ABC):
    """The count of the line in one mode. Times are in seconds, `first_seen` is on the wall clock's axis."""

    __slots__ = (
        "doubt_s", "early_most_s", "flow", "has_own_visitors", "lead_s", "line", "sample", "shared_eta_s",
        "spreads_newcomers", "sure_until", "tuning",
    )  # fmt: skip

    def __init__(self, line: Line, tuning: LawTuning) -> None:
        self.line = line
        self.tuning = tuning
        self.sample = 1.0  # visitors of the counted list to one of the room's
        self.flow = 0.0  # visitors a second of the counted list that pass the front, or will after a standstill
        self.lead_s = 0.0  # a called visitor is admitted within it
        self.doubt_s = DOUBT_S
        #: For a first_seen up to it, `ahead` is the rank in the book and P90 is eta + DOUBT_SHARE * eta + doubt_s.
        self.sure_until = -inf
        self.shared_eta_s = 0.0  # other nodes are told of leases with a shorter ETA (`share`)
        self.early_most_s = EARLY_MOST_S  # visitors are asked back at most this much before they are called
        self.has_own_visitors = True  # whether visitors come back to this node
        self.spreads_newcomers = False  # whether first polls must be spread, because other nodes hear of them late

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.flow:.1f}/s, sees {self.sample:.2f} of the room, {self.line!r}>"

    @property
    def is_empty(self) -> bool:
        """Whether no visitor is expected back, as far as this node knows."""
        return not self.line.book

    @abstractmethod
    def measure(self, s: GateSettings) -> float:
        """Set `sample` and the other figures of the mode, and return the flow that the capacity allows."""

    def renew(self, s: GateSettings, longest_s: float, late_s: float, vacancies_per_s: float) -> None:
        """Bring all figures up to date. Call it once a control step.

        longest_s: the longest interval, as it is stretched now. late_s: how much later than usual visitors poll.
        vacancies_per_s: vacancies that appear in a second while these are scarcer than tokens, else infinite.
        """
        self.shared_eta_s = self.zone_eta_s(longest_s)
        flow = self.measure(s)
        if vacancies_per_s < inf:
            flow = min(flow, max(vacancies_per_s * flow / s.admissions_per_second, LEAST_FLOW * flow))
        self.flow = flow
        self.doubt_s = max(DOUBT_S, DOUBT_TURNS * self.sample / flow)
        self.lead_s = self.tuning.lead_s(late_s)

    def zone_eta_s(self, longest_s: float) -> float:  # noqa: ARG002
        """Return the ETA up to which other nodes are told of leases."""
        return 0.0

    def ahead(self, first_seen: float) -> float:
        """Return how many visitors of the counted list before this one are expected to come back."""
        return self.line.ahead(first_seen)

    def nth(self, count: float) -> float | None:
        """Return the first_seen with `count` expected visitors before it, or None beyond the end."""
        return self.line.nth(count)

    def estimate(self, first_seen: float, calls: Thresholds) -> tuple[int, float]:
        """Return the position in the whole line and the ETA, which is negative for visitors called long ago."""
        ahead = self.ahead(first_seen)
        return max(1, int(ahead / self.sample) + 1), self.lead_s + (ahead + 1.0 - calls.called) / self.flow

    @abstractmethod
    def doubt(self, first_seen: float, eta_s: float) -> float:
        """Return the seconds from the median to the 90th percentile of the ETA."""

    def appointment(self, eta_s: float, min_s: float, longest_s: float) -> float:
        """Return the seconds until the next poll of a visitor that is expected to be admitted in `eta_s`."""
        return exact_appointment(eta_s, min_s, longest_s)

    def parking(self, s: GateSettings) -> Parking:
        """Return how long polls are parked, and from which ETA on."""
        return parking(s)

    def admit(self, first_seen: float) -> None:
        """Take an admitted visitor off the line."""
        self.line.leave(first_seen)

    def leave(self, first_seen: float) -> None:
        """Take a visitor that has left off the line."""
        self.line.leave(first_seen)

    def tell(self, first_seen: float, due: float, is_first: bool) -> None:  # noqa: B027 (most modes tell nobody)
        """Tell other nodes of a lease near the front."""

    def watch(self, guard: StallGuard, dt: float, polls: int, clock: float, is_silent: bool) -> bool:
        """Return whether nothing can be learnt from the polls of this control step.

        is_silent: other nodes are silent, and their visitors may be in the line.
        """
        return guard.step(dt, polls, self.line.book, clock, is_silent)

    def delayed_s(self, guard: StallGuard) -> float:
        """Return how much later this node's own leases end, because nobody could poll."""
        return guard.behind_s

    def tick(self, clock: float, behind_s: float, threshold: float) -> None:  # noqa: B027 (most modes have no more)
        """End the leases that the mode keeps beside the line's own. Call it after `Line.tick`."""

    def rest(self, s: GateSettings, bucket: LeakyBucket, now: float) -> None:
        """Set the bucket for the time while nobody waits."""
        bucket.fill_to(s.idle_depth_at(bucket.rate), now)

    def supply(self, bucket: LeakyBucket, now: float) -> Supply | None:
        """Set the bucket for the time while somebody waits, and return the tokens at hand, or None if unknown."""
        bucket.fill_to(bucket.depth, now)
        rate, depth, flow = bucket.rate, bucket.depth, self.flow
        # If fewer visitors poll this node than its share could admit, the law must reach further back. By the node's
        # rate it would admit every visitor that polls, by their flow hardly any in time. The geometric mean of the two,
        # with the rate counted three times, measured best.
        called = max(flow, sqrt(rate * sqrt(flow * rate)))
        return Supply(bucket.level(now), depth, rate, called, self.tuning.target_s, rate, depth)

    def thresholds(self, call: Call) -> Thresholds:
        """Return the law's call on the axis of first_seen."""
        overdue = self.nth(call.overdue)
        called = self.nth(call.visitors)
        return Thresholds(
            threshold=inf if called is None else called,
            overdue=inf if overdue is None else overdue,
            reserve=call.reserve,
            called=len(self.line) if called is None else self.ahead(called),
        )

    def survey(  # noqa: B027 (only a node that sees a sample needs to)
        self, s: GateSettings, threshold: float, longest_s: float, now: float, age_s: float
    ) -> None:
        """Count the far line once more. age_s: since this node joined a running sale, infinite if it did not."""

    def resample(self, ratio: float) -> None:  # noqa: B027 (most modes keep no counts of their own)
        """The node now sees `ratio` times the share of the line that it saw."""
