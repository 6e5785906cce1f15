"""How much later than asked visitors come: the way there and back, and what their device takes.

A lease that ends before its visitor can be back makes a node believe that nobody comes back, and visitors who are
called too late find somebody else's second. So it is measured, on the visitors far from the front (`watched_eta`): all
nodes give them the longest interval, and whoever is back elsewhere is asked to wait for more than SHARE of it again. So
who comes to this node after it, within SHARE of it, comes for the first time since they were asked.

    mean += GAIN * (came - (asked + interval) - mean)           of visits within SHARE of the interval after it

With the first FEW it is the plain mean, and until then nothing is concluded from who came back here.
"""

from typing import Final

from controller.polling.appointments import APPROACH_S

__all__ = ["MOST", "USUAL_S", "PollLatency", "watched_eta"]

#: A quick network and an honest browser: what the law's constants are made for.
USUAL_S: Final = 0.07
GAIN: Final = 1 / 64
SHARE: Final = 0.2
FEW: Final = 16
WATCHED: Final = 1.4  # once they are back they have 0.4 of it, and two approaches, to go: `appointment` gives over half
MOST: Final = 1024  # appointments that are watched


def watched_eta(longest_s: float) -> float:
    """ETA from which on visitors who were asked to be back after the longest interval are watched."""
    return WATCHED * longest_s + 2.0 * APPROACH_S


class PollLatency:
    """Times are of one monotone clock, seconds."""

    __slots__ = ("_seen", "_swept_at", "has_room", "mean_s", "watched")

    def __init__(self) -> None:
        self.watched: dict[float, float] = {}  # first_seen -> when they were asked to be back
        self.has_room = True  # for one more, as far as is known
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
        """Later than usual by so much."""
        return max(0.0, self.mean_s - USUAL_S)

    def asked(self, first_seen: float, back_at: float) -> None:
        """Somebody far from the front was asked to come back at that time."""
        self.has_room = len(self.watched) < MOST
        if self.has_room:
            self.watched[first_seen] = back_at

    def came(self, first_seen: float, clock: float, interval_s: float) -> None:
        """Somebody polls who may have been asked to. interval_s: the longest."""
        back_at = self.watched.pop(first_seen, None)
        self.has_room = True
        if back_at is not None and -SHARE * interval_s < clock - back_at < SHARE * interval_s:
            self._seen += 1
            self.mean_s += max(GAIN, 1.0 / (self._seen + 1)) * (clock - back_at - self.mean_s)

    def tick(self, clock: float, interval_s: float) -> None:
        """Forget those who have not come; at every longest interval or so."""
        if clock - self._swept_at > interval_s:
            self._swept_at = clock
            last = clock - SHARE * interval_s
            self.watched = {first_seen: at for first_seen, at in self.watched.items() if at > last}
            self.has_room = True
