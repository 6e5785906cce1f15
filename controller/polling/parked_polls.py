"""Parked polls: a visitor near the front gets no appointment; their response waits until they are admitted.

    park     keep the poll of a visitor near the front (`controller/polling/appointments.py`). The visitor is present.
    answer   at every control step, and before a younger visitor's poll is decided: answer the called visitors, oldest
             first, while there are tokens. Then answer the polls that are due; those visitors poll again at once.

So nobody near the front is between two polls. The next token finds the oldest visitor at once: no visitor has to be
called ahead to make up for those between two polls, little has to be kept in the bucket, and a visitor that polls ten
times a second is admitted no sooner than one that keeps appointments (docs/fairness.md).

Of two polls of one visitor the later stays parked and the earlier is answered at the next step, so a visitor with many
tabs has one place. `park` answers nothing itself, so one request never answers a chain of others. Memory: MOST polls.
While that many are parked, further polls are answered at once with an appointment.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import Final

__all__ = ["MOST", "ParkedPolls"]

MOST: Final = 10_000

_left: Final = bisect_left


class ParkedPolls:
    """The parked polls of one room on one node. All are parked for about the same time.

    A place is the visitor's `first_seen`. All times are of one clock. The clock may be set back: polls that arrived in
    what is the future by the new time are answered.
    """

    __slots__ = ("_by_age", "_is_answering", "_latest", "_number", "_polls", "is_due")

    def __init__(self) -> None:
        self._number = 0
        self._polls: OrderedDict[int, tuple[float, float, float, Callable[[float], object]]] = OrderedDict()
        """number -> (place, since, until, answer). The poll that is due first comes first."""
        self._by_age: list[tuple[float, int]] = []
        self._latest: dict[float, int] = {}
        self._is_answering = False
        self.is_due = False
        """A visitor is called, or was parked after the last `answer`: call it before anybody else is admitted."""

    def __len__(self) -> int:
        return len(self._by_age)

    def __repr__(self) -> str:
        return f"<ParkedPolls {len(self)} parked{', answers due' if self.is_due else ''}>"

    @property
    def is_full(self) -> bool:
        return len(self._by_age) >= MOST

    def park(self, place: float, now: float, until: float, answer: Callable[[float], object]) -> int:
        """Keep a poll. answer(now) is called once, later, unless it is removed. Return the number for `remove`."""
        number = self._number = self._number + 1
        before = self._latest.get(place)
        if before is not None:
            self._polls[before] = (place, now, now, self._polls[before][3])
            self._polls.move_to_end(before, last=False)
        self._latest[place] = number
        self._polls[number] = (place, now, until, answer)
        insort(self._by_age, (place, number))
        self.is_due = True
        return number

    def remove(self, number: int) -> bool:
        """Drop a poll after its visitor hung up. Return whether the visitor is gone: False if the poll was answered
        before or another poll of the same visitor is parked."""
        if number not in self._polls:
            return False
        place = self._polls[number][0]
        self._take(number)
        return place not in self._latest

    def answer(
        self, now: float, threshold: float, would_admit: Callable[[float, float], bool], up_to: float = inf
    ) -> None:
        """Answer the visitors that would be admitted now, oldest first, and the polls that are due.

        would_admit(place, now): whether a visitor with this place would be admitted now. If one would not, no younger
        one is asked about. up_to: the place of the visitor with the next poll to decide; nobody behind it is admitted.
        """
        if self._is_answering:
            return
        self._is_answering = True
        try:
            by_age, polls = self._by_age, self._polls
            while by_age and by_age[0][0] <= up_to and would_admit(by_age[0][0], now):
                self._take(by_age[0][1])(now)
            while polls:
                number, (_, since, until, _) = next(iter(polls.items()))
                if since <= now < until:
                    break
                self._take(number)(now)
            self.is_due = bool(by_age) and by_age[0][0] <= threshold
        finally:
            self._is_answering = False

    def answer_one(self, number: int, now: float) -> None:
        """Answer this poll before its time is over. Nothing happens if it was answered or removed before."""
        if number in self._polls:
            self._take(number)(now)

    def answer_all(self, now: float) -> None:
        """Answer every poll now: the gate or the settings that would decide on them are being replaced."""
        for number in list(self._polls):
            if number in self._polls:
                self._take(number)(now)

    def _take(self, number: int) -> Callable[[float], object]:
        place, _, _, answer = self._polls.pop(number)
        del self._by_age[_left(self._by_age, (place, number))]
        if self._latest.get(place) == number:
            del self._latest[place]
        return answer
