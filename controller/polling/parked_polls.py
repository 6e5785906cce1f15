"""Answers that are held back: whoever is nearly at the front is answered when their turn comes, not told to come again.

    hold     a poll whose turn is near (`controller/polling/appointments.py`): its answer waits, and its visitor is *there*
    call     at every control step, and whenever somebody younger asks meanwhile: of those who are called the oldest
             first, as long as there is a token; and who was held for long enough is asked back, to poll again at once

Nobody near the front is between two polls then. The next token finds the oldest at once, so nobody must be called
ahead for those on their way, little must be kept in the bucket, and who asks ten times a second comes in no sooner
than who was asked to come (docs/fairness.md).

Of two requests of one visitor the later is held, and the earlier answered at the next step: whoever opens many has one
place as ever. Nothing is answered from within `hold`, so one request never answers a chain of others. Memory: MOST
requests; whoever comes beyond that is answered at once, as those further back are.
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
    """Of one room on one node, all held for about as long. A place is a visitor's `first_seen`; times are of one clock,
    which may be put back: whoever came in what is now the future is answered."""

    __slots__ = ("_answers", "_by_age", "_is_calling", "_latest", "_number", "is_pressing")

    def __init__(self) -> None:
        self._number = 0
        self._answers: OrderedDict[int, tuple[float, float, float, Callable[[float], object]]] = OrderedDict()
        """number -> place, since when, until when, and what answers; whose time is over first comes first."""
        self._by_age: list[tuple[float, int]] = []
        self._latest: dict[float, int] = {}
        self._is_calling = False
        self.is_pressing = False
        """Somebody is called, or was not looked at yet: `call` before anybody else is let in."""

    def __len__(self) -> int:
        return len(self._by_age)

    def __repr__(self) -> str:
        return f"<ParkedPolls of {len(self)}>"

    @property
    def is_full(self) -> bool:
        return len(self._by_age) >= MOST

    def hold(self, place: float, now: float, until: float, answer: Callable[[float], object]) -> int:
        """answer(now) is called once, later, unless it is forgotten before. Returns the number to forget it by."""
        number = self._number = self._number + 1
        before = self._latest.get(place)
        if before is not None:
            self._answers[before] = (place, now, now, self._answers[before][3])
            self._answers.move_to_end(before, last=False)
        self._latest[place] = number
        self._answers[number] = (place, now, until, answer)
        insort(self._by_age, (place, number))
        self.is_pressing = True
        return number

    def forget(self, number: int) -> bool:
        """Its visitor has gone. False: it was answered, or the same visitor has another."""
        if number not in self._answers:
            return False
        place = self._answers[number][0]
        self._take(number)
        return place not in self._latest

    def call(self, now: float, called: float, is_in: Callable[[float, float], bool], up_to: float = inf) -> None:
        """called: places up to this one are. is_in(place, now): whether that place would be let in now; where one is
        not, none that is younger is. up_to: whose place asks at this moment, so those behind it must not come first."""
        if self._is_calling:
            return
        self._is_calling = True
        try:
            by_age, answers = self._by_age, self._answers
            while by_age and by_age[0][0] <= up_to and is_in(by_age[0][0], now):
                self._take(by_age[0][1])(now)
            while answers:
                number, (_, since, until, _) = next(iter(answers.items()))
                if since <= now < until:
                    break
                self._take(number)(now)
            self.is_pressing = bool(by_age) and by_age[0][0] <= called
        finally:
            self._is_calling = False

    def release(self, now: float) -> None:
        """Give all answers now: what they would be judged by is over."""
        for number in list(self._answers):
            if number in self._answers:
                self._take(number)(now)

    def _take(self, number: int) -> Callable[[float], object]:
        place, _, _, answer = self._answers.pop(number)
        del self._by_age[_left(self._by_age, (place, number))]
        if self._latest.get(place) == number:
            del self._latest[place]
        return answer
