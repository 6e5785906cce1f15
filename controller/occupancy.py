"""How many admitted visitors are active: sessions counted by the time they end. No visitor is stored.

    cells:  [ total | turn | bin 0 | bin 1 | ... | bin n-1 ]        bin(e) = floor(e / width) mod n

A session that ends at `e` adds one to bin(e). When a bin's time has passed, its sessions are over and it is emptied. A
renewed session moves from one bin to another, a completed one leaves early. The node that renews a session need not be
the one that began it: its own bin may then go below zero, while the sum over all nodes stays exact, because every
session was added once and is removed once. So the sum of the nodes' totals is what counts.

The cells may be memory that several processes share: each node writes its own row only. A worker that was killed finds
its row as it left it. Memory: n + 2 integers a node, whatever the number of visitors. Error: a session may be counted
for up to one width (duration / 64) longer than it lasts.

All times are float seconds on one axis.
"""

from collections.abc import MutableSequence
from math import floor

__all__ = ["CELLS", "Occupancy"]

#: Bins that cover one session's duration.
BINS_PER_DURATION = 64
#: One for the bin that is under way, two for sessions of nodes with clocks that are ahead.
BINS = BINS_PER_DURATION + 3
#: The number of cells of a row.
CELLS = BINS + 2

_TOTAL, _TURN, _FIRST = 0, 1, 2


class Occupancy:
    """One node's part of the count of active visitors.

    duration_s: the longest a session may last from now. cells: a row of CELLS integers, zeros or left by this node.
    """

    def __init__(self, duration_s: float, cells: MutableSequence[int]) -> None:
        if duration_s <= 0:
            raise ValueError(f"duration_s must be > 0, got {duration_s}")
        if len(cells) != CELLS:
            raise ValueError(f"a row has {CELLS} cells, got {len(cells)}")
        self._width_s = duration_s / BINS_PER_DURATION
        self._cells = cells

    def __repr__(self) -> str:
        return f"<Occupancy {self._cells[_TOTAL]} active>"

    @property
    def total(self) -> int:
        """Sessions of this node as of the last `advance`. It may be negative."""
        return self._cells[_TOTAL]

    def advance(self, now: float) -> None:
        """Remove the sessions that are over. Time that steps back changes nothing."""
        cells, turn = self._cells, floor(now / self._width_s)
        behind = turn - cells[_TURN]
        if behind <= 0:
            return
        for passed in range(max(cells[_TURN], turn - BINS), turn):
            at = _FIRST + passed % BINS
            cells[_TOTAL] -= cells[at]
            cells[at] = 0
        cells[_TURN] = turn

    def begin(self, expires: float, now: float) -> None:
        """Count a session that ends at `expires`."""
        self._add(expires, now, +1)

    def end(self, expires: float, now: float) -> None:
        """Remove a session that would have ended at `expires`. Do nothing if it is over already."""
        self._add(expires, now, -1)

    def _add(self, expires: float, now: float, count: int) -> None:
        self.advance(now)
        cells = self._cells
        # No further than the ring reaches: a clock that stepped back must not wrap a session into the past.
        turn = min(floor(expires / self._width_s), cells[_TURN] + BINS - 1)
        if turn < cells[_TURN]:
            return
        cells[_FIRST + turn % BINS] += count
        cells[_TOTAL] += count
