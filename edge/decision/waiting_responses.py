"""From a decision to what is sent: the status, the page or the request to forward, and the cookie that goes with it."""

import math
from dataclasses import replace

from controller import Wait
from edge.decision.context import DecisionContext
from edge.decision.cookies import Cookies
from edge.decision.negotiation import best_coding
from edge.decision.responses import Responses
from edge.decision.waiting_status import came_from_itself
from edge.messages.verdict import Answer, Forward, Headers, Verdict
from edge.rooms.room import Room
from waiting_room.status import State, Status, document, moment, retry_after
from waiting_room.ticket import JoinToken, Keyring, Pass, Ticket

__all__ = ["WaitingResponses"]

#: An appointment so far ahead is written into the ticket, if absence counts.
LONG_S = 30.0


class WaitingResponses:
    """One node's. keys: seal what visitors are given."""

    def __init__(self, answers: Responses, cookies: Cookies, keys: Keyring) -> None:
        self._answers = answers
        self._cookies = cookies
        self._keys = keys

    def enter(self, facts: DecisionContext, room: Room, held: Pass, now: float, *, fresh: Pass | None) -> Verdict:
        """Forward it, or tell who only asked. fresh: the pass to hand out, if there is need."""
        if fresh is None and facts.entered is not None:
            return facts.entered
        cookie = () if fresh is None else self.cookie(facts, room, fresh, fresh.expires - now)
        if facts.is_poll:
            status = Status(State.ADMITTED, room.name, first_seen=held.first_seen, stock=room.stock.free)
            return self._answers.document(status, 200, cookie)
        told = (
            ("X-Stanchion-Room", room.name),
            ("X-Stanchion-Ticket", held.id),
            ("X-Stanchion-Admitted-At", f"{held.admitted_at:.3f}"),
        )
        state = ("Stanchion-State", State.ADMITTED.value)
        forward = Forward(
            room.name,
            told,
            (state, *cookie),
            fresh or held,
            "admitted",
            room.health,
            room.settings.body_bytes,
        )
        if fresh is None:
            facts.entered = forward
        return forward

    def wait_on(self, facts: DecisionContext, room: Room, verdict: Wait, ticket: Ticket) -> Answer:
        """The answer to all but a few polls: `keep_waiting` without anything to hand out, so there is the document
        alone to be made."""
        if ticket is not facts.credential:
            first_seen_json = moment(ticket.first_seen).encode()
        else:
            first_seen_json = facts.first_seen_json
            if not first_seen_json:
                first_seen_json = facts.first_seen_json = moment(ticket.first_seen).encode()
        words, after_s = room.words(), verdict.poll_after_s
        p50_s, p90_s = verdict.eta_p50_s, verdict.eta_p90_s
        if room.stock.is_paused:
            p50_s = p90_s = None
        body = document(words, verdict.position, p50_s, p90_s, after_s, first_seen_json)
        return self._answers.of_document(words.state, retry_after(after_s), body, 200, ())

    def is_written_down(self, room: Room, verdict: Wait) -> bool:
        """Whether the visitor's ticket is to say when they were asked back."""
        return room.away_s is not None and verdict.poll_after_s > LONG_S

    def keep_waiting(
        self, facts: DecisionContext, room: Room, status: Status, ticket: Ticket, given: Ticket | None, now: float
    ) -> Answer:
        """given: the ticket to hand out, if there is need."""
        cookie: Headers = ()
        told_s = status.poll_after_s
        if room.away_s is not None and told_s is not None and told_s > LONG_S:
            given = replace(given or ticket.renewed(now), told_s=math.ceil(told_s))
        if given is not None:
            status.moved_back_s = given.moved_back_s
            lifetime_s = room.lifetime_s - (now - ticket.first_seen)
            cookie = self.cookie(facts, room, given, lifetime_s)
        return self.told(facts, room, status, cookie, now, lost=given is not None)

    def told(
        self, facts: DecisionContext, room: Room, status: Status, cookie: Headers, now: float, *, lost: bool
    ) -> Answer:
        """The page or the document. lost: a cookie is set, so one that came from the page itself was not kept."""
        code = 200 if facts.is_poll else room.settings.page.status_code
        if not facts.wants_page:
            return self._answers.document(status, code, cookie)
        lost = lost and facts.credential is None and came_from_itself(facts.head)
        coding = best_coding(facts.head.accept_encoding)
        return self._answers.page(room.page, status, code, now, cookie, coding, lost=lost)

    def cookie(self, facts: DecisionContext, room: Room, what: Ticket | Pass | JoinToken, lifetime_s: float) -> Headers:
        return self._cookies.write(room.cookie, self._keys.seal(what), max(1, round(lifetime_s)), facts.head)
