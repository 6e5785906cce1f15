"""The passes of a room: what follows when the gate has admitted a visitor. `Room` adds the line."""

from dataclasses import replace

from controller import FairnessRecorder
from edge.rooms.lanes import RoomLanes
from edge.rooms.mode_rules import ModeRules
from edge.rooms.offers import Offers
from edge.rooms.redeemed_tickets import RedeemedTickets, reason_of
from edge.rooms.room_gate import UNIT_S, RoomGate
from edge.rooms.room_history import RoomHistory
from edge.rooms.sale_clock import SaleClock
from edge.rooms.vacancies import Vacancies
from edge.settings.room import RoomSettings
from waiting_room.places import place_of
from waiting_room.status import LEFT
from waiting_room.ticket import Pass, Ticket

__all__ = ["RoomPasses"]

#: A pass is renewed when this share of its time has passed, not at every request.
PASS_RENEWAL_SHARE = 0.1


class RoomPasses:
    """Of one room on one node. `Room` sets the attributes."""

    settings: RoomSettings
    gate: RoomGate
    name: str
    lane: str
    lanes: RoomLanes | None
    mode: ModeRules
    vacancies: Vacancies
    presence_s: float | None
    """How long a visitor may take to say that they are there when it is their turn; None if nobody is asked."""
    offers: Offers | None
    redeemed: RedeemedTickets
    fairness: FairnessRecorder
    sale: SaleClock | None
    """None unless the settings have sales."""

    def place_of(self, ticket: Ticket) -> int:
        """Return a ticket's place in line."""
        return place_of(ticket) if self.sale is None else self.sale.place_of(ticket)

    def pass_for(self, ticket: Ticket, now: float, binding_digest: str, *, is_offered: bool = False) -> Pass:
        """Return the pass of a visitor that is admitted now. is_offered: they still have to say that they are there."""
        expires, is_unshown = self.vacancies.expiry(now), self.settings.session.confirm_seconds is not None
        return Pass(
            ticket.id, self.name, ticket.first_seen, now, expires, binding_digest, is_unshown, self.lane, is_offered
        )

    def admit(
        self,
        ticket: Ticket,
        now: float,
        binding_digest: str = "",
        *,
        is_robot: bool = False,
        is_offered: bool = False,
    ) -> Pass:
        """Redeem the ticket after the gate admitted its visitor. Return their pass.

        is_robot: the program says that it is no visitor. It is not counted as active before it shows the pass.
        is_offered: of `pass_for`."""
        visitor_pass = self.pass_for(ticket, now, binding_digest, is_offered=is_offered)
        if is_offered and self.offers is not None:
            self.offers.add(ticket.id, now)
        if self.lanes is not None:
            self.lanes.took(self.lane)
        superseded = self.redeemed.add(visitor_pass)
        if superseded is not None:
            self.vacancies.end_superseded(superseded, now)
        self.vacancies.expect(visitor_pass, now, is_robot=is_robot)  # both passes have one cell: the later one counts
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

    def give_up(self, ended: Pass) -> None:
        """Take note that a ticket counts no more (`given_up`). If its visitor has left, they are not expected any more,
        so those behind them move up."""
        self.redeemed.learn(ended)
        if reason_of(ended) == LEFT:
            place = self.place_of(Ticket(ended.id, ended.room, ended.first_seen, ended.admitted_at))
            self.gate.inner.abandon((place - self.gate.origin) * UNIT_S)

    def offers_of(self, kept: RoomHistory) -> Offers | None:
        """Return the open turns of this lane; after a reload those of before."""
        if self.presence_s is None:
            self.gate.inner.called_per_token = 1.0
            kept.offers.pop(self.lane, None)
            return None
        known = kept.offers.get(self.lane)
        if known is None or known.within_s != self.presence_s:
            known = kept.offers[self.lane] = Offers(self.presence_s, kept.confirmations.is_shown)
        return known

    def settle_offers(self, now: float) -> None:
        """Give back the tokens of turns that are not expected to be taken."""
        offers, gate = self.offers, self.gate.inner
        if offers is not None:
            excess = offers.step(now)
            offers.kept -= gate.bucket.adjust(excess, now - self.gate.origin_s)
            gate.called_per_token = offers.called_per_token()

    def turn_ends(self, offered: Pass) -> float:
        """Return until when the visitor may say that they are there."""
        return offered.admitted_at + (self.presence_s or 0.0)

    def has_turn(self, given: Pass) -> bool:
        """Return whether the visitor still has to say that they are there, as far as this machine knows."""
        return given.is_offered and given.expires > 0.0 and not self.vacancies.is_shown(given.id)

    def take_turn(self, offered: Pass, now: float) -> Pass:
        """Take note that a visitor has said in time that they are there. Return their pass: the session begins now."""
        self.vacancies.show(offered, now)
        begun, expires = offered.expires - self.settings.session.duration_seconds, self.vacancies.expiry(now)
        self.vacancies.renew(begun, offered.expires, expires, now)
        return replace(offered, expires=expires, is_unshown=False, is_offered=False)

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
