"""A rate per second from events: an exponential average that forgets with a time constant.

rate <- rate + (events / dt - rate) * (1 - exp(-dt / tau))        any dt; unbiased from the first second on
"""

from math import exp


class RateMeter:
    """Count events with `count += n`; `tick(dt)` folds them into the rate."""

    __slots__ = ("_tau_s", "_weight", "_weighted", "count", "total")

    def __init__(self, tau_s: float) -> None:
        self._tau_s = tau_s
        self._weighted = self._weight = 0.0
        self.count = 0
        self.total = 0

    def __repr__(self) -> str:
        return f"<RateMeter {self.rate:.2f}/s over {self._tau_s:g} s>"

    @property
    def rate(self) -> float:
        return self._weighted / self._weight if self._weight else 0.0

    def tick(self, dt: float) -> float:
        """Fold in the events of the last `dt` seconds and return the rate."""
        if dt > 0.0:
            keep = exp(-dt / self._tau_s)
            self._weighted = self._weighted * keep + self.count / dt * (1.0 - keep)
            self._weight = self._weight * keep + (1.0 - keep)
            self.total += self.count
            self.count = 0
        return self.rate
