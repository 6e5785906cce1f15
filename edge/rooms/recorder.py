"""What a node notes of a room's visitors for the record (`edge/record`).

A poll costs one append to a bounded buffer. Everything else happens in `take`, twice a second: which visitors polled,
and which have not polled for a while. The supervisor turns the events into bytes.

    polled --take--> recent    the visitors that polled in this period
                     before    the visitors that polled in the last one
    a period ends --> a visitor in `before` and not in `recent` was seen here last in that period

A visitor of several nodes is seen by each. The report takes the latest of their last polls.
"""

from collections import deque
from typing import Final

from edge.record.events import ADMITTED, SEEN, TOLD, lane_code

__all__ = ["Noted", "Recorder"]

#: Polls, events and told waits that are kept between two calls of `take`.
MOST_POLLED: Final = 65_536
MOST_EVENTS: Final = 65_536
MOST_TOLD: Final = 16
#: The most visitors with a remembered last poll.
MOST_SEEN: Final = 500_000


#: Kind, place, moment (wall clock, seconds) and value of an event, as in `edge/record/events.py`.
Noted = tuple[int, int, float, float]


class Recorder:
    """One room's, at one node. gone_after_s: if a visitor does not poll for so long, they may be gone."""

    __slots__ = ("_before", "_ends_at", "_events", "_recent", "_told_left", "gone_after_s", "lost", "polled")

    def __init__(self, gone_after_s: float, now: float) -> None:
        self.gone_after_s = gone_after_s
        self.polled: deque[int] = deque(maxlen=MOST_POLLED)
        """The places of visitors in the order of their polls. The pipeline appends to it."""
        self._events: list[Noted] = []
        self._told_left = MOST_TOLD
        self._recent: dict[int, float] = {}
        self._before: dict[int, float] = {}
        self._ends_at = now + gone_after_s
        self.lost = 0
        """Events that the buffer had no space for."""

    def __repr__(self) -> str:
        return f"<Recorder, {len(self._recent)} visitors, {len(self._events)} events>"

    def note(self, kind: int, place: int, now: float, lane: str) -> None:
        """Note that a visitor gets a place (ARRIVED) or is admitted (ADMITTED). lane: '' for the general one."""
        if len(self._events) < MOST_EVENTS:
            self._events.append((kind, place, now, float(lane_code(lane)) if lane else 0.0))
        else:
            self.lost += 1

    def tell(self, place: int, now: float, wait_s: float | None) -> None:
        """Note what a visitor is told, of a few visitors in each period of `take`."""
        if self._told_left > 0 and wait_s is not None and len(self._events) < MOST_EVENTS:
            self._told_left -= 1
            self._events.append((TOLD, place, now, wait_s))

    def take(self, now: float, *, is_last: bool = False) -> list[Noted]:
        """Return the events since the last call. is_last: the node ends."""
        events, self._events = self._events, []
        self._told_left = MOST_TOLD
        self._remember(now)
        recent, before = self._recent, self._before
        for kind, place, _, _ in events:
            if kind == ADMITTED:
                recent.pop(place, None)
                before.pop(place, None)
        if is_last:
            events += [(SEEN, place, at, 0.0) for place, at in {**before, **recent}.items()]
            self._before, self._recent = {}, {}
        elif now >= self._ends_at:
            events += [(SEEN, place, at, 0.0) for place, at in before.items() if place not in recent]
            self._before, self._recent = recent, {}
            self._ends_at = now + self.gone_after_s
        return events

    def _remember(self, now: float) -> None:
        polled = dict.fromkeys(self.polled, now)
        self.polled.clear()
        if len(self._recent) + len(self._before) < MOST_SEEN:
            self._recent.update(polled)
        else:
            self._recent.update({place: now for place in polled if place in self._recent or place in self._before})
