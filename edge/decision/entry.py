"""Entry: the way of an attempt from a place in line to a verdict.

    in_line -> redeemed before?  -> the same pass                                       : Forward
            -> absent too long?  -> renewed, perhaps at a later place
            -> ask the room      -> Wait                                                : Answer, with an appointment
                                 -> Park  -> parked at the door                         : Deferred, then in_line again
                                 -> Admit -> redemption check, if nodes are many        : Deferred, then
                                              Granted                          -> admit : Forward
                                              Unverified, the room admits then -> admit : Forward
                                              Unverified, the room holds then  -> ask the room again, admit nobody
                                              AlreadyRedeemed                  -> in_line again
                                          -> admit                                      : Forward

A request for the status address gets an `Answer` where the drawing says `Forward`.

If a poll was parked, or its ticket was redeemed elsewhere, it goes through `in_line` once more with a new `Attempt`:
another request of the same visitor may have redeemed the ticket meanwhile. So does a poll that waited for the check of
another request.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from typing import Final, assert_never

from controller import Admit, Park, Wait
from edge.decision.admissions import Admissions
from edge.decision.attempt import Attempt
from edge.decision.context import DecisionContext
from edge.decision.first_visits import FirstVisits
from edge.decision.turns import Turns
from edge.decision.visitor_responses import VisitorResponses
from edge.decision.visits import VISIT, says_robot
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Deferred, Forward, TakeForm, Verdict
from edge.operations.metrics import Metrics
from edge.record.events import ARRIVED
from edge.rooms.binding import Binding
from edge.rooms.redeemed_tickets import REDEEM_AGAIN_S, reason_of
from edge.rooms.redemption import AlreadyRedeemed, CheckOutcome, Granted, RedemptionClient, Unverified
from edge.rooms.room import Room
from waiting_room.ticket import Pass, Rejection, Ticket

__all__ = ["Entry"]

#: The labels of `stanchion_redemption_checks_total`.
_LABELS: Final = {Granted: "granted", AlreadyRedeemed: "already_redeemed", Unverified: "unverified"}


class Entry:
    """One node's. bindings: by room. redemption: None if there are no other nodes to ask."""

    def __init__(
        self,
        first_visits: FirstVisits,
        responses: VisitorResponses,
        metrics: Metrics,
        bindings: Mapping[str, Binding],
        redemption: RedemptionClient | None,
    ) -> None:
        self._first_visits = first_visits
        self._responses = responses
        self._metrics = metrics
        self._bindings = bindings
        self._redemption = redemption
        self.is_replaced = False
        """Another one has taken over: parked visitors are asked back at once, so that the new one parks them."""
        self._admissions = Admissions(responses, metrics)
        self._turns = Turns(responses, self._admissions, metrics)

    def first_visit(self, context: DecisionContext, room: Room, now: float, u: float) -> Verdict:
        """Decide on the request of a visitor without a place."""
        ticket = self._first_visits.sibling(context, room, now)
        if ticket is not None:
            return self.in_line(Attempt(context, room, ticket, ticket, now, u))
        joined = self._first_visits.join(context, room, now, u)
        if isinstance(joined, Answer):
            return joined
        if room.recorder is not None:
            room.recorder.note(ARRIVED, joined.place, now, room.lane)
        return self._ask(joined, is_barred=not joined.is_new and self._is_barred(joined))

    def inside(self, context: DecisionContext, room: Room, shown: Pass, now: float) -> Forward | Answer | TakeForm:
        """Decide on the request of an admitted visitor. Their pass counts."""
        if shown.is_offered:
            return self._turns.show(context, room, shown, now)
        fresh = room.renew(shown, now) if shown is context.credential else shown
        is_first = shown.is_unshown
        if is_first:
            shown = fresh = room.confirm(fresh or shown, now)
        elif context.has_duplicates and fresh is None:
            fresh = shown
        if context.kind != VISIT:
            fresh = None  # only a visit sets a cookie
        return self._admissions.enter(context, room, shown, now, fresh=fresh, is_first=is_first)

    def requeue(self, context: DecisionContext, room: Room, shown: Pass, now: float, u: float) -> Verdict:
        """Decide on the request of a visitor with a pass that does not count here. They are requeued at their
        old place, or are a first visitor if the upstream ended their session."""
        if not room.redeemed.requeue(shown, now):
            self._metrics.rejected.count(room.name, Rejection.USED.value)
            return self.first_visit(context, room, now, u)
        ticket = Ticket(shown.id, shown.room, shown.first_seen, now, lane=room.lane)
        attempt = Attempt(context, room, ticket, ticket, now, u)
        return self._ask(attempt, is_barred=self._is_barred(attempt))

    def present(self, context: DecisionContext, room: Room, credential: Ticket | Pass, now: float, u: float) -> Verdict:
        """Decide on the request by which a visitor says that they are there."""
        if isinstance(credential, Ticket):
            return self.in_line(Attempt(context, room, credential, credential, now, u, is_present=True))
        redeemed = room.redeemed
        if context.is_mismatch or (redeemed.has_superseded and redeemed.is_superseded(credential)):
            return self.requeue(context, room, credential, now, u)
        if not credential.is_offered:
            return self.inside(context, room, credential, now)
        if now < room.turn_ends(credential):
            return self._turns.take(context, room, credential, now)
        if not redeemed.requeue(credential, now):
            return self.first_visit(context, room, now, u)
        ticket = Ticket(credential.id, credential.room, credential.first_seen, now, lane=room.lane)
        return self._ask(Attempt(context, room, ticket, ticket, now, u, is_present=True), is_barred=False)

    def in_line(self, attempt: Attempt) -> Verdict:
        """Decide on an attempt of a visitor with a place. Its ticket may be redeemed, or left alone for too long."""
        room, ticket, now = attempt.room, attempt.ticket, attempt.now
        visitor_pass, is_barred = room.redeemed.get(ticket.id), False
        if visitor_pass is not None:
            context, is_barred = attempt.context, now < visitor_pass.admitted_at + REDEEM_AGAIN_S
            if room.has_turn(visitor_pass) and self._is_given_to(visitor_pass, room, context.head):
                return self._offered(attempt, visitor_pass)
            if room.redeemed.is_over(visitor_pass, now):
                reason = reason_of(visitor_pass)
                if reason:
                    return self._responses.given_up(attempt, reason)
                self._metrics.rejected.count(room.name, Rejection.USED.value)
                return self.first_visit(context, room, now, attempt.u)
            if now < visitor_pass.expires and self._is_given_to(visitor_pass, room, context.head):
                taken = replace(visitor_pass, is_offered=False)
                return self._responses.enter(context, room, taken, now, fresh=taken)
        if attempt.parked_s is None and ticket.needs_renewal(now):
            attempt = attempt.renewed()
            if attempt.ticket.first_seen > ticket.first_seen:
                self._metrics.tickets_requeued.count(room.name)
        return self._ask(attempt, is_barred=is_barred)

    def _offered(self, attempt: Attempt, offered: Pass) -> Verdict:
        """Decide on an attempt with a ticket that was redeemed for a turn: not taken yet, or missed."""
        room, now, offered = attempt.room, attempt.now, replace(offered, lane=attempt.room.lane)
        if now >= room.turn_ends(offered):
            return self._ask(attempt, is_barred=False)
        if attempt.is_present:
            return self._turns.take(attempt.context, room, offered, now)
        return self._turns.show(attempt.context, room, offered, now, is_given=True)

    def _is_barred(self, attempt: Attempt) -> bool:
        """Return whether the ticket was redeemed so lately that it is not redeemed again yet."""
        visitor_pass = attempt.room.redeemed.get(attempt.ticket.id)
        return visitor_pass is not None and attempt.now < visitor_pass.admitted_at + REDEEM_AGAIN_S

    def _ask(self, attempt: Attempt, *, is_barred: bool) -> Verdict:
        """Ask the room. is_barred: the visitor is not admitted now whatever the gate says."""
        room, now, redemption = attempt.room, attempt.now, self._redemption
        if redemption is not None and redemption.is_open(room.name, attempt.ticket.id):
            return self._wait_for_check(attempt, redemption)
        parked_s = attempt.parked_s
        recorder = room.recorder
        if parked_s is None:
            self._metrics.polls.count_one(room.name)
            if recorder is not None:
                recorder.polled.append(attempt.place)
        if room.mode.is_unusual:
            return self._by_mode(attempt)
        if room.stock.is_sold_out:
            return self._responses.sold_out(attempt)
        verdict: Admit | Wait | Park
        if parked_s is None:
            may_park = attempt.given is None
            is_page = not attempt.context.is_status_request
            verdict = room.poll(attempt.place, now, attempt.u, is_shut=is_barred, may_park=may_park, is_page=is_page)
        else:
            verdict = room.settle(attempt.place, now, attempt.u, parked_s, is_shut=is_barred)
        match verdict:
            case Wait():
                if recorder is not None:
                    recorder.tell(attempt.place, now, verdict.eta_p50_s)
                return self._responses.wait(attempt, verdict)
            case Park():
                return self._park(attempt, verdict)
            case Admit():
                if redemption is None or attempt.is_new:
                    return self._admit(attempt)
                return self._check(attempt, redemption)
            case _:
                assert_never(verdict)

    def _by_mode(self, attempt: Attempt) -> Verdict:
        """Decide in a room that is closed, or in which nobody waits because it only counts visitors (shadow)."""
        room, now = attempt.room, attempt.now
        if room.shadow is not None:
            self._metrics.shadow_wait_seconds.labels(room.name).observe(room.pass_in_shadow(now))
            return self._admit(attempt)
        if room.stock.is_sold_out:
            return self._responses.sold_out(attempt)
        if attempt.parked_s is None:
            verdict = room.poll(attempt.place, now, attempt.u, is_shut=True)
        else:
            verdict = room.settle(attempt.place, now, attempt.u, attempt.parked_s, is_shut=True)
        after_s = verdict.poll_after_s if isinstance(verdict, Wait) else room.settings.polling.max_seconds
        return self._responses.closed(attempt, after_s)

    def _park(self, attempt: Attempt, park: Park) -> Deferred:
        """Park the poll at the door: it is answered when the visitor is admitted, or when its time is over."""
        room, place = attempt.room, attempt.place
        numbers: list[int] = []

        def ask(then: Callable[[Verdict], None]) -> Callable[[], None]:
            def answer(now: float) -> None:
                parked_s = inf if self.is_replaced else max(0.0, now - attempt.now)
                then(self.in_line(attempt.after_parking(now, parked_s)))

            number = room.park(place, park, answer)
            numbers.append(number)
            return lambda: room.hang_up(place, number)

        def hasten(now: float) -> None:
            for number in numbers:
                room.answer_one(number, now)

        return Deferred(ask, hasten)

    def _admit(self, attempt: Attempt) -> Forward | Answer | TakeForm:
        context, room, ticket, now = attempt.context, attempt.room, attempt.ticket, attempt.now
        head = context.head
        digest = self._bindings[room.name].binding_digest(ticket.id, head)
        if self._is_asked(attempt):
            offered = room.admit(ticket, now, digest, is_offered=True)
            self._metrics.turns.count(room.name, "offered")
            return self._turns.show(context, room, offered, now, is_given=True)
        if attempt.is_present:
            self._metrics.turns.count(room.name, "late")
        given = room.admit(ticket, now, digest, is_robot=says_robot(head.user_agent))
        return self._admissions.admit(context, room, given, attempt.place, now)

    def _is_asked(self, attempt: Attempt) -> bool:
        """Return whether the visitor must say that they are there. A new visitor, or one that says so, need not."""
        room = attempt.room
        return room.presence_s is not None and room.shadow is None and not (attempt.is_new or attempt.is_present)

    def _check(self, attempt: Attempt, redemption: RedemptionClient) -> Deferred:
        """The gate admits the visitor: ask whether another node has redeemed the same ticket."""
        room, ticket, now = attempt.room, attempt.ticket, attempt.now
        holds_if_unverified = room.settings.when_redis_down == "hold"
        digest = self._bindings[room.name].binding_digest(ticket.id, attempt.context.head)
        wanted = room.pass_for(ticket, now, digest, is_offered=self._is_asked(attempt))
        before = room.redeemed.get(ticket.id)

        def settle(outcome: CheckOutcome) -> Verdict:
            self._metrics.redemption_checks.count(room.name, _LABELS[type(outcome)])
            if isinstance(outcome, Granted) or (isinstance(outcome, Unverified) and not holds_if_unverified):
                return self._admit(attempt)
            room.take_back(now)
            if isinstance(outcome, AlreadyRedeemed):
                room.redeemed.learn(outcome.given)
                return self.in_line(attempt.again())
            return self._ask(attempt.again(), is_barred=True)

        return Deferred(
            lambda then: redemption.ask(
                wanted, before, lambda outcome: then(settle(outcome)), holds_if_unverified=holds_if_unverified
            )
        )

    def _wait_for_check(self, attempt: Attempt, redemption: RedemptionClient) -> Deferred:
        """Another request with the same ticket waits for a check: what becomes of this one follows from its outcome."""
        room, ticket_id = attempt.room.name, attempt.ticket.id

        def settle(_: CheckOutcome) -> Verdict:
            return self.in_line(attempt.again())

        return Deferred(lambda then: redemption.wait(room, ticket_id, lambda outcome: then(settle(outcome))))

    def _is_given_to(self, visitor_pass: Pass, room: Room, head: RequestHead) -> bool:
        binding = self._bindings[room.name]
        return not binding.is_mismatch(binding.differing(visitor_pass, head))
