"""The values that go into the law and come out of it. All are frozen.

    line view --Supply--> LawSample --> ThresholdLaw.step --> Call --line view--> Thresholds --> Gate.decide

`LawTuning` holds what differs between the modes of a gate.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

#: If visitors poll later than usual by x seconds, they are called LATE * x seconds further ahead, and a refused visitor
#: counts as missing for LATE * x seconds longer. A half, as of the interval: a late poll is halfway here on average.
LATE: Final = 0.5


@dataclass(frozen=True, slots=True)
class LawTuning:
    """The law's constants in one mode.

    depth_s: visitors called ahead when all is well, in seconds of the flow.
    target_s: what the bucket should hold, in seconds of the share.
    reserve: tokens that called visitors leave for overdue ones, by the root of a second's admissions.
    error_limit_s: largest error that the feedback sees, in either direction.
    patience_s: how long the bucket must have been more than half full before the boost sets in.
    counts_refusals: whether a called visitor that found the bucket empty counts as a missing token.
    """

    depth_s: float
    target_s: float
    reserve: float
    error_limit_s: float
    patience_s: float
    counts_refusals: bool

    def ahead_s(self, late_s: float) -> float:
        """Return how far ahead visitors are called when all is well: late visitors are on their way for longer."""
        return self.depth_s + LATE * late_s

    def lead_s(self, late_s: float) -> float:
        """Return within how many seconds a called visitor is admitted."""
        return self.ahead_s(late_s) + self.target_s


@dataclass(frozen=True, slots=True)
class Supply:
    """The tokens at hand, as the line view sees them.

    level, capacity: tokens now, and at most; of joined nodes this node's share of the room's.
    rate: admissions a second that they arrive at.
    flow: visitors of the line to call for each second of the law's depth.
    target_s: what the level should be, in seconds of `rate`.
    room_rate, room_depth: of the bucket that the reserve is kept in: this node's, or the shared one.
    """

    level: float
    capacity: float
    rate: float
    flow: float
    target_s: float
    room_rate: float
    room_depth: float


@dataclass(frozen=True, slots=True)
class LawSample:
    """The figures of one control step.

    refused: polls of called visitors since the last step that did not admit them: no token, no vacancy, room closed.
    late_s: how much later than usual visitors poll.
    is_blocked: the bucket idles for want of vacancies, or because nobody can poll, so its level teaches nothing.
    """

    supply: Supply
    refused: int
    late_s: float
    dt_s: float
    is_blocked: bool


@dataclass(frozen=True, slots=True)
class Call:
    """What the law returns: how many visitors to call, how many of them are overdue, how many tokens those keep."""

    visitors: float
    overdue: float
    reserve: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A call on the axis of first_seen.

    threshold: visitors up to it may try the bucket. Infinite while nobody waits.
    overdue: visitors up to it may use the reserve.
    reserve: tokens that other called visitors leave in the bucket.
    called: how many visitors of the line are called.
    """

    threshold: float
    overdue: float
    reserve: float = 0.0
    called: float = 0.0


#: Nobody waits: every visitor may try the bucket.
OPEN: Final = Thresholds(inf, inf)
