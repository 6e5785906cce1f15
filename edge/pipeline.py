"""The way of one request, in one place: what is decided, in which order, and nothing else.

    head -> guard -> room -> ticket -> gate                              admitted: Forward (stream to the upstream)
              |        |       |         |                               or: Asking (has another node let them in?)
              |        |       |         '-> page or status              waiting:  Answer ('come back in 4.2 s')
              |        |       '-> a pass: Forward
              |        '-> no room: Forward
              '-> malformed, kept out, too often: Answer (a clear 4xx, never the line)

Two steps, so that what a head says can be remembered while what follows from it cannot:

    recognise(head) -> Facts       reads no clock and no state that changes: the room, what the cookie says
                                   (`recognition.py`)
    decide(facts, now, draw)       judges the facts at this moment: expiry, stock, gate

All of it is sync and does no I/O: between reading the state and changing it nothing else can happen.
"""

from collections.abc import Callable
from typing import assert_never

from controller import Admit, Closed, Wait
from edge.abuse.premium import Premium
from edge.abuse.refusals import Refusals
from edge.abuse.shield import Shield
from edge.answers import Answers
from edge.binding import Binding
from edge.clock_steps import ClockSteps
from edge.cluster.grants import Alone, Granted, Grants, Outcome, Used, admitted_in
from edge.commands import Commands
from edge.cookies import Cookies
from edge.facts import Facts
from edge.head import RequestHead
from edge.joining import Joining
from edge.metrics import Metrics
from edge.negotiation import wants_page
from edge.recognition import Recognition
from edge.replies import Replies
from edge.room import Room, place_of
from edge.rooms import RoomTable
from edge.settings import CookieSettings
from edge.stock import RoomEvent
from edge.telling import sold_out, waiting
from edge.uses import MOVE_S
from edge.verdict import Answer, Asking, Forward, Verdict
from waiting_room.status import State, Status
from waiting_room.ticket import (
    ID_BYTES,
    Keyring,
    Pass,
    Rejected,
    Rejection,
    Slip,
    Ticket,
    judge,
    new_slip,
    new_ticket,
)

__all__ = ["Pipeline"]

#: No room covers the path.
STRAIGHT_ON = Forward(None, (), ())


