"""A rate per second from events: an exponential average that forgets with a time constant.

rate <- rate + (events / dt - rate) * (1 - exp(-dt / tau))        any dt; unbiased from the first second on
"""

from math import exp


class RateMeter:
    """Count with `count += n`; `tick(dt)` folds the count in."""

    __slots__ = ("_tau_s", "_weight", "_weighted", "count", "total")

    def __init__(self, tau_s: float, rate: float = 0.0) -> None:
        self._tau_s = tau_s
        self._weighted = rate
        self._weight = 1.0 if rate else 0.0
        self.count = 0
        self.total = 0

    @property
    def rate(self) -> float:
        return self._weighted / self._weight if self._weight else 0.0

    def tick(self, dt: float) -> float:
        """Fold in what was counted in the last `dt` seconds; returns the rate."""
        if dt > 0.0:
            keep = exp(-dt / self._tau_s)
            self._weighted = self._weighted * keep + self.count / dt * (1.0 - keep)
            self._weight = self._weight * keep + (1.0 - keep)
            self.total += self.count
            self.count = 0
        return self.rate
