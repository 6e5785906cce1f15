"""How many more active visitors a room may have now.

    active      visitors with a pass that has not ended, this machine         (limit: `capacity.total_active_users`)
                and was shown, or may still be shown in time                  (`edge/rooms/confirmation.py`)
    claims      admitted visitors that have not tried to take a unit yet       (`edge/rooms/stock.py`)

    vacancies = min(limit - active, units of this machine's part - claims)

Each node counts in rows of shared memory (`controller/occupancy.py`) and writes its own row only. The sum over all rows
counts. A node takes a vacancy before it counts the others': of two nodes that reach for the last vacancy at the same
moment both see it taken, so the limit holds without a lock.

All times are wall clock, in seconds.
"""

import math
from collections import OrderedDict
from collections.abc import MutableSequence, Sequence

from controller import CELLS, Occupancy
from edge.rooms.confirmation import Confirmations
from edge.rooms.stock import StockView
from waiting_room.ticket import Pass

__all__ = ["TriedTickets", "Vacancies"]

#: The most tickets that a node remembers as having tried to take a unit.
MOST_TRIED = 16_384


class TriedTickets:
    """The tickets of claims that have ended, here or at another node. Bounded."""

    def __init__(self) -> None:
        self._tried: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tried)

    def add(self, ticket_id: str, now: float, claim_s: float) -> bool:
        """Remember a ticket for `claim_s`. Return False if it was there already."""
        tried = self._tried
        while tried and (len(tried) >= MOST_TRIED or next(iter(tried.values())) < now - claim_s):
            tried.popitem(last=False)
        if ticket_id in tried:
            return False
        tried[ticket_id] = now
        return True


class Vacancies:
    """One room's, as one node counts them.

    rows, claim_rows: a row of CELLS integers for every node of this machine; `own_row` is this node's.
    counted_since: when the rows began; sessions from before were never counted in them.
    limit: active visitors on this machine; None if there is no limit. machines: how many divide the free units.
    confirmations, confirm_s: how long an admission counts until its pass is shown; None counts it to the pass's end.
    """

    def __init__(
        self,
        stock: StockView,
        tried: TriedTickets,
        *,
        session_s: float,
        claim_s: float,
        limit: int | None,
        rows: Sequence[MutableSequence[int]],
        claim_rows: Sequence[MutableSequence[int]],
        own_row: int,
        counted_since: float,
        machines: int,
        confirmations: Confirmations,
        confirm_s: float | None,
    ) -> None:
        self._stock = stock
        self._tried = tried
        self._session_s = session_s
        self._claim_s = claim_s
        self._limit = limit
        self._machines = machines
        self._counted_since = counted_since
        self._confirmations = confirmations
        self._confirm_s = confirm_s
        self._rows = rows or [[0] * CELLS for _ in range(own_row + 1)]
        self._claim_rows = claim_rows or [[0] * CELLS for _ in range(own_row + 1)]
        # A pass ends on a whole second, so a session may last one second longer than the setting says.
        self.occupancy = Occupancy(session_s + 1.0, self._rows[own_row])
        self._claims = Occupancy(claim_s, self._claim_rows[own_row])

    def __repr__(self) -> str:
        left = f"{self.count()} vacancies" if self.is_limited else "no limit"
        return f"<Vacancies {left}, {self.occupancy!r}>"

    @property
    def is_limited(self) -> bool:
        return self._limit is not None or self._stock.is_followed

    def expiry(self, now: float) -> float:
        """When a session that begins now ends: a whole second."""
        return float(math.ceil(now + self._session_s))

    def active(self, now: float) -> int:
        """Return the active visitors that this node has in its row. It may be negative: see `Occupancy`."""
        self._lapse(now)
        self.occupancy.advance(now)
        return self.occupancy.total

    def take(self, now: float) -> None:
        """Count one more active visitor, and their claim."""
        if len(self._confirmations):
            self._lapse(now)
        self.occupancy.begin(self.expiry(now), now)
        self._claims.begin(now + self._claim_s, now)

    def give_back(self, now: float) -> None:
        """Undo a `take` of the same `now`."""
        self.occupancy.end(self.expiry(now), now)
        self._claims.end(now + self._claim_s, now)

    def count(self) -> int:
        """Return the vacancies of a limited room, one that was taken just before included."""
        vacancies = []
        if self._limit is not None:
            vacancies.append(self._limit - sum(row[0] for row in self._rows) + 1)
        if self._stock.is_followed and self._stock.free is not None:
            # Several machines hear of the same units. Each admits for its part, rounded up, so that the last unit is
            # left to all of them rather than to none.
            part = -(-self._stock.free // self._machines)
            vacancies.append(part - max(0, sum(row[0] for row in self._claim_rows) - 1))
        return min(vacancies)

    def has_vacancy(self, now: float) -> bool:
        """Return whether one more visitor may be admitted now."""
        if not self.is_limited:
            return True
        self.take(now)
        count = self.count()
        self.give_back(now)
        return count > 0

    def renew(self, begun: float, ended: float, expires: float, now: float) -> None:
        """Count a session until `expires` that began at `begun` and would have ended at `ended`."""
        if begun >= self._counted_since:
            self.occupancy.end(ended, now)
        self.occupancy.begin(expires, now)

    def expect(self, visitor_pass: Pass, now: float, *, is_robot: bool) -> None:
        """Count a visitor admitted now only until the pass has to be shown. A robot is not counted before."""
        if not visitor_pass.is_unshown:
            return
        if is_robot:
            self.occupancy.end(visitor_pass.expires, now)
        else:
            self._confirmations.expect(visitor_pass, self._due(visitor_pass))

    def show(self, visitor_pass: Pass, now: float) -> None:
        """Take note that a pass is shown for the first time."""
        if self._confirmations.show(visitor_pass, self._due(visitor_pass), now):
            self.occupancy.begin(visitor_pass.expires, now)

    def is_shown(self, ident: str) -> bool:
        """Return whether an unshown pass was shown on this machine."""
        return self._confirmations.is_shown(ident)

    def _due(self, visitor_pass: Pass) -> float:
        """Return until when a pass counts without being shown."""
        return visitor_pass.expires if self._confirm_s is None else visitor_pass.admitted_at + self._confirm_s

    def _lapse(self, now: float) -> None:
        for expires in self._confirmations.lapsed(now):
            self.occupancy.end(expires, now)

    def _ends_seat(self, visitor_pass: Pass, now: float) -> bool:
        return self._confirmations.end(visitor_pass, self._due(visitor_pass), now)

    def end_superseded(self, earlier: Pass, now: float) -> None:
        """End the session of a pass that a later pass supersedes."""
        if earlier.admitted_at >= self._counted_since and self._ends_seat(earlier, now):
            self.occupancy.end(earlier.expires, now)

    def end_session(self, visitor_pass: Pass, now: float) -> None:
        """End a session, and its claim, before the pass ends."""
        if self._ends_seat(visitor_pass, now):
            self.occupancy.end(visitor_pass.expires, now)
        self.end_claim(visitor_pass, now)

    def end_claim(self, visitor_pass: Pass, now: float) -> bool:
        """End the claim of a visitor that tried to take a unit. Return False if it was over before."""
        admitted_at = visitor_pass.admitted_at
        if admitted_at < max(self._counted_since, now - self._claim_s) or not self.note_tried(visitor_pass.id, now):
            return False
        self._claims.end(admitted_at + self._claim_s, now)
        return True

    def note_tried(self, ticket_id: str, now: float) -> bool:
        """Remember that a visitor's claim is over, here or at another node. Return False if that was known."""
        return self._tried.add(ticket_id, now, self._claim_s)
