"""What this node knows of one room: a gate, a count of active visitors, a page and some memory of those just let in.

All of it is changed by sync code only, between two awaits, so one request never sees half of another's effect.
"""

import math
from collections import OrderedDict
from collections.abc import MutableSequence, Sequence
from dataclasses import replace
from zlib import crc32

from controller import CELLS, Admit, FairnessRecorder, Gate, Occupancy, ParkedPolls, Verdict
from edge.rooms.redeemed_tickets import RedeemedTickets
from edge.rooms.stock import StockView
from edge.rooms.upstream_health import Health
from edge.settings.room import RoomSettings
from waiting_room.page import WaitingPage
from waiting_room.status import State, Words
from waiting_room.ticket import Pass, Ticket, cookie_name

__all__ = ["Room", "place_of"]

#: For how many visitors a node remembers that they tried to take a unit.
REMEMBERED = 16_384
#: A pass is renewed when a tenth of its time has passed, not at every request.
RENEW_AFTER = 0.1


class Room:
    """rows: a row of CELLS integers for every node on this machine; `own_row` is this node's, the only one written.
    claims: the same for visitors let in who have not tried to take a unit yet (`edge/rooms/stock.py`).
    board_since: when the rows began to be kept; passes from before were never counted in them.
    machines: among how many the free units are divided.
    """

    def __init__(
        self,
        settings: RoomSettings,
        gate: Gate,
        page: WaitingPage,
        *,
        limit: int | None = None,
        rows: Sequence[MutableSequence[int]] = (),
        claims: Sequence[MutableSequence[int]] = (),
        own_row: int = 0,
        board_since: float = 0.0,
        machines: int = 1,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.gate = gate
        self.page = page
        self.message = settings.page.message
        self.cookie = cookie_name(settings.name)
        self.holds_when_down = settings.when_upstream_down == "hold"
        adaptive = settings.capacity.adaptive
        self.health = Health(adaptive.latency_target_seconds) if adaptive.enabled else None
        """What its requests come to at the upstream; None: nobody wants to know."""
        self.missing: tuple[str, ...] = ()
        """What is not there and the room lets nobody in without (`edge/rooms/dependencies.py`)."""
        self.stock = StockView(settings.name)
        self._worded = self.stock.known
        self._words = Words(State.WAITING, settings.name, self.message)
        self._limit = limit
        self._machines = machines
        self.away_s = settings.ticket.away_seconds
        self.skew_s = settings.ticket.skew_allowance_seconds
        self.lifetime_s = settings.ticket.lifetime_seconds
        self._rows = rows or [[0] * CELLS for _ in range(own_row + 1)]
        self._claim_rows = claims or [[0] * CELLS for _ in range(own_row + 1)]
        # A pass ends on a whole second, so a session may last one second longer than it is said to.
        self.occupancy = Occupancy(settings.session.duration_seconds + 1.0, self._rows[own_row])
        self._claim_s = settings.stock.claim_seconds
        self._claims = Occupancy(self._claim_s, self._claim_rows[own_row])
        self._board_since = board_since
        self.fairness = FairnessRecorder()
        self.parked = ParkedPolls()
        self.redeemed = RedeemedTickets()
        self._tried: OrderedDict[str, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Room {self.name} {self.gate!r}>"

    def active(self, now: float) -> int:
        """Active visitors on this machine."""
        self.occupancy.advance(now)
        return sum(row[0] for row in self._rows)

    def words(self) -> Words:
        """Of the documents of those who wait."""
        shelf = self.stock
        if shelf.known is not self._worded:
            self._worded = shelf.known
            state = State.SOLD_OUT if shelf.is_paused else State.WAITING
            self._words = Words(state, self.name, self.message, shelf.free, shelf.held)
        return self._words

    def ask(self, place: float, now: float, u: float, *, shut: bool = False, held_s: float | None = None) -> Verdict:
        """Put a visitor before the gate. An `Admit` has taken a place among the active visitors, and a claim.

        place: `place_of` their ticket. shut: let nobody in; the visitor is counted and given an appointment as ever.
        held_s: for how long their answer has been held; None: they ask now.
        """
        if shut:
            return self._put(place, now, u, 0, held_s)
        if self._limit is None and not self.stock.is_followed:  # as `_is_limited`, which costs a call
            verdict = self.gate.decide(place, now, u) if held_s is None else self.gate.settle(place, now, u, held_s)
            if isinstance(verdict, Admit):
                self.occupancy.begin(self._expiry(now), now)
                self._claims.begin(now + self._claim_s, now)
            return verdict
        expires = self._take_place(now)
        verdict = self._put(place, now, u, self._vacancies(), held_s)
        if not isinstance(verdict, Admit):
            self._leave_place(expires, now)
        return verdict

    def answer_parked(self, now: float, up_to: float = math.inf) -> None:
        """Give the answers that are held: to whom is let in now, and to whom they were held for long enough. Once a
        control step, and before somebody else is let in, whose place is `up_to`: those behind it come after them."""
        if self.parked:
            self.parked.call(now, self.gate.threshold, self._is_in, up_to)

    def hung_up(self, place: float, number: int) -> None:
        """A visitor has gone before the answer that was held for them."""
        if self.parked.forget(number):
            self.gate.abandon(place)

    def _is_in(self, place: float, now: float) -> bool:
        """Whether a visitor whose answer is held would be let in now."""
        if not self.gate.would_admit(place, now):
            return False
        if not self._is_limited:
            return True
        expires = self._take_place(now)
        vacancies = self._vacancies()
        self._leave_place(expires, now)
        return vacancies > 0

    def _put(self, place: float, now: float, u: float, vacancies: int, held_s: float | None) -> Verdict:
        if held_s is None:
            return self.gate.decide(place, now, u, vacancies)
        return self.gate.settle(place, now, u, held_s, vacancies)

    @property
    def _is_limited(self) -> bool:
        return self._limit is not None or self.stock.is_followed

    def _take_place(self, now: float) -> float:
        """Before the others' places are counted: of two nodes that reach for the last one at the same moment both see
        it taken, so the limit holds without a lock."""
        expires = self._expiry(now)
        self.occupancy.begin(expires, now)
        self._claims.begin(now + self._claim_s, now)
        return expires

    def _leave_place(self, expires: float, now: float) -> None:
        self.occupancy.end(expires, now)
        self._claims.end(now + self._claim_s, now)

    def _vacancies(self) -> int:
        """How many more may come in, a place and a claim of one's own already taken."""
        vacancies = []
        if self._limit is not None:
            vacancies.append(self._limit - sum(row[0] for row in self._rows) + 1)
        if self.stock.is_followed and self.stock.free is not None:
            # Several machines hear of the same units: each lets in for its part of them, rounded up, so that the last
            # unit is not left to nobody.
            part = -(-self.stock.free // self._machines)
            vacancies.append(part - max(0, sum(row[0] for row in self._claim_rows) - 1))
        return min(vacancies)

    def end_claim(self, held: Pass, now: float) -> bool:
        """The shop has answered a visitor who tried to take a unit. False: their claim was over before."""
        if held.admitted_at < max(self._board_since, now - self._claim_s) or not self.note_tried(held.id, now):
            return False
        self._claims.end(held.admitted_at + self._claim_s, now)
        return True

    def note_tried(self, ticket_id: str, now: float) -> bool:
        """This visitor's claim is over, here or at another node. False: that is known."""
        tried = self._tried
        while tried and (len(tried) >= REMEMBERED or next(iter(tried.values())) < now - self._claim_s):
            tried.popitem(last=False)
        if ticket_id in tried:
            return False
        tried[ticket_id] = now
        return True

    def pass_for(self, ticket: Ticket, now: float, binding_digest: str) -> Pass:
        """The pass of a visitor who is let in now."""
        return Pass(ticket.id, self.name, ticket.first_seen, now, self._expiry(now), binding_digest)

    def take_back(self, now: float) -> None:
        """An `Admit` of this time was for nothing: another node had let the visitor in."""
        self.occupancy.end(self._expiry(now), now)
        self._claims.end(now + self._claim_s, now)

    def admit(self, ticket: Ticket, now: float, binding_digest: str = "") -> Pass:
        """The pass of a visitor whom the gate let in. binding_digest: whom it is given to."""
        given = self.pass_for(ticket, now, binding_digest)
        moved = self.redeemed.note(given)
        if moved is not None and moved.admitted_at >= self._board_since:
            self.occupancy.end(moved.expires, now)
        self.fairness.record(ticket.first_seen, now)
        return given

    def renew(self, held: Pass, now: float) -> Pass | None:
        """A longer pass, when renewal is on and enough of the old one has gone; else None."""
        session = self.settings.session
        begun = held.expires - session.duration_seconds
        if not session.renew or now - begun < max(1.0, session.duration_seconds * RENEW_AFTER):
            return None
        if begun >= self._board_since:
            self.occupancy.end(held.expires, now)
        renewed = replace(held, expires=self._expiry(now))
        self.occupancy.begin(renewed.expires, now)
        return renewed

    def end_session(self, held: Pass, now: float) -> None:
        """The upstream says that this visitor is done: the place is free for the next one."""
        self.occupancy.end(held.expires, now)
        self.redeemed.end(held.id)
        self.end_claim(held, now)

    def share_among(self, nodes: int, now: float) -> None:
        """So many nodes are known to share the capacity: an even part is what this one hands out when it is alone."""
        wanted = self.gate.settings
        if wanted.nodes != nodes:
            even = wanted.room_rate / nodes
            self.gate.reconfigure(replace(wanted, nodes=nodes, admissions_per_second=even), now)

    def scale(self, factor: float, now: float) -> None:
        """Use such a part of the configured capacity from now on, 0..1; nothing jumps."""
        wanted = self.gate.settings
        rate = self.settings.capacity.admissions_per_second * factor
        if wanted.room_rate != rate:
            part = rate / wanted.nodes
            fresh = replace(wanted, admissions_per_second=part, room_admissions_per_second=rate)
            self.gate.reconfigure(fresh, now)

    def take_over(self, was: "Room") -> None:
        """Go on where this room was before the settings changed."""
        self.stock, self.fairness = was.stock, was.fairness
        self.redeemed, self._tried = was.redeemed, was._tried

    def _expiry(self, now: float) -> float:
        return float(math.ceil(now + self.settings.session.duration_seconds))


def place_of(ticket: Ticket) -> float:
    """A place in line: the first arrival, and within its millisecond the order that the id draws.

    The gate knows a visitor by this number alone; in a rush several arrive in the same millisecond.
    """
    return ticket.first_seen + crc32(ticket.id.encode()) / 2**32 * 0.001
