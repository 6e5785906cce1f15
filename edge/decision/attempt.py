"""An attempt to enter a room: all that the steps from a place in line to a verdict need."""

from dataclasses import dataclass

from edge.decision.context import DecisionContext
from edge.rooms.room import Room
from waiting_room.ticket import Ticket

__all__ = ["Attempt"]


# Not changed after it was made, but one is made for every poll: docs/performance.md.
@dataclass(slots=True, init=False)
class Attempt:
    """One attempt of a visitor that has a place in line."""

    context: DecisionContext
    room: Room
    ticket: Ticket
    """The visitor's place."""
    given: Ticket | None
    """The ticket to send to the visitor; None if their cookie stays as it is."""
    now: float
    """Wall clock, seconds."""
    u: float
    """Uniform in [0, 1)."""
    is_new: bool
    """The ticket was made for this very request, so nobody else can have it."""
    parked_s: float | None
    """How long the poll was parked, in seconds; None if it was not. A parked poll is not counted again, nor parked
    again. `again` drops this: a poll that a redemption check did not admit is counted and may be parked once more."""
    is_present: bool
    """The visitor has just said that they are there, so they are not asked when it is their turn."""
    place: int

    def __init__(
        self,
        context: DecisionContext,
        room: Room,
        ticket: Ticket,
        given: Ticket | None,
        now: float,
        u: float,
        is_new: bool = False,
        parked_s: float | None = None,
        is_present: bool = False,
    ) -> None:
        self.context = context
        self.room = room
        self.ticket = ticket
        self.given = given
        self.now = now
        self.u = u
        self.is_new = is_new
        self.parked_s = parked_s
        self.is_present = is_present
        self.place = context.place if ticket is context.credential else room.place_of(ticket)

    def after_parking(self, now: float, parked_s: float) -> "Attempt":
        """Return the attempt when its parked poll is answered."""
        return Attempt(self.context, self.room, self.ticket, None, now, self.u, parked_s=parked_s)

    def again(self) -> "Attempt":
        """Return a new attempt of the same request, with nothing to send."""
        return Attempt(self.context, self.room, self.ticket, None, self.now, self.u, is_present=self.is_present)

    def renewed(self) -> "Attempt":
        """Return the attempt with a ticket that is signed again; its place may be further back (`away_seconds`)."""
        ticket = self.ticket.renewed(self.now, self.room.away_s)
        return Attempt(self.context, self.room, ticket, ticket, self.now, self.u, is_present=self.is_present)
