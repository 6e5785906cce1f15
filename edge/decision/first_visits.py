"""First visits: a visitor without a place gets one, or a join challenge first where the room asks for it.

no credential that counts -> room takes no more visitors     -> Answer: closed
                          -> room asks nothing of this visitor  -> a new ticket
                          -> join token and solution, or waited -> a ticket with the token's id
                          -> otherwise                          -> Answer: the challenge, and a join token
"""

from collections.abc import Mapping

from edge.decision.attempt import Attempt
from edge.decision.context import DecisionContext
from edge.decision.siblings import Siblings
from edge.decision.visitor_responses import VisitorResponses
from edge.messages.verdict import Answer
from edge.operations.metrics import Metrics
from edge.rooms.binding import Binding
from edge.rooms.join_challenge import JoinChallenges
from edge.rooms.room import Room
from edge.rooms.table import RoomTable
from edge.shield.shield import Shield
from waiting_room.places import TicketIds
from waiting_room.status import State, Status
from waiting_room.ticket import JoinToken, Keyring, Ticket, new_join_token, new_ticket

__all__ = ["FirstVisits"]


class FirstVisits:
    """One node's. ids: for the tickets."""

    def __init__(
        self,
        rooms: RoomTable,
        keys: Keyring,
        responses: VisitorResponses,
        metrics: Metrics,
        bindings: Mapping[str, Binding],
        ids: TicketIds,
        shield: Shield | None,
    ) -> None:
        self._responses = responses
        self._metrics = metrics
        self._bindings = bindings
        self._ids = ids
        self._shield = shield
        self._siblings = Siblings()
        self._challenges = {
            room.name: JoinChallenges(room.name, room.settings.join, keys.challenge_keys)
            for room in rooms.rooms
            if room.settings.join.proof != "none"
        }

    def guest(self, room: Room, now: float) -> Ticket:
        """Return the ticket of a request that makes no visitor: nobody gets it."""
        return new_ticket(room.name, now, self._ids.new(now))

    def sibling(self, context: DecisionContext, room: Room, now: float) -> Ticket | None:
        """Return the ticket that another request of the same page has just got (`siblings.py`), or None."""
        if room.name in self._challenges:
            return None
        ticket = self._siblings.ticket(context.head, room.name, now)
        return None if ticket is not None and ticket.lane != room.lane else ticket

    def join(self, context: DecisionContext, room: Room, now: float, u: float) -> Attempt | Answer:
        """Return the attempt if the visitor gets a place now, or the answer if they get none yet or no more."""
        if not room.mode.takes_visitors:
            return self._responses.no_entry(context, room, now, u)
        challenges = self._challenges.get(room.name)
        if challenges is not None and room.shadow is None and not room.stock.is_over:
            shield = self._shield
            points = 0 if shield is None else shield.points(context.watched)
            if challenges.settings.proof == "all" or (shield is not None and points >= shield.suspect_threshold):
                return self._challenged(context, room, challenges, points, now, u)
        ticket = new_ticket(room.name, now, self._ids.new(now), room.lane)
        self._siblings.add(context.head, ticket, now)
        return Attempt(context, room, ticket, ticket, now, u, is_new=True)

    def _challenged(
        self, context: DecisionContext, room: Room, challenges: JoinChallenges, points: int, now: float, u: float
    ) -> Attempt | Answer:
        shown = context.credential
        join_token = shown if isinstance(shown, JoinToken) and challenges.is_current(shown, now) else None
        network = self._bindings[room.name].network(context.head)
        if join_token is not None:
            ticket, result = challenges.ticket(join_token, context.solution, network, now)
            if result:
                self._metrics.join_challenges.count(room.name, result)
            if ticket is not None:
                if room.lane:
                    ticket = ticket.in_lane(room.lane)
                return Attempt(context, room, ticket, ticket, now, u)
        made = join_token or new_join_token(room.name, now, self._ids.new(now))
        status = Status(
            State.JOINING,
            room.name,
            poll_after_s=max(1.0, made.arrived + challenges.settings.no_script_wait_seconds - now),
            message=room.settings.page.message,
            challenge=challenges.challenge(made, network, now, points),
        )
        is_given = join_token is None
        cookie = self._responses.cookie(context, room, made, challenges.join_token_s) if is_given else ()
        return self._responses.respond(context, room, status, cookie, now, is_given=is_given)
