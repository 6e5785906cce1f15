"""The closed loop over the upstream: how much of its capacity a room may use while the upstream is slow or failing.

The controlled variable is the *strain*: how much worse the upstream's responses are than the operator allows. It is
the worse of

    slowness    mean of min(latency / target, MOST_SLOW)       a request under way that is older than the target counts
                                                               by its age, so that an upstream that hangs is noticed
    failures    failed / count / error_share

    e = clamp(max(slowness, failures) - 1, -1, 1)              0: just as slow, or failing as often, as is allowed

over responses that are forgotten with a time constant of MEMORY_S. The law is a PI controller of e. Its integral part
rises and falls as in AIMD (Chiu and Jain, 1989), its proportional part works on one side only:

    I' = -I * e / LOWER_S          e > 0    multiplicative decrease                floor <= I <= 1
    I' = -e / recovery_s           e < 0    additive increase, the slower the nearer e is to 0
    factor = max(floor, I * (1 - BRAKE * max(0, e)))

Why two parts: an admitted visitor sends requests for as long as the visit lasts, and requests that arrived too fast lie
in the upstream's queue, so the plant is a lag behind an integrator. Decrease alone goes on cutting while that queue
drains, and then swings between the floor and too much. The brake acts at once and lets go as the queue drains. Only the
error that remains moves I, which ends near what the upstream can take. PIE (RFC 8033) keeps the delay of a queue by the
same two terms. `tests/simulation/closed_loop.py` plays it against a shop with a queue.

FEW responses that took no time are counted in, so a request now and then moves little. Silence is no sign of trouble:
old responses are forgotten, and I recovers. While the circuit breaker is open no request is sent: the law stands still.
"""

import math
from dataclasses import dataclass

__all__ = ["BRAKE", "LOWER_S", "MEMORY_S", "MOST_SLOW", "AdaptiveLaw", "AdaptiveSettings", "Answered"]

MEMORY_S = 4.0
FEW = 3.0
#: One response counts as at most this many times the target: a single slow one is not the whole truth.
MOST_SLOW = 3.0
#: While latency stays at twice the target, I falls e-fold in LOWER_S seconds, and BRAKE of I is not used.
LOWER_S = 40.0
BRAKE = 0.7
#: After a stall of the machine nothing is known of the time in between.
LONGEST_STEP_S = 2.0


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """The operator's limits.

    error_share: share of responses that may fail, 0..1.
    floor: the least factor, 0..1.
    recovery_s: seconds from a factor of 0 to 1.
    """

    error_share: float
    floor: float
    recovery_s: float


@dataclass(frozen=True, slots=True)
class Answered:
    """A room's responses since the last report: their number, the sum of their slowness, how many failed."""

    count: int = 0
    slowness: float = 0.0
    failed: int = 0


class AdaptiveLaw:
    """The law of one room: `observe` each report, `step` a few times a second, read `factor`."""

    __slots__ = ("_count", "_failed", "_integral", "_settings", "_slowness", "factor")

    def __init__(self, settings: AdaptiveSettings) -> None:
        self._settings = settings
        self._count = self._slowness = self._failed = 0.0
        self._integral = 1.0
        self.factor = 1.0
        """Share of the configured capacity that the room may use, floor..1."""

    def __repr__(self) -> str:
        return f"<AdaptiveLaw {self.factor:.0%} of {self._integral:.0%}, strain {self.strain:.2f}>"

    @property
    def slowness(self) -> float:
        """Recent mean latency in multiples of the target."""
        return self._slowness / (self._count + FEW)

    @property
    def failures(self) -> float:
        """Recent share of responses that failed."""
        return self._failed / (self._count + FEW)

    @property
    def strain(self) -> float:
        """1 means as bad as is allowed."""
        return max(self.slowness, self.failures / self._settings.error_share)

    def reconfigure(self, settings: AdaptiveSettings) -> None:
        """Use other settings. The factor jumps only if the new floor is above it."""
        self._settings = settings
        self._integral = max(settings.floor, self._integral)
        self.factor = max(settings.floor, self.factor)

    def observe(self, answered: Answered) -> None:
        self._count += answered.count
        self._slowness += answered.slowness
        self._failed += answered.failed

    def step(self, dt_s: float, *, is_paused: bool = False) -> float:
        """Take one control step. Any dt works, also a negative one. is_paused: no request is sent to the upstream."""
        dt_s = min(max(dt_s, 0.0), LONGEST_STEP_S)
        s, integral = self._settings, self._integral
        error = min(max(self.strain - 1.0, -1.0), 1.0)
        if not is_paused:
            integral = (
                integral * math.exp(-error * dt_s / LOWER_S) if error > 0.0 else integral - error * dt_s / s.recovery_s
            )
            self._integral = min(max(integral, s.floor), 1.0)
            self.factor = max(s.floor, self._integral * (1.0 - BRAKE * max(0.0, error)))
        kept = math.exp(-dt_s / MEMORY_S)
        self._count *= kept
        self._slowness *= kept
        self._failed *= kept
        return self.factor
