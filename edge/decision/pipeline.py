"""The way of one request, in one place: what is decided, in which order, and nothing else.

    head -> guard -> room -> ticket -> gate                              admitted: Forward (stream to the upstream)
              |        |       |         |                               or: Deferred (has another node let them in?)
              |        |       |         '-> page or status              waiting:  Answer ('come back in 4.2 s')
              |        |       '-> a pass: Forward
              |        '-> no room: Forward
              '-> malformed, kept out, too often: Answer (a clear 4xx, never the line)

Two steps, so that what a head says can be remembered while what follows from it cannot:

    recognise(head) -> DecisionContext       reads no clock and no state that changes: the room, what the cookie says
                                   (`recognition.py`)
    decide(facts, now, u)       judges the facts at this moment: expiry, stock, gate

All of it is sync and does no I/O: between reading the state and changing it nothing else can happen.
"""

from collections.abc import Callable, Iterable
from typing import assert_never, cast

from controller import Admit, Wait
from edge.decision.classifier import Classifier
from edge.decision.commands import Commands
from edge.decision.context import DecisionContext
from edge.decision.cookies import Cookies
from edge.decision.limit_responses import LimitResponses
from edge.decision.negotiation import wants_page
from edge.decision.premium import Premium
from edge.decision.responses import Responses
from edge.decision.waiting_responses import WaitingResponses
from edge.decision.waiting_status import sold_out, waiting
from edge.messages.context import RequestContext
from edge.messages.decider import Decider
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Deferred, Forward, Headers, Verdict
from edge.operations.metrics import Metrics
from edge.rooms.binding import Binding
from edge.rooms.clock_steps import ClockSteps
from edge.rooms.join_challenge import Joining
from edge.rooms.redeemed_tickets import MOVE_S
from edge.rooms.redemption import AlreadyRedeemed, Granted, Outcome, RedemptionClient, Unverified, admitted_in
from edge.rooms.room import Room, place_of
from edge.rooms.stock import RoomEvent
from edge.rooms.table import RoomTable
from edge.settings.model import CookieSettings
from edge.shield.shield import Shield
from waiting_room.status import State, Status
from waiting_room.ticket import (
    ID_BYTES,
    JoinToken,
    Keyring,
    Pass,
    Rejected,
    Rejection,
    Ticket,
    judge,
    new_join_token,
    new_ticket,
)

__all__ = ["Pipeline"]

#: No room covers the path.
STRAIGHT_ON = Forward(None, (), ())


