"""Turns: in a room with `session.presence_seconds` an admitted visitor says by a click that they are there.

    the gate admits -> a pass that opens nothing yet, and the page says until when to click
        click in time    -> the pass opens the room; the session begins now
        click later      -> in line at the old place, in front of all others: the next token is theirs
        no click         -> nothing: the page waits for the click, as long as the ticket would last

So no visitor loses their place by being away for two minutes, and an open page without a visitor takes no capacity: the
token of a turn goes back unless it is used (`edge/rooms/offers.py`). A visitor that has just come is not asked, because
they are there.
"""

from typing import Final

from edge.decision.admissions import Admissions
from edge.decision.attempt import Attempt
from edge.decision.context import DecisionContext
from edge.decision.visitor_responses import VisitorResponses
from edge.messages.verdict import Answer, Forward, TakeForm
from edge.operations.metrics import Metrics
from edge.rooms.room import Room
from waiting_room.status import MISSED, State, Status
from waiting_room.ticket import Pass, Ticket

__all__ = ["Turns"]

#: A page in this state polls no less often, so that it learns of a click on another device, or of the end of its time.
POLL_S: Final = 15.0
#: A poll at the end of the time comes this much later, so that the time is over.
LATER_S: Final = 0.2


class Turns:
    """One node's."""

    def __init__(self, responses: VisitorResponses, admissions: Admissions, metrics: Metrics) -> None:
        self._responses = responses
        self._admissions = admissions
        self._metrics = metrics

    def show(
        self, context: DecisionContext, room: Room, offered: Pass, now: float, *, is_given: bool = False
    ) -> Answer | TakeForm:
        """Say that it is the visitor's turn, or that they missed it. is_given: their browser does not have the pass."""
        left_s = room.turn_ends(offered) - now
        after_s = min(room.settings.polling.max_seconds, POLL_S)
        by = room.turn_ends(offered)
        if left_s > 0.0:
            after_s = min(after_s, left_s + LATER_S)
        else:
            by = MISSED
        status = Status(
            State.WAITING, room.name, poll_after_s=after_s, first_seen=offered.first_seen, message=room.message
        )
        status.confirm_by = by
        ticket = Ticket(offered.id, room.name, offered.first_seen, now, lane=room.lane)
        lifetime_s = room.lifetime_s - (now - offered.first_seen)
        cookie = self._responses.cookie(context, room, offered, lifetime_s) if is_given else ()
        return self._responses.ask_presence(Attempt(context, room, ticket, None, now, 0.0), status, cookie)

    def take(self, context: DecisionContext, room: Room, offered: Pass, now: float) -> Forward | Answer:
        """Let the visitor in: they have said in time that they are there."""
        self._metrics.turns.count(room.name, "taken")
        place = room.place_of(Ticket(offered.id, room.name, offered.first_seen, now))
        return self._admissions.admit(context, room, room.take_turn(offered, now), place, now)
