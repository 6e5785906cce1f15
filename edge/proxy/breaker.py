"""A circuit breaker: an upstream that fails everybody is left alone for a while, and nobody waits for its silence.

            `most` failures in a row              the pause is over
    closed ------------------------->  open  ----------------------> half open: one request tries
      ^                                 ^                                |            |
      |                                 '---- it fails: twice the pause -'            |
      '------------------------------------------------ it is answered ---------------'

A failure is no connection, no answer in time, an answer that cannot be read, or a 502, 503 or 504. One answer of any
other kind closes it, so an upstream that fails some is never left alone. (Nygard, Release It!, 2007.)
"""

import math

from edge.settings.model import UpstreamSettings

__all__ = ["Breaker"]

#: The longest pause is so many times the first.
MOST_DOUBLED = 16


class Breaker:
    """Of one worker for one upstream. Times are the loop's, seconds."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._most = settings.breaker_failures
        self._first_s = settings.breaker_seconds
        self._pause_s = settings.breaker_seconds
        self._trial_s = settings.connect_timeout_seconds + settings.response_timeout_seconds
        self._open_until: float | None = None
        self._trial_until = 0.0
        self.failures = 0
        """In a row. While it is 0 there is nothing to ask."""

    def __repr__(self) -> str:
        return f"<Breaker {'closed' if self._open_until is None else 'open'} {self.failures} failures>"

    def is_open(self, now: float) -> bool:
        """Whether the upstream is left alone at this moment."""
        return self._open_until is not None and now < self._open_until

    def allows(self, now: float) -> bool:
        """Whether a request may try. While half open, one at a time."""
        if self._open_until is None:
            return True
        if now < self._open_until or now < self._trial_until:
            return False
        self._trial_until = now + self._trial_s
        return True

    def failed(self, now: float) -> None:
        self.failures += 1
        if self._most is None or self.failures < self._most:
            return
        if self._open_until is None:
            self._open_until = now + self._pause_s
        elif now >= self._open_until:  # later failures of requests from before do not count as trials
            self._pause_s = min(self._pause_s * 2, self._first_s * MOST_DOUBLED)
            self._open_until = now + self._pause_s
        self._trial_until = 0.0

    def answered(self) -> None:
        """The upstream is there."""
        self.failures = 0
        self._open_until = None
        self._pause_s = self._first_s

    def retry_after_s(self, now: float) -> int:
        """When to ask again, whole seconds."""
        return max(1, math.ceil((self._open_until or now) - now))
