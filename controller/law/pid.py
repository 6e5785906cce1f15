"""The feedback: a PI(D) controller in its parallel form, with the care that control practice asks for.

    u(t) = Kp e + Ki * integral(e dt) - Kd * d(measured)/dt,      clamped to [low, high]

- independent of the step: the integral is of e dt, any dt works; a dt above `max_dt_s` counts as `max_dt_s`
- anti-windup by conditioning: the integral stands still while the output is clamped and e pushes further out
- bumpless: the integral is stored already multiplied by Ki; `track` sets it so that the output is a given
  value
- the derivative acts on the measurement, filtered (Td/8); Kd is 0 by default, as in every production
  controller of this kind that was published (Shopify, Mozilla Ichnaea, Semian)
- `hold` for a step without information (nobody polled, the room is held): nothing is integrated
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gains:
    """Per second; `e` in seconds of capacity, output without unit."""

    kp: float
    ki: float
    kd: float = 0.0
    low: float = -1.0
    high: float = 1.0
    max_dt_s: float = 1.0


@dataclass(frozen=True, slots=True)
class PidTerms:
    """The last step, term by term."""

    error: float
    p: float
    i: float
    d: float
    output: float


class Pid:
    """One loop; `step` once a tick."""

    __slots__ = ("_d", "_gains", "_i", "_last", "_terms")

    def __init__(self, gains: Gains, integral: float = 0.0) -> None:
        self._gains = gains
        self._i = min(max(integral, gains.low), gains.high)
        self._d = 0.0
        self._last: float | None = None
        self._terms = PidTerms(0.0, 0.0, self._i, 0.0, self._i)

    def __repr__(self) -> str:
        return f"<Pid {self._terms}>"

    @property
    def terms(self) -> PidTerms:
        return self._terms

    @property
    def output(self) -> float:
        return self._terms.output

    @property
    def integral(self) -> float:
        """As it is now; `terms` has that of the last step."""
        return self._i

    def step(self, error: float, dt: float) -> float:
        """One control step of `dt` seconds; returns the output."""
        g = self._gains
        dt = min(max(dt, 0.0), g.max_dt_s)
        p = g.kp * error
        if g.kd and dt > 0.0 and self._last is not None:
            self._d += (g.kd * (error - self._last) / dt - self._d) * min(1.0, 8.0 * dt)
        self._last = error
        grown = self._i + g.ki * error * dt
        raw = p + grown + self._d
        if (raw <= g.high or error < 0.0) and (raw >= g.low or error > 0.0):
            self._i = min(max(grown, g.low), g.high)
        output = min(max(p + self._i + self._d, g.low), g.high)
        self._terms = PidTerms(error, p, self._i, self._d, output)
        return output

    def shift(self, by: float) -> None:
        """Move the integral; what is no number is ignored."""
        low, high = self._gains.low - self._i, self._gains.high - self._i
        if low <= by <= high:
            self._i += by

    def hold(self) -> float:
        """A step that taught nothing: output and integral stay."""
        self._last = None
        return self._terms.output
