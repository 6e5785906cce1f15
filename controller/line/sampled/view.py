"""The view of one of several nodes that share nothing: its own leases are a sample of the line.

    near    up to the threshold      this node's own leases, each newcomer's counted with the return rate
    far     beyond it                the estimator: counted again and again, without length bias and with less noise
    beyond  the estimator's end      the estimator's total, and this node's own leases from there on

A sample of n visitors is known to sqrt(n), so the node asks visitors back earlier by that much, parks twice as many
polls, and states a wider P90.

A count of newcomers that have not come back yet is a guess. While many of them do not, the estimator takes in nobody
younger than the longest interval. Otherwise a stretch that was counted as mostly ghosts, and moved to the front as
such, would mislead this node about everybody behind it until it is over, and, through shorter appointments, about the
stretch itself.
"""

from math import inf
from typing import Final

from controller.law.sample import LawTuning, Thresholds
from controller.line.line import Line
from controller.line.sampled.estimator import LineEstimator
from controller.line.stall_guard import StallGuard
from controller.line.view import DOUBT_SHARE, LineView
from controller.polling.appointments import SAMPLED_PARKED_BELOW, Parking, parking, sampled_appointment
from controller.settings import GateSettings

TUNING: Final = LawTuning(
    depth_s=0.3,  # of the visitors before them some are parked here, some are on their way, some poll other nodes
    target_s=0.04,  # visitors that are parked at different nodes differ by more than that
    reserve=0.2,  # each of many nodes keeps it, and a visitor that leaves takes it along
    error_limit_s=1.0,
    patience_s=0.0,
    counts_refusals=True,
)
TRUSTED: Final = 0.9  # return rate below which newcomers are counted by guess
SETTLE_S: Final = 3.0  # newcomers are counted this long after their arrival
# The ETA's interval, fitted to the scenarios.
DOUBT_SD: Final = 2.6
#: Instead of DOUBT_SHARE while it is not known how many of the visitors ahead come back: nodes that share nothing then
#: differ in their guesses, so in their appointments and counts.
DOUBT_GUESSED: Final = 0.5


class SampledView(LineView):
    """One visitor in n, scaled up."""

    __slots__ = ("_beyond", "_estimator", "_guessed_from", "_guessed_until", "_want")

    def __init__(self, line: Line) -> None:
        super().__init__(line, TUNING)
        self.has_own_visitors = False
        self.early_most_s = 0.0
        self._estimator = LineEstimator()
        self._beyond = 0.0  # visitors up to the estimator's end, less this node's own leases up to there
        self._guessed_until = -inf
        self._guessed_from = inf  # first_seen from which on it is not known how many come back
        self._want = 1.0  # this node's capacity to what its part of the visitors makes of the room's

    @property
    def surveyed_until(self) -> float:
        """The first_seen up to which the far line is counted."""
        return self._estimator.newest

    def measure(self, s: GateSettings) -> float:
        self.sample = self.line.traffic.share
        flow = self.sample * s.room_rate
        self._want = max(1.0, s.admissions_per_second / flow)
        return flow

    def estimate(self, first_seen: float, calls: Thresholds) -> tuple[int, float]:
        threshold, estimator = calls.threshold, self._estimator
        if first_seen <= threshold:
            ahead = self.line.ahead(first_seen)
            before = ahead + 1.0 - calls.called
        else:
            if threshold < estimator.newest >= first_seen:  # as nearly all: `between`, without a call in between
                before = estimator.between(first_seen)
            else:
                before = self.between(threshold, first_seen)
            ahead = before + calls.called
        return max(1, int(ahead / self.sample) + 1), self.lead_s + before / self.flow

    def between(self, front: float, first_seen: float) -> float:
        """Return how many visitors stand between `front`, as of the last `survey`, and `first_seen`."""
        estimator = self._estimator
        if estimator.newest <= front:
            return self.line.ahead(first_seen) - self.line.ahead(front)
        if first_seen > estimator.newest:
            return self._beyond + self.line.ahead(first_seen)
        return estimator.between(first_seen)

    def doubt(self, first_seen: float, eta_s: float) -> float:
        """As for a node that is alone, and what a sample may be off by."""
        doubt = (DOUBT_SHARE if first_seen <= self._guessed_from else DOUBT_GUESSED) * eta_s + self.doubt_s
        if first_seen > self.line.freshest:
            doubt += self.line.doubted(first_seen) / self.flow
        spread: float = (eta_s / self.flow) ** 0.5
        return doubt + DOUBT_SD * spread

    def appointment(self, eta_s: float, min_s: float, longest_s: float) -> float:
        return sampled_appointment(eta_s, self.flow, min_s, longest_s)

    def parking(self, s: GateSettings) -> Parking:
        return parking(s, SAMPLED_PARKED_BELOW, self._want)

    def watch(self, guard: StallGuard, dt: float, polls: int, clock: float, is_silent: bool) -> bool:  # noqa: ARG002
        """A silence here says nothing: the visitors may poll other nodes."""
        guard.clear()
        return False

    def survey(self, s: GateSettings, threshold: float, longest_s: float, now: float, age_s: float) -> None:
        """Bring the estimator up to date. A node that has just joined does not know the line yet."""
        if age_s <= longest_s + SETTLE_S:
            return
        line, front = self.line, min(threshold, now)
        youngest = now - SETTLE_S
        if line.return_rate.share < TRUSTED:
            self._guessed_until = line.ticked_at + line.young_s
        if line.ticked_at < self._guessed_until:
            self._guessed_from = now - line.young_s
            youngest = min(youngest, line.freshest, self._guessed_from)
        else:
            self._guessed_from = inf
        surplus = line.traffic.surplus(s.admissions_per_second / s.room_rate)
        estimator = self._estimator
        estimator.step(line, front, self.flow, youngest, line.ticked_at, longest_s, surplus)
        self._beyond = estimator.between(estimator.newest) - line.ahead(estimator.newest)

    def resample(self, ratio: float) -> None:
        self._estimator.scale(ratio)
