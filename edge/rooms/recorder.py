"""What a node notes of a room's visitors for the record (`edge/record`).

A poll costs one append to a bounded buffer. Everything else happens in `take`, twice a second: which visitors polled,
who has not polled for a while, and the bytes of the events.

    polled --take--> recent    visitors who polled in this period
                     before    visitors who polled in the last one
    a period ends --> who is in `before` and not in `recent` was seen here last in that period

A visitor of several nodes is seen by each. The report takes the latest of their last polls.
"""

from collections import deque
from typing import Final

from edge.record.events import ADMITTED, ARRIVED, SEEN, TOLD, event_bytes, mark_of
from waiting_room.places import UNITS_PER_S

__all__ = ["Recorder"]

#: Polls, events and told waits that are kept between two calls of `take`.
MOST_POLLED: Final = 65_536
MOST_EVENTS: Final = 65_536
MOST_TOLD: Final = 16
#: Visitors whose last poll is remembered.
MOST_SEEN: Final = 500_000


class Recorder:
    """One room's, at one node. key: of the marks. gone_after_s: a visitor who does not poll for so long may be gone."""

    __slots__ = ("_before", "_ends_at", "_events", "_key", "_recent", "_told", "gone_after_s", "lost", "polled")

    def __init__(self, key: bytes, gone_after_s: float, now: float) -> None:
        self._key = key
        self.gone_after_s = gone_after_s
        self.polled: deque[int] = deque(maxlen=MOST_POLLED)
        """The places of visitors who poll. The pipeline appends to it."""
        self._events: list[tuple[int, int, float]] = []
        self._told: list[tuple[int, float, float]] = []
        self._recent: dict[int, float] = {}
        self._before: dict[int, float] = {}
        self._ends_at = now + gone_after_s
        self.lost = 0
        """Events that the buffer had no space for."""

    def __repr__(self) -> str:
        return f"<Recorder, {len(self._recent)} visitors, {len(self._events)} events>"

    def arrive(self, place: int, now: float) -> None:
        """Note a visitor who gets a place."""
        self._add(ARRIVED, place, now)

    def admit(self, place: int, now: float) -> None:
        """Note an admission."""
        self._add(ADMITTED, place, now)

    def _add(self, kind: int, place: int, now: float) -> None:
        if len(self._events) < MOST_EVENTS:
            self._events.append((kind, place, now))
        else:
            self.lost += 1

    def tell(self, place: int, now: float, wait_s: float | None) -> None:
        """Note what a visitor is told, of a few visitors in each period of `take`."""
        if wait_s is not None and len(self._told) < MOST_TOLD:
            self._told.append((place, now, wait_s))

    def take(self, now: float, *, is_last: bool = False) -> bytes:
        """Return the events since the last call; base of their moments: `now`. is_last: the node ends."""
        parts = [self._bytes(TOLD, place, at, now, wait_s) for place, at, wait_s in self._told]
        self._told = []
        self._remember(now)
        events, self._events = self._events, []
        for kind, place, at in events:
            parts.append(self._bytes(kind, place, at, now, 0.0))
            if kind == ADMITTED:
                self._recent.pop(place, None)
                self._before.pop(place, None)
        if is_last:
            parts += [self._bytes(SEEN, place, at, now, 0.0) for place, at in {**self._before, **self._recent}.items()]
            self._before, self._recent = {}, {}
        elif now >= self._ends_at:
            recent = self._recent
            parts += [
                self._bytes(SEEN, place, at, now, 0.0) for place, at in self._before.items() if place not in recent
            ]
            self._before, self._recent = recent, {}
            self._ends_at = now + self.gone_after_s
        return b"".join(parts)

    def _remember(self, now: float) -> None:
        polled = dict.fromkeys(self.polled, now)
        self.polled.clear()
        if len(self._recent) + len(self._before) < MOST_SEEN:
            self._recent.update(polled)
        else:
            self._recent.update({place: now for place in polled if place in self._recent or place in self._before})

    def _bytes(self, kind: int, place: int, at: float, base: float, value: float) -> bytes:
        seconds, units = divmod(place, UNITS_PER_S)
        return event_bytes(
            kind, at, base, seconds * 1000 + units * 1000 // UNITS_PER_S, mark_of(place, self._key), value
        )
