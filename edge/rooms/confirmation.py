"""Confirmation: an admission becomes an active visitor when its pass is shown again.

Monitors, link previews and crawlers keep no cookies. Each of their requests may be admitted, and none comes back. So an
active visitor is counted from the admission, but only for `session.confirm_seconds` unless somebody shows the pass:

    admitted ---- counted ----> shown before the time is over     counted until the pass ends
                          '---> not shown                         no longer counted; the vacancy is free
                                 '---> shown after all            counted again until the pass ends

The visitor notices nothing of it: the pass counts as long as it says. The token of the bucket stays spent, because the
request did reach the shop.

The pass says that it is not shown yet (`waiting_room/ticket.py`), so all other requests cost nothing. What became of it
stands in a table that all workers of a machine share, one cell for a pass:

    cell = 4 * (42 bits of the id) + state          ADMITTED on this machine | SHOWN in time | COUNTED_AGAIN

A pass without a cell was admitted by another machine, or long ago: it is counted again where it is shown. Two passes
that fall on one cell push each other out, which miscounts one visitor for the time of a session at most. Only the
worker that admitted a visitor ends the count for want of a confirmation. All times are wall clock, in seconds.
"""

from collections import OrderedDict
from collections.abc import MutableSequence
from typing import Final
from zlib import crc32

from edge.support.shared_counters import TABLE_CELLS
from waiting_room.ticket import Pass

__all__ = ["Confirmations"]

#: Cells of the table: some 100 times as many as there are passes that are not confirmed yet in a rush.
_CELLS: Final = TABLE_CELLS
#: How many admissions a worker remembers until they are confirmed. Beyond that the oldest stay counted.
MOST: Final = 32_768

_ADMITTED: Final = 1
_SHOWN: Final = 2
_COUNTED_AGAIN: Final = 3


class Confirmations:
    """One room's at one worker. cells: the table that all workers share; None for a worker of its own."""

    def __init__(self, cells: MutableSequence[int] | None = None) -> None:
        self._cells: MutableSequence[int] = [0] * _CELLS if cells is None else cells
        self._due: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """When an unshown pass is no longer counted, and when it ends, by id."""

    def __len__(self) -> int:
        return len(self._due)

    def __repr__(self) -> str:
        return f"<Confirmations {len(self._due)} open>"

    def clear(self) -> None:
        """Forget what is open, because the count of active visitors begins anew."""
        self._due.clear()

    def expect(self, visitor_pass: Pass, due: float) -> None:
        """Count the visitor of this pass until `due` unless the pass is shown before."""
        self._set(visitor_pass.id, _ADMITTED)
        self._due[visitor_pass.id] = due, visitor_pass.expires
        if len(self._due) > MOST:
            self._due.popitem(last=False)

    def show(self, visitor_pass: Pass, due: float, now: float) -> bool:
        """Take note that an unshown pass is shown. Return whether its visitor has to be counted again."""
        state = self._state(visitor_pass.id)
        if state >= _SHOWN:
            return False
        is_in_time = state == _ADMITTED and now < due
        self._set(visitor_pass.id, _SHOWN if is_in_time else _COUNTED_AGAIN)
        return not is_in_time

    def is_shown(self, ident: str) -> bool:
        """Return whether an unshown pass was shown on this machine."""
        return self._state(ident) >= _SHOWN

    def end(self, visitor_pass: Pass, due: float, now: float) -> bool:
        """Take note that a session is over. Return whether its visitor is counted now."""
        if not visitor_pass.is_unshown:
            return True
        state = self._state(visitor_pass.id)
        if state != _ADMITTED:
            return state != 0  # a robot, and a pass of another machine, are not counted before the pass is shown
        # In time, nothing is left to lapse; otherwise it has lapsed, or is about to.
        self._set(visitor_pass.id, _SHOWN if now < due else _COUNTED_AGAIN)
        return now < due

    def lapsed(self, now: float) -> list[float]:
        """Return when the passes end that were not shown in time. Their visitors are not counted from now on."""
        due, ends = self._due, []
        while due:
            ident, (at, expires) = next(iter(due.items()))
            if at > now:
                break
            del due[ident]
            if self._state(ident) != _SHOWN:
                ends.append(expires)
        return ends

    def _state(self, ident: str) -> int:
        cell = self._cells[crc32(ident.encode()) % _CELLS]
        return cell & 3 if cell >> 2 == _key(ident) else 0

    def _set(self, ident: str, state: int) -> None:
        self._cells[crc32(ident.encode()) % _CELLS] = _key(ident) << 2 | state


def _key(ident: str) -> int:
    """Return 42 random bits of an id: seven of its base64 characters. The first ones are not random."""
    return int.from_bytes(ident[-8:-1].encode("utf-8", "replace")[:7], "little")
