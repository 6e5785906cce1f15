"""How much later than asked visitors poll: the network both ways, and the time that their device takes.

A lease that ends before its visitor can be back makes a node believe that nobody comes back, and a visitor that is
called too late finds the next second's visitors at the bucket. So the latency is measured, on visitors far from the
front (`watched_eta`): all nodes ask them back after the longest interval, and a visitor that polls elsewhere must wait
for more than SHARE of it again. So a visitor that polls this node within SHARE of the interval after it polls for
the first time since they were asked.

    mean += GAIN * (came - (asked + interval) - mean)           of polls within SHARE of the interval after it

Over the first FEW polls it is the plain mean. Until then a node draws no conclusion from the
visitors that come back to it or do not.
"""

from typing import Final

from controller.polling.appointments import APPROACH_S

__all__ = ["MOST", "USUAL_S", "PollLatency", "watched_eta"]

#: A fast network and an honest browser: what the law's constants are made for.
USUAL_S: Final = 0.07
GAIN: Final = 1 / 64
SHARE: Final = 0.2
FEW: Final = 16
#: After the poll 0.4 of the interval and two approaches are left to go, and `appointment` gives over half of that.
WATCHED: Final = 1.4
MOST: Final = 1024  # appointments that are watched


def watched_eta(longest_s: float) -> float:
    """Return the ETA from which on visitors that were asked back after the longest interval are watched."""
    return WATCHED * longest_s + 2.0 * APPROACH_S


class PollLatency:
    """Times are of one monotone clock, seconds."""

    __slots__ = ("_seen", "_swept_at", "has_space", "mean_s", "watched")

    def __init__(self) -> None:
        self.watched: dict[float, float] = {}  # first_seen -> when they were asked to poll
        self.has_space = True  # whether one more appointment can be watched, as far as is known
        self._swept_at = 0.0
        self._seen = 0
        self.mean_s = USUAL_S

    def __repr__(self) -> str:
        return f"<PollLatency {self.mean_s:.2f} s, {len(self.watched)} watched>"

    @property
    def is_known(self) -> bool:
        return self._seen >= FEW

    @property
    def extra_s(self) -> float:
        """How much later than usual visitors poll."""
        return max(0.0, self.mean_s - USUAL_S)

    def asked(self, first_seen: float, back_at: float) -> None:
        """Watch a visitor far from the front that was asked to poll at `back_at`."""
        self.has_space = len(self.watched) < MOST
        if self.has_space:
            self.watched[first_seen] = back_at

    def came(self, first_seen: float, clock: float, interval_s: float) -> None:
        """Note the poll of a visitor that may be watched. interval_s: the longest interval."""
        back_at = self.watched.pop(first_seen, None)
        self.has_space = True
        if back_at is not None and -SHARE * interval_s < clock - back_at < SHARE * interval_s:
            self._seen += 1
            self.mean_s += max(GAIN, 1.0 / (self._seen + 1)) * (clock - back_at - self.mean_s)

    def tick(self, clock: float, interval_s: float) -> None:
        """Forget, once in a longest interval, the watched visitors that did not poll."""
        if clock - self._swept_at > interval_s:
            self._swept_at = clock
            last = clock - SHARE * interval_s
            self.watched = {first_seen: at for first_seen, at in self.watched.items() if at > last}
            self.has_space = True