class Pipeline:
    """Decides on requests for one node. entropy(n) gives n random bytes, for the ids of tickets."""

    def __init__(
        self,
        rooms: RoomTable,
        keys: Keyring,
        answers: Answers,
        metrics: Metrics,
        cookies: CookieSettings,
        entropy: Callable[[int], bytes],
        on_room_event: Callable[[RoomEvent], None],
        shield: Shield | None = None,
        clock_steps: ClockSteps | None = None,
        grants: Grants | None = None,
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
        self._refusals = Refusals(answers, metrics)
        self._joining = {
            room.name: Joining(room.name, room.settings.join, keys.challenge_keys)
            for room in rooms.rooms
            if room.settings.join.proof != "none"
        }
        named = Cookies(cookies)
        premium_s = None if shield is None else shield.premium_s
        premium = None if premium_s is None else Premium(keys, named, premium_s)
        self._replies = Replies(answers, named, keys)
        self._bindings = {room.name: Binding(keys, room.settings.session) for room in rooms.rooms}
        self._recognition = Recognition(rooms, keys, answers, metrics, named, self._bindings, shield, premium)
        # Held as they are, so that no call is spent on passing them on.
        self.recognise = self._recognition.recognise
        self.recognise_again = self._recognition.recognise_again
        self.observe = Commands(metrics, named, entropy, on_room_event, premium).heed

    def decide(self, facts: Facts, now: float, draw: float) -> Verdict:
        """What becomes of the request. now: wall clock, seconds. draw: uniform in [0, 1)."""
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
        if room.held.is_pressing:  # first, for one of them may be this very visitor's
            room.call_held(now, facts.place)
        held = self._judged(room, facts.credential, now)
        if isinstance(held, Pass):
            if not facts.is_elsewhere and not (room.uses.has_moves and room.uses.supersedes(held)):
                fresh = room.renew(held, now) if held is facts.credential else held
                return self._replies.enter(facts, room, held, now, fresh=fresh)
            returned = self._displaced(room, held, now)
            if returned is None:
                return self._newcomer(facts, room, now, draw)
            return self._ask(facts, room, returned, returned, now, draw)
        return self._newcomer(facts, room, now, draw) if held is None else self._in_line(facts, room, held, now, draw)

    def release_held(self, now: float) -> None:
        """Give all answers that are held: another pipeline takes the place of this one."""
        for room in self.rooms.rooms:
            room.held.release(now)

    def _in_line(
        self, facts: Facts, room: Room, held: Ticket, now: float, draw: float, held_s: float | None = None
    ) -> Verdict:
        """Somebody with a place, which may have been used, or left alone for too long. held_s: for how long their
        answer was held, when this is it."""
        if (used := room.uses.get(held.id)) is not None:
            if room.uses.is_over(used, now):
                self._metrics.rejected.count(room.name, Rejection.USED.value)
                return self._newcomer(facts, room, now, draw)
            if now < used.expires and self._is_given_to(used, room, facts.head):
                return self._replies.enter(facts, room, used, now, fresh=used)
        if held_s is not None or not held.needs_renewal(now):
            return self._ask(facts, room, held, None, now, draw, held_s=held_s)
        renewed = held.renewed(now, room.away_s)
        if renewed.first_seen > held.first_seen:
            self._metrics.moved_back.count(room.name)
        return self._ask(facts, room, renewed, renewed, now, draw)

    def _newcomer(self, facts: Facts, room: Room, now: float, draw: float) -> Verdict:
        """Somebody without a place: they get one, or are to show some work first."""
        joining = self._joining.get(room.name)
        if joining is not None and not room.shelf.is_over:
            points = 0 if self.shield is None else self.shield.points(facts.watched)
            if joining.settings.proof == "all" or (self.shield is not None and points >= self.shield.suspect_at):
                return self._join(facts, room, joining, points, now, draw)
        ticket = new_ticket(room.name, now, self._entropy(ID_BYTES))
        return self._ask(facts, room, ticket, ticket, now, draw, is_new=True)

    def _join(self, facts: Facts, room: Room, joining: Joining, points: int, now: float, draw: float) -> Verdict:
        """Whoever has solved their challenge, or waited, gets a place."""
        known = facts.credential
        slip = known if isinstance(known, Slip) and joining.is_current(known, now) else None
        network = self._bindings[room.name].network(facts.head)
        if slip is not None:
            ticket, how = joining.ticket(slip, facts.solution, network, now)
            if how:
                self._metrics.joins.count(room.name, how)
            if ticket is not None:
                return self._ask(facts, room, ticket, ticket, now, draw)
        made = slip or new_slip(room.name, now, self._entropy(ID_BYTES))
        status = Status(
            State.JOINING,
            room.name,
            poll_after_s=max(1.0, made.arrived + joining.settings.without_seconds - now),
            message=room.settings.page.message,
            challenge=joining.challenge(made, network, now, points),
        )
        cookie = self._replies.cookie(facts, room, made, joining.slip_s) if slip is None else ()
        return self._replies.told(facts, room, status, cookie, now, lost=slip is None)

    def _ask(
        self,
        facts: Facts,
        room: Room,
        held: Ticket,
        given: Ticket | None,
        now: float,
        draw: float,
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
            return self._wait_for_grant(facts, room, held, grants, now, draw)
        if held_s is None:
            self._metrics.polls.count_one(room.name)
        if room.shelf.is_sold_out:
            return self._replies.keep_waiting(facts, room, sold_out(room, held), held, given, now)
        used = room.uses.get(held.id)
        is_barred = is_alone or (used is not None and now < used.admitted_at + MOVE_S)
        is_shut = is_barred or bool(room.missing) or (self.upstream_is_down and room.holds_when_down)
        place = facts.place if held is facts.credential else place_of(held)
        verdict = room.ask(place, now, draw, shut=is_shut, held_s=held_s)
        match verdict:
            case Wait():
                if given is None:
                    if (
                        held_s is None
                        and room.gate.holds(place, verdict, not facts.is_poll)
                        and not (is_shut or room.shelf.is_paused or room.held.is_full)
                    ):
                        return self._hold(facts, room, held, place, now, draw)
                    if facts.is_poll and not self._replies.is_written_down(room, verdict):
                        return self._replies.wait_on(facts, room, verdict, held)
                return self._replies.keep_waiting(facts, room, waiting(room, held, verdict), held, given, now)
            case Admit():
                if grants is None or is_new:
                    return self._admit(facts, room, held, now)
                return self._ask_for_grant(facts, room, held, grants, now, draw)
            case Closed():
                status = Status(State.CLOSED, room.name, first_seen=held.first_seen, message=verdict.reason)
                return self._replies.keep_waiting(facts, room, status, held, given, now)
            case _:
                assert_never(verdict)

    def _hold(self, facts: Facts, room: Room, held: Ticket, place: float, asked_at: float, draw: float) -> Asking:
        """It is nearly their turn: they are answered when it comes, or are asked back when it takes too long."""
        until = room.gate.hold(place, asked_at)

        def ask(then: Callable[[Verdict], None]) -> Callable[[], None]:
            def answer(now: float) -> None:
                then(self._in_line(facts, room, held, now, draw, max(0.0, now - asked_at)))

            number = room.held.hold(place, asked_at, until, answer)
            return lambda: room.hung_up(place, number)

        return Asking(ask)

    def _admit(self, facts: Facts, room: Room, held: Ticket, now: float) -> Verdict:
        self._metrics.admissions.count(room.name)
        self._metrics.wait_seconds.labels(room.name).observe(max(0.0, now - held.first_seen))
        admitted = room.admit(held, now, self._bindings[room.name].marks(held.id, facts.head))
        return self._replies.enter(facts, room, admitted, now, fresh=admitted)

    def _ask_for_grant(self, facts: Facts, room: Room, held: Ticket, grants: Grants, now: float, draw: float) -> Asking:
        """The gate lets them in; has another node done so with the same ticket?"""
        is_patient = room.settings.when_redis_down == "hold"
        wanted = room.pass_for(held, now, self._bindings[room.name].marks(held.id, facts.head))

        def settle(outcome: Outcome) -> Verdict:
            self._metrics.grants.count(room.name, type(outcome).__name__.lower())
            if isinstance(outcome, Granted) or (isinstance(outcome, Alone) and not is_patient):
                return self._admit(facts, room, held, now)
            room.take_back(now)
            if isinstance(outcome, Used):
                room.uses.learn(outcome.given)
                return self._in_line(facts, room, held, now, draw)
            return self._ask(facts, room, held, None, now, draw, is_alone=True)

        before = room.uses.get(held.id)
        return Asking(
            lambda then: grants.ask(wanted, before, lambda outcome: then(settle(outcome)), is_patient=is_patient)
        )

    def _wait_for_grant(
        self, facts: Facts, room: Room, held: Ticket, grants: Grants, now: float, draw: float
    ) -> Asking:
        """A request with the same ticket waits for the answer already: what becomes of this one follows from it."""

        def settle(_: Outcome) -> Verdict:
            return self._in_line(facts, room, held, now, draw)

        return Asking(lambda then: grants.wait(room.name, held.id, lambda outcome: then(settle(outcome))))

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
        room.shelf.hear(event, now)
        if event.tried is not None:
            room.note_tried(event.tried, now)

    def apply_move(self, name: str, ident: str, record: str) -> None:
        """Let this node know that a place was used again at another node. Raises ValueError when that is no record."""
        room = self.rooms.by_name.get(name)
        if room is not None:
            room.uses.moved(ident, admitted_in(record))

    def _judged(
        self, room: Room, credential: Ticket | Pass | Slip | Rejected | None, now: float
    ) -> Ticket | Pass | None:
        """The ticket or pass that counts now. Anything else is counted by its reason, and is a first visit."""
        if credential is None or isinstance(credential, Slip):
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

    def _displaced(self, room: Room, held: Pass, now: float) -> Ticket | None:
        """The place in line of somebody whose pass does not count where it is shown; None: it is used up."""
        if not room.uses.displace(held, now):
            self._metrics.rejected.count(room.name, Rejection.USED.value)
            return None
        return Ticket(held.id, held.room, held.first_seen, now)

    def _is_given_to(self, used: Pass, room: Room, head: RequestHead) -> bool:
        binding = self._bindings[room.name]
        return not binding.matters(binding.differing(used, head))
