"""The feedback of the law: a PI controller.

    u(t) = Kp * e + Ki * integral(e dt),      clamped to [low, high]

- The integral is of e dt, so any dt works. A dt above `max_dt_s` counts as `max_dt_s`.
- Anti-windup: the integral stands still while the output is clamped and e pushes it further out.
- The integral is stored already multiplied by Ki, so a change of gains does not make the output jump.
- `freeze` is the step without information (nobody polled, or the room is closed): nothing is integrated.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gains:
    """Per second. The error is in seconds of capacity, the output has no unit."""

    kp: float
    ki: float
    low: float = -1.0
    high: float = 1.0
    max_dt_s: float = 1.0


@dataclass(frozen=True, slots=True)
class PiTerms:
    """The last step, term by term."""

    error: float
    p: float
    i: float
    output: float


class PiController:
    """One control loop. Call `step` once a control step."""

    __slots__ = ("_gains", "integral", "terms")

    def __init__(self, gains: Gains, integral: float = 0.0) -> None:
        self._gains = gains
        self.integral = min(max(integral, gains.low), gains.high)  # as it is now; `terms` has that of the last step
        self.terms = PiTerms(0.0, 0.0, self.integral, self.integral)

    def __repr__(self) -> str:
        terms = self.terms
        return f"<PiController {terms.output:+.3f} = p {terms.p:+.3f} + i {terms.i:+.3f}, error {terms.error:+.3f}>"

    def step(self, error: float, dt: float) -> float:
        """Take one control step of `dt` seconds and return the output."""
        g = self._gains
        dt = min(max(dt, 0.0), g.max_dt_s)
        p = g.kp * error
        grown = self.integral + g.ki * error * dt
        raw = p + grown
        if (raw <= g.high or error < 0.0) and (raw >= g.low or error > 0.0):
            self.integral = min(max(grown, g.low), g.high)
        output = min(max(p + self.integral, g.low), g.high)
        self.terms = PiTerms(error, p, self.integral, output)
        return output

    def shift(self, by: float) -> None:
        """Move the integral. A value that would leave the bounds, or is not a number, is ignored."""
        if self._gains.low - self.integral <= by <= self._gains.high - self.integral:
            self.integral += by

    def freeze(self) -> float:
        """Return the last output. Output and integral stay."""
        return self.terms.output
