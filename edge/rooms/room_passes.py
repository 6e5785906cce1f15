"""The passes of a room: what follows when the gate has admitted a visitor. `Room` adds the line."""

from dataclasses import replace

from controller import FairnessRecorder
from edge.rooms.lanes import RoomLanes
from edge.rooms.mode_rules import ModeRules
from edge.rooms.redeemed_tickets import RedeemedTickets
from edge.rooms.room_gate import UNIT_S
from edge.rooms.sale_clock import SaleClock
from edge.rooms.vacancies import Vacancies
from edge.settings.room import RoomSettings
from waiting_room.places import place_of
from waiting_room.ticket import Pass, Ticket

__all__ = ["RoomPasses"]

#: A pass is renewed when this share of its time has passed, not at every request.
PASS_RENEWAL_SHARE = 0.1


class RoomPasses:
    """Of one room on one node. `Room` sets the attributes."""

    settings: RoomSettings
    name: str
    lane: str
    lanes: RoomLanes | None
    mode: ModeRules
    vacancies: Vacancies
    redeemed: RedeemedTickets
    fairness: FairnessRecorder
    sale: SaleClock | None
    """None unless the settings have sales."""

    def place_of(self, ticket: Ticket) -> int:
        """Return a ticket's place in line."""
        return place_of(ticket) if self.sale is None else self.sale.place_of(ticket)

    def pass_for(self, ticket: Ticket, now: float, binding_digest: str) -> Pass:
        """Return the pass of a visitor that is admitted now."""
        expires, is_unshown = self.vacancies.expiry(now), self.settings.session.confirm_seconds is not None
        return Pass(ticket.id, self.name, ticket.first_seen, now, expires, binding_digest, is_unshown, self.lane)

    def admit(self, ticket: Ticket, now: float, binding_digest: str = "", *, is_robot: bool = False) -> Pass:
        """Redeem the ticket after the gate admitted its visitor. Return their pass.

        is_robot: the program says that it is no visitor. It is not counted as active before it shows the pass."""
        visitor_pass = self.pass_for(ticket, now, binding_digest)
        self.vacancies.expect(visitor_pass, now, is_robot=is_robot)
        if self.lanes is not None:
            self.lanes.took(self.lane)
        superseded = self.redeemed.add(visitor_pass)
        if superseded is not None:
            self.vacancies.end_superseded(superseded, now)
        # In a sale with a draw the place decides which visitor is admitted first.
        self.fairness.record(ticket.first_seen if self.sale is None else self.place_of(ticket) * UNIT_S, now)
        return visitor_pass

    def take_back(self, now: float) -> None:
        """Give back the vacancy and the claim of an `Admit` of the same `now`. The token of the bucket is spent."""
        self.vacancies.give_back(now)

    def confirm(self, shown: Pass, now: float) -> Pass:
        """Take note that a pass is shown for the first time; return the pass to send in its place."""
        self.vacancies.show(shown, now)
        return replace(shown, is_unshown=False)

    def renew(self, visitor_pass: Pass, now: float) -> Pass | None:
        """Return a longer pass, or None unless passes are renewed and enough of this one's time has passed."""
        session = self.settings.session
        begun = visitor_pass.expires - session.duration_seconds
        if (
            not session.renew
            or self.mode.is_closed
            or now - begun < max(1.0, session.duration_seconds * PASS_RENEWAL_SHARE)
        ):
            return None
        renewed = replace(visitor_pass, expires=self.vacancies.expiry(now))
        self.vacancies.renew(begun, visitor_pass.expires, renewed.expires, now)
        return renewed

    def end_session(self, visitor_pass: Pass, now: float) -> None:
        """End a session that the upstream says is over: the vacancy is free for the next visitor."""
        self.redeemed.end(visitor_pass.id)
        self.vacancies.end_session(visitor_pass, now)