class Pipeline(Decider):
    """Decides on requests for one node. entropy(n) gives n random bytes, for the ids of tickets."""

    def __init__(
        self,
        rooms: RoomTable,
        keys: Keyring,
        answers: Responses,
        metrics: Metrics,
        cookies: CookieSettings,
        entropy: Callable[[int], bytes],
        on_room_event: Callable[[RoomEvent], None],
        shield: Shield | None = None,
        clock_steps: ClockSteps | None = None,
        grants: RedemptionClient | None = None,
    ) -> None:
        """shield: None when nobody is kept out or limited. clock_steps: None: those from now on.

        grants: None when there are no other nodes to ask.
        """
        self.rooms = rooms
        self._answers = answers
        self._metrics = metrics
        self._entropy = entropy
        self._grants = grants
        self.shield = shield
        self._clock_steps = clock_steps or ClockSteps()
        self.upstream_is_down = False
        """Told by the data plane: rooms that hold let nobody in meanwhile."""
        self._refusals = LimitResponses(answers, metrics)
        self._joining = {
            room.name: Joining(room.name, room.settings.join, keys.challenge_keys)
            for room in rooms.rooms
            if room.settings.join.proof != "none"
        }
        named = Cookies(cookies)
        premium_s = None if shield is None else shield.premium_s
        premium = None if premium_s is None else Premium(keys, named, premium_s)
        self._replies = WaitingResponses(answers, named, keys)
        self._bindings = {room.name: Binding(keys, room.settings.session) for room in rooms.rooms}
        self._recognition = Classifier(rooms, keys, answers, metrics, named, self._bindings, shield, premium)
        self._commands = Commands(metrics, named, entropy, on_room_event, premium)

    def classify(self, head: RequestHead, is_last_hop: bool = False) -> DecisionContext:
        return self._recognition.classify(head, is_last_hop)

    def classify_like(self, like: RequestContext, head: RequestHead) -> DecisionContext:
        return self._recognition.classify_like(cast(DecisionContext, like), head)

    def observe(
        self, context: RequestContext, forward: Forward, headers: Iterable[tuple[str, str]], now: float
    ) -> Headers:
        return self._commands.heed(cast(DecisionContext, context), forward, headers, now)

    def set_upstream_down(self, is_down: bool) -> None:
        self.upstream_is_down = is_down

    def decide(self, context: RequestContext, now: float, u: float) -> Verdict:
        """Say what becomes of the request. now: wall clock, seconds. u: uniform in [0, 1)."""
        facts = cast(DecisionContext, context)
        if facts.premium_until and now >= facts.premium_until and self.shield is not None:
            self._recognition.guard(facts, self.shield, now)
        if (facts.limits or facts.watched is not None) and (
            answer := self._refusals.kept_out(facts, self.shield, now)
        ) is not None:
            return answer
        if facts.answer is not None:
            return facts.answer
        room = facts.room
        if room is None:
            return STRAIGHT_ON
        if room.parked.is_pressing:  # first, for one of them may be this very visitor's
            room.answer_parked(now, facts.place)
        held = self._judged(room, facts.credential, now)
        if isinstance(held, Pass):
            if not facts.binding_mismatch and not (room.redeemed.has_moves and room.redeemed.is_superseded(held)):
                fresh = room.renew(held, now) if held is facts.credential else held
                return self._replies.enter(facts, room, held, now, fresh=fresh)
            returned = self._requeued(room, held, now)
            if returned is None:
                return self._newcomer(facts, room, now, u)
            return self._ask(facts, room, returned, returned, now, u)
        return self._newcomer(facts, room, now, u) if held is None else self._in_line(facts, room, held, now, u)

    def release_parked(self, now: float) -> None:
        """Give all answers that are held: another pipeline takes the place of this one."""
        for room in self.rooms.rooms:
            room.parked.release(now)

    def _in_line(
        self, facts: DecisionContext, room: Room, held: Ticket, now: float, u: float, held_s: float | None = None
    ) -> Verdict:
        """Somebody with a place, which may have been used, or left alone for too long. held_s: for how long their
        answer was held, when this is it."""
        if (used := room.redeemed.get(held.id)) is not None:
            if room.redeemed.is_over(used, now):
                self._metrics.rejected.count(room.name, Rejection.USED.value)
                return self._newcomer(facts, room, now, u)
            if now < used.expires and self._is_given_to(used, room, facts.head):
                return self._replies.enter(facts, room, used, now, fresh=used)
        if held_s is not None or not held.needs_renewal(now):
            return self._ask(facts, room, held, None, now, u, held_s=held_s)
        renewed = held.renewed(now, room.away_s)
        if renewed.first_seen > held.first_seen:
            self._metrics.tickets_requeued.count(room.name)
        return self._ask(facts, room, renewed, renewed, now, u)

    def _newcomer(self, facts: DecisionContext, room: Room, now: float, u: float) -> Verdict:
        """Somebody without a place: they get one, or are to show some work first."""
        joining = self._joining.get(room.name)
        if joining is not None and not room.stock.is_over:
            points = 0 if self.shield is None else self.shield.points(facts.watched)
            if joining.settings.proof == "all" or (self.shield is not None and points >= self.shield.suspect_threshold):
                return self._join(facts, room, joining, points, now, u)
        ticket = new_ticket(room.name, now, self._entropy(ID_BYTES))
        return self._ask(facts, room, ticket, ticket, now, u, is_new=True)

    def _join(self, facts: DecisionContext, room: Room, joining: Joining, points: int, now: float, u: float) -> Verdict:
        """Whoever has solved their challenge, or waited, gets a place."""
        known = facts.credential
        join_token = known if isinstance(known, JoinToken) and joining.is_current(known, now) else None
        network = self._bindings[room.name].network(facts.head)
        if join_token is not None:
            ticket, how = joining.ticket(join_token, facts.solution, network, now)
            if how:
                self._metrics.join_challenges.count(room.name, how)
            if ticket is not None:
                return self._ask(facts, room, ticket, ticket, now, u)
        made = join_token or new_join_token(room.name, now, self._entropy(ID_BYTES))
        status = Status(
            State.JOINING,
            room.name,
            poll_after_s=max(1.0, made.arrived + joining.settings.no_script_wait_seconds - now),
            message=room.settings.page.message,
            challenge=joining.challenge(made, network, now, points),
        )
        cookie = self._replies.cookie(facts, room, made, joining.join_token_s) if join_token is None else ()
        return self._replies.told(facts, room, status, cookie, now, lost=join_token is None)

    def _ask(
        self,
        facts: DecisionContext,
        room: Room,
        held: Ticket,
        given: Ticket | None,
        now: float,
        u: float,
        *,
        is_new: bool = False,
        is_alone: bool = False,
        held_s: float | None = None,
    ) -> Verdict:
        """Ask the gate. held: the visitor's place. given: the ticket to hand out, if there is need.

        is_new: the place was made for this very request, so nobody else can have it. is_alone: nobody knows whether it
        was used, and the settings say that this is a reason to wait. held_s: for how long the answer was held; None: it
        may be, if they are nearly at the front.
        """
        grants = self._grants
        if grants is not None and grants.open and (room.name, held.id) in grants.open:
            return self._wait_for_grant(facts, room, held, grants, now, u)
        if held_s is None:
            self._metrics.polls.count_one(room.name)
        if room.stock.is_sold_out:
            return self._replies.keep_waiting(facts, room, sold_out(room, held), held, given, now)
        used = room.redeemed.get(held.id)
        is_barred = is_alone or (used is not None and now < used.admitted_at + MOVE_S)
        is_shut = is_barred or bool(room.missing) or (self.upstream_is_down and room.holds_when_down)
        place = facts.place if held is facts.credential else place_of(held)
        verdict = room.ask(place, now, u, shut=is_shut, held_s=held_s)
        match verdict:
            case Wait():
                if given is None:
                    if (
                        held_s is None
                        and room.gate.may_park(place, verdict, not facts.is_poll)
                        and not (is_shut or room.stock.is_paused or room.parked.is_full)
                    ):
                        return self._hold(facts, room, held, place, now, u)
                    if facts.is_poll and not self._replies.is_written_down(room, verdict):
                        return self._replies.wait_on(facts, room, verdict, held)
                return self._replies.keep_waiting(facts, room, waiting(room, held, verdict), held, given, now)
            case Admit():
                if grants is None or is_new:
                    return self._admit(facts, room, held, now)
                return self._ask_for_grant(facts, room, held, grants, now, u)
            case _:
                assert_never(verdict)

    def _hold(
        self, facts: DecisionContext, room: Room, held: Ticket, place: float, asked_at: float, u: float
    ) -> Deferred:
        """It is nearly their turn: they are answered when it comes, or are asked back when it takes too long."""
        until = room.gate.park(place, asked_at)

        def ask(then: Callable[[Verdict], None]) -> Callable[[], None]:
            def answer(now: float) -> None:
                then(self._in_line(facts, room, held, now, u, max(0.0, now - asked_at)))

            number = room.parked.hold(place, asked_at, until, answer)
            return lambda: room.hung_up(place, number)

        return Deferred(ask)

    def _admit(self, facts: DecisionContext, room: Room, held: Ticket, now: float) -> Verdict:
        self._metrics.admissions.count(room.name)
        self._metrics.wait_seconds.labels(room.name).observe(max(0.0, now - held.first_seen))
        admitted = room.admit(held, now, self._bindings[room.name].binding_digest(held.id, facts.head))
        return self._replies.enter(facts, room, admitted, now, fresh=admitted)

    def _ask_for_grant(
        self, facts: DecisionContext, room: Room, held: Ticket, grants: RedemptionClient, now: float, u: float
    ) -> Deferred:
        """The gate lets them in; has another node done so with the same ticket?"""
        is_patient = room.settings.when_redis_down == "hold"
        wanted = room.pass_for(held, now, self._bindings[room.name].binding_digest(held.id, facts.head))

        def settle(outcome: Outcome) -> Verdict:
            self._metrics.redemption_checks.count(room.name, type(outcome).__name__.lower())
            if isinstance(outcome, Granted) or (isinstance(outcome, Unverified) and not is_patient):
                return self._admit(facts, room, held, now)
            room.take_back(now)
            if isinstance(outcome, AlreadyRedeemed):
                room.redeemed.learn(outcome.given)
                return self._in_line(facts, room, held, now, u)
            return self._ask(facts, room, held, None, now, u, is_alone=True)

        before = room.redeemed.get(held.id)
        return Deferred(
            lambda then: grants.ask(wanted, before, lambda outcome: then(settle(outcome)), is_patient=is_patient)
        )

    def _wait_for_grant(
        self, facts: DecisionContext, room: Room, held: Ticket, grants: RedemptionClient, now: float, u: float
    ) -> Deferred:
        """A request with the same ticket waits for the answer already: what becomes of this one follows from it."""

        def settle(_: Outcome) -> Verdict:
            return self._in_line(facts, room, held, now, u)

        return Deferred(lambda then: grants.wait(room.name, held.id, lambda outcome: then(settle(outcome))))

    def failed(self, head: RequestHead, code: int, retry_after_s: int | None = None) -> Answer:
        """The answer to a request that the upstream failed: 502 or 504."""
        page = wants_page(head.accept, head.fetch_mode)
        return self._answers.problem(code, wants_page=page, retry_after_s=retry_after_s)

    def refused(self, code: int, detail: str, *, wants_page: bool = False) -> Answer:
        """The answer to what is no request, or not one to be served: 4xx, 501 or 505."""
        return self._answers.problem(code, wants_page=wants_page, detail=detail)

    def apply(self, event: RoomEvent, now: float) -> None:
        """Let this node know what an upstream said at another node."""
        room = self.rooms.by_name.get(event.room)
        if room is None:
            return
        room.stock.hear(event, now)
        if event.tried is not None:
            room.note_tried(event.tried, now)

    def apply_move(self, name: str, ident: str, record: str) -> None:
        """Let this node know that a place was used again at another node. Raises ValueError when that is no record."""
        room = self.rooms.by_name.get(name)
        if room is not None:
            room.redeemed.moved(ident, admitted_in(record))

    def _judged(
        self, room: Room, credential: Ticket | Pass | JoinToken | Rejected | None, now: float
    ) -> Ticket | Pass | None:
        """The ticket or pass that counts now. Anything else is counted by its reason, and is a first visit."""
        if credential is None or isinstance(credential, JoinToken):
            return None
        rejected: Rejected | None
        if isinstance(credential, Rejected):
            rejected = credential
        else:
            skew_s, lifetime_s = room.skew_s, room.lifetime_s
            rejected = judge(credential, now, skew_s=skew_s, lifetime_s=lifetime_s)
            if rejected is None:
                return credential
            if rejected.reason in (Rejection.FUTURE, Rejection.EXPIRED):
                carried = self._clock_steps.carried(credential, now, skew_s)
                if carried is not None and judge(carried, now, skew_s=skew_s, lifetime_s=lifetime_s) is None:
                    return carried
        self._metrics.rejected.count(room.name, rejected.reason.value)
        return None

    def _requeued(self, room: Room, held: Pass, now: float) -> Ticket | None:
        """The place in line of somebody whose pass does not count where it is shown; None: it is used up."""
        if not room.redeemed.requeue(held, now):
            self._metrics.rejected.count(room.name, Rejection.USED.value)
            return None
        return Ticket(held.id, held.room, held.first_seen, now)

    def _is_given_to(self, used: Pass, room: Room, head: RequestHead) -> bool:
        binding = self._bindings[room.name]
        return not binding.matters(binding.differing(used, head))
