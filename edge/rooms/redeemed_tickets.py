"""Which places were used, and whose: a place lets one visitor in, however often its ticket or its pass is shown.

    ticket shown again    while its pass lasts          the same pass: an answer was lost, a second tab, a double click
                          after that                    the place is used up, its bearer is a first visitor
                          by another browser (bound)    the place moves: below
    pass shown by another browser or network (bound)    it does not count there; its bearer is in line with its place,
                                                        and is let in again MOVE_S after the last time, no sooner.
                                                        The place has moved then: the pass from before counts nowhere

So whoever changes networks waits a little, and a pass given to a crowd is one pass that changes hands once a minute.

The memory is bounded, and it is soft: what has been forgotten lets a ticket in once more. Times are wall clock.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import TypeVar

from waiting_room.ticket import Pass

__all__ = ["MOVE_S", "RedeemedTickets"]

#: How many are remembered: eleven minutes of 50 admissions a second, some 14 MB.
MOST = 32_768
#: So long after it was used a place may be used again from elsewhere.
MOVE_S = 60.0
#: `expires` of a pass that the upstream has ended.
_ENDED = 0.0


T = TypeVar("T")


class RedeemedTickets:
    """Of one room's places, at one node. get(id): the pass that was given for a ticket."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, Pass] = OrderedDict()
        self._requeued: OrderedDict[str, float] = OrderedDict()
        self._moved: OrderedDict[str, float] = OrderedDict()
        self.get = self._used.get
        self.has_moves = False
        """Whether any place has moved: else no pass need be looked up."""

    def __len__(self) -> int:
        return len(self._used)

    def note(self, given: Pass) -> Pass | None:
        """A pass was given; returns the one that it takes the place of."""
        before = self._used.pop(given.id, None)
        _keep(self._used, given.id, given)
        if before is not None or given.id in self._requeued:
            self._requeued.pop(given.id, None)
            self.moved(given.id, given.admitted_at)
        return before

    def learn(self, given: Pass) -> None:
        """Another node gave this pass."""
        _keep(self._used, given.id, given)

    def moved(self, ident: str, admitted_at: float) -> None:
        """The bearer was let in again: passes from before that time count no more."""
        used = self._used.get(ident)
        if used is not None and used.admitted_at + 0.001 < admitted_at:
            del self._used[ident]
        _keep(self._moved, ident, admitted_at)
        self.has_moves = True

    def is_over(self, used: Pass, now: float) -> bool:
        """Whether a ticket whose place was used has no place any more."""
        return used.expires == _ENDED or (now >= used.expires and used.id not in self._requeued)

    def end(self, ident: str) -> None:
        """The upstream has ended this visitor's session: the place is used up, wherever it is shown."""
        used = self._used.get(ident)
        if used is not None:
            self._used[ident] = replace(used, expires=_ENDED)

    def requeue(self, held: Pass, now: float) -> bool:
        """A pass that does not count where it is shown: its bearer is in line again. False: not even that."""
        used = self._used.get(held.id)
        if used is None:
            _keep(self._used, held.id, held)
        elif used.expires == _ENDED:
            return False
        elif held.expires > used.expires:  # it was renewed
            self._used[held.id] = held
        _keep(self._requeued, held.id, now)
        return True

    def is_superseded(self, held: Pass) -> bool:
        """Whether the place has moved since this pass was given. A pass has its time in whole milliseconds."""
        return self._moved.get(held.id, 0.0) > held.admitted_at + 0.001


def _keep(memory: OrderedDict[str, T], ident: str, what: T) -> None:
    memory[ident] = what
    if len(memory) > MOST:
        memory.popitem(last=False)
