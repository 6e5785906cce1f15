"""Requests that are no visits (`visits.py`): they take no place, no vacancy and no cookie."""

from controller import Admit
from edge.decision.context import DecisionContext
from edge.decision.first_visits import FirstVisits
from edge.decision.forwarding import forward_guest
from edge.decision.visitor_responses import VisitorResponses
from edge.decision.visits import SAFE, SPECULATIVE
from edge.messages.verdict import Answer, Forward
from edge.operations.metrics import Metrics
from edge.rooms.room import Room
from waiting_room.ticket import Pass, Ticket

__all__ = ["NoVisits"]


class NoVisits:
    """One node's."""

    def __init__(self, first_visits: FirstVisits, responses: VisitorResponses, metrics: Metrics) -> None:
        self._first_visits = first_visits
        self._responses = responses
        self._metrics = metrics

    def counts(self, context: DecisionContext, room: Room, credential: Ticket | Pass | None) -> bool:
        """Return whether a request that is no visit is served as one, because of the credential that it shows."""
        if context.kind != SPECULATIVE:
            return credential is not None
        if not isinstance(credential, Pass) or context.is_mismatch:
            return False
        return not (room.redeemed.has_superseded and room.redeemed.is_superseded(credential))

    def decide(self, context: DecisionContext, room: Room, now: float, u: float) -> Forward | Answer:
        """Answer a request that is no visit (`visits.py`). It takes no place, no vacancy and no cookie.

        While nobody waits, a guest reaches the shop. One that may change something takes a token like a visitor; the
        others have a small budget of their own.
        """
        if context.kind == SPECULATIVE:
            return self._responses.declined
        ticket = self._first_visits.guest(room, now)
        if not context.is_status_request and self._may_pass(context, room, ticket, now, u):
            self._metrics.guests.count_one(room.name)
            return forward_guest(room, ticket.id, now)
        return self._responses.turn_away(context, room, now)

    def _may_pass(self, context: DecisionContext, room: Room, ticket: Ticket, now: float, u: float) -> bool:
        """Return whether a guest reaches the shop now: nobody waits, and the room is open."""
        if room.shadow is not None:
            return True
        if room.paused is not None or room.stock.is_sold_out or not room.mode.takes_visitors:
            return False
        place = room.place_of(ticket)
        if not room.would_admit(place, now):
            return False
        if context.head.method in SAFE:
            return room.guests.spend(now)
        if not isinstance(room.poll(place, now, u), Admit):
            return False
        room.take_back(now)
        return True
