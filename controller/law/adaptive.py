"""The closed loop over the upstream: how much of its capacity a room may use while the upstream is slow or failing.

What is controlled is the *strain*: by how much the answers are worse than the operator allows, the worse of

    slowness    mean of min(latency / target, MOST_SLOW)       what is under way and older than the target counts by
                                                               its age, so that an upstream that hangs is noticed
    failures    failed / count / error_share

    e = clamp(max(slowness, failures) - 1, -1, 1)              0: just as slow, or failing as often, as is allowed

over answers that are forgotten with a time constant of MEMORY_S. The law is a PI controller of e; its integral part
rises and falls as in AIMD (Chiu and Jain, 1989), its proportional part works on one side only:

    I' = -I * e / LOWER_S          e > 0    multiplicative decrease                floor <= I <= 1
    I' = -e / recovery_s           e < 0    additive increase, the slower the nearer e is to 0
    factor = max(floor, I * (1 - BRAKE * max(0, e)))

Why two parts: a visitor who was let in goes on asking for as long as the visit lasts, and what came too fast lies in
the upstream's queue, so the plant is a lag behind an integrator. Decrease alone goes on cutting while that queue
drains, and then swings between the floor and too much. The brake answers at once and lets go as the queue drains; only
what stays of the error moves I, which ends near what the upstream can take. PIE (RFC 8033) keeps the delay of a queue
by the same two terms. `tests/simulation/closed_loop.py` plays it against a shop with a queue.

FEW answers that took no time are counted in, so a request now and then moves little. Silence is no sign of trouble:
what was heard is forgotten, and I recovers. While the circuit breaker is open nothing is asked: the law stands still.
"""

import math
from dataclasses import dataclass

__all__ = ["BRAKE", "LOWER_S", "MEMORY_S", "MOST_SLOW", "AdaptiveLaw", "AdaptiveSettings", "Answered"]

MEMORY_S = 4.0
FEW = 3.0
#: One answer counts as at most so many times the target: a single one of a minute is not the whole truth.
MOST_SLOW = 3.0
#: Twice the target, lasting, takes e-fold of I in so many seconds, and at once this part of the rest.
LOWER_S = 40.0
BRAKE = 0.7
#: After a stall of the machine nobody knows what happened meanwhile.
LONGEST_STEP_S = 2.0


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """error_share: failed answers that are allowed, 0..1. floor: the least factor, 0..1. recovery_s: from nothing to
    everything, seconds."""

    error_share: float
    floor: float
    recovery_s: float


@dataclass(frozen=True, slots=True)
class Answered:
    """What a room's requests came to since the last time: how many, the sum of their slowness, how many failed."""

    count: int = 0
    slowness: float = 0.0
    failed: int = 0


class AdaptiveLaw:
    """One room's. `observe` whatever nodes report, `step` a few times a second; `factor` is what it says."""

    __slots__ = ("_count", "_failed", "_integral", "_settings", "_slowness", "factor")

    def __init__(self, settings: AdaptiveSettings) -> None:
        self._settings = settings
        self._count = self._slowness = self._failed = 0.0
        self._integral = 1.0
        self.factor = 1.0
        """Part of the configured capacity that may be used, floor..1."""

    def __repr__(self) -> str:
        return f"<AdaptiveLaw {self.factor:.0%} of {self._integral:.0%}, strain {self.strain:.2f}>"

    @property
    def slowness(self) -> float:
        """Mean latency in targets, lately."""
        return self._slowness / (self._count + FEW)

    @property
    def failures(self) -> float:
        """Share of answers that failed, lately."""
        return self._failed / (self._count + FEW)

    @property
    def strain(self) -> float:
        """1: as bad as is allowed."""
        return max(self.slowness, self.failures / self._settings.error_share)

    def reconfigure(self, settings: AdaptiveSettings) -> None:
        """Go on by other settings; nothing jumps but to a floor that was raised."""
        self._settings = settings
        self._integral = max(settings.floor, self._integral)
        self.factor = max(settings.floor, self.factor)

    def observe(self, answered: Answered) -> None:
        self._count += answered.count
        self._slowness += answered.slowness
        self._failed += answered.failed

    def step(self, dt_s: float, *, is_held: bool = False) -> float:
        """The control step: any dt works, also none and a negative one. is_held: the upstream is left alone."""
        dt_s = min(max(dt_s, 0.0), LONGEST_STEP_S)
        s, integral = self._settings, self._integral
        error = min(max(self.strain - 1.0, -1.0), 1.0)
        if not is_held:
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
