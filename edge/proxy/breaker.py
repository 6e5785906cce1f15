"""A circuit breaker: stops sending to an upstream that fails, so that no visitor waits for its timeout.

      `breaker_failures` in a row                 the pause is over
    closed ------------------------->  open  ----------------------> half open: one request tries
      ^                                 ^                                |            |
      |                                 '---- it fails: twice the pause -'            |
      '------------------------------------------------ it is answered ---------------'

A failure is: no connection, no response in time, one that cannot be read, or a 502, 503 or 504. One response of
any other kind closes the breaker, so it stays closed for an upstream that fails only some requests.
(Nygard, Release It!, 2007.)
"""

import math

from edge.settings.model import UpstreamSettings

__all__ = ["Breaker"]

#: The longest pause, in first pauses.
MOST_DOUBLED = 16


class Breaker:
    """The breaker of one worker for one upstream. Times are seconds on any monotonic clock."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._most = settings.breaker_failures
        self._first_s = settings.breaker_seconds
        self._pause_s = settings.breaker_seconds
        self._trial_s = settings.connect_timeout_seconds + settings.response_timeout_seconds
        self._open_until: float | None = None
        self._trial_until = 0.0
        self.failures = 0
        """Failures in a row. While it is 0, `allows` need not be asked."""

    def __repr__(self) -> str:
        return f"<Breaker {'closed' if self._open_until is None else 'open'} {self.failures} failures>"

    def is_open(self, now: float) -> bool:
        """Return whether no request may be sent at this moment."""
        return self._open_until is not None and now < self._open_until

    def allows(self, now: float) -> bool:
        """Return whether a request may be sent. While half open, one at a time may."""
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
        # Failures of requests that were sent before the pause do not count as trials.
        elif now >= self._open_until:
            self._pause_s = min(self._pause_s * 2, self._first_s * MOST_DOUBLED)
            self._open_until = now + self._pause_s
        self._trial_until = 0.0

    def answered(self) -> None:
        """The upstream has answered: close the breaker."""
        self.failures = 0
        self._open_until = None
        self._pause_s = self._first_s

    def retry_after_s(self, now: float) -> int:
        """Return the whole seconds after which a visitor may try again."""
        return max(1, math.ceil((self._open_until or now) - now))
