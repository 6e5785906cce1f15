"""What the waiting page shows of the status responses it gets: the rules of static/waiting.js, number by number.

position  p moves on at the pace of the last response, and follows each response a:
              expected = p (1 - dt / a.p50 * a.position / p)     error = (a.position - expected) / the larger one
              p = expected + k (a.position - expected)             k = PLACE_GAIN + (1 - PLACE_GAIN) (bias / size)^2
          bias and size are running means of the error and of its absolute value. So responses that scatter are
          averaged, and responses that all say "less" (visitors leave) are followed at once. Trigg and Leach,
          "Exponential smoothing with an adaptive response rate", Operational Research Quarterly 18 (1967).
          A response that is off by more than SURPRISE starts the mean anew. If it is better by that much, and
          WELL_KNOWN responses have come since the last start, it does so only if the next response agrees, because a
          node that few visitors poll takes the line to be short.
wait      counts down, follows each response by WAIT_GAIN, and is worded as the nearest of STEPS_S.
both      get worse only if AGREEING responses in a row say so.
"""

from bisect import bisect_right
from itertools import pairwise
from math import floor, inf
from typing import Final

__all__ = [
    "AGREEING",
    "BIAS_GAIN",
    "EXACT_RATIO",
    "LEAST_S",
    "NOISE",
    "PLACE_GAIN",
    "STEPS_S",
    "SURPRISE",
    "WAIT_GAIN",
    "WELL_KNOWN",
    "Page",
    "nearest_step",
]

AGREEING: Final = 3
PLACE_GAIN: Final = 0.3
BIAS_GAIN: Final = 0.15
NOISE: Final = 0.1
EXACT_RATIO: Final = 1.08
SURPRISE: Final = 0.35
WELL_KNOWN: Final = 2
WAIT_GAIN: Final = 0.4
LEAST_S: Final = 45.0
#: A wait counts as longer if this share of it is still longer.
CLEARLY: Final = 0.9
BEYOND: Final = 1.2
STEPS_S: Final = (
    *(60.0 * minutes for minutes in (1, 2, 3, 4, 5, 7, 10, 15, 20, 25, 30, 45)),
    *(3600.0 * hours for hours in (1, 1.5, 2, 3, 4, 5, 6)),
)
_MIDDLES_S: Final = tuple((low + high) / 2 for low, high in pairwise(STEPS_S))


class Page:
    """One visitor's page, from the first response to the last."""

    def __init__(self) -> None:
        self._mean: float | None = None
        self._at_s = self._bias = self._size = 0.0
        self._responses = self._position_worse = self._step_worse = 0
        self._is_doubted = False
        self.position: int | None = None
        self.wait_s: float | None = None
        self.step: int | None = None  # index in STEPS_S; -1 below the first

    def receive(self, at_s: float, position: int, p50_s: float, p90_s: float) -> bool:
        """Take in a response. Return True if the page now says that the wait has become longer.

        at_s: never decreases.
        """
        shown = self._average(at_s, position, max(p50_s, 1e-6), p90_s)
        self._position_worse = self._position_worse + 1 if self.position is not None and shown > self.position else 0
        if self.position is None or shown < self.position or self._position_worse >= AGREEING:
            self.position = shown
            self._position_worse = 0
        slower = self._wait(at_s, p50_s)
        self._at_s = at_s
        return slower

    def _average(self, at_s: float, position: int, wait_s: float, p90_s: float) -> int:
        mean = self._mean
        expected = 0.0 if mean is None else max(0.0, mean - (at_s - self._at_s) * position / wait_s)
        error = inf if mean is None else (position - expected) / max(expected, position, 1)
        if error < -SURPRISE and self._responses >= WELL_KNOWN and not self._is_doubted:
            self._mean, self._is_doubted = expected, True
            return max(1, floor(expected + 0.5))
        self._is_doubted = False
        if abs(error) > SURPRISE:
            self._mean, self._responses = position, 1
            self._bias, self._size = 0.0, NOISE * max(0.0, p90_s / wait_s - EXACT_RATIO)
            return position
        self._responses += 1
        self._bias += BIAS_GAIN * (error - self._bias)
        self._size += BIAS_GAIN * (abs(error) - self._size)
        one_sided = (self._bias / self._size) ** 2 if self._size > 0.0 else 0.0
        follows = max(PLACE_GAIN + (1.0 - PLACE_GAIN) * one_sided, 1.0 / self._responses)
        self._mean = expected + follows * (position - expected)
        return max(1, floor(self._mean + 0.5))

    def _wait(self, at_s: float, p50_s: float) -> bool:
        if self.wait_s is None:
            self.wait_s = p50_s
        else:
            expected = max(0.0, self.wait_s - (at_s - self._at_s))
            self.wait_s = expected + WAIT_GAIN * (p50_s - expected)
        step = nearest_step(self.wait_s)
        is_worse = self.step is not None and nearest_step(CLEARLY * self.wait_s) > self.step
        self._step_worse = self._step_worse + 1 if is_worse else 0
        if self.step is None or step < self.step:
            self.step = step
        elif self._step_worse >= AGREEING:
            self.step = step
            self._step_worse = 0
            return True
        return False


def nearest_step(seconds: float) -> int:
    """Return the index of the step nearest to a wait: -1 below the first, len(STEPS_S) clearly beyond the last."""
    if seconds < LEAST_S:
        return -1
    if seconds > BEYOND * STEPS_S[-1]:
        return len(STEPS_S)
    return bisect_right(_MIDDLES_S, seconds)
