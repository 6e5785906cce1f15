"""The pipeline: the way of one request, in order.

    head -> guard -> shield -> room -> credential -> gate            admitted: Forward (stream to the upstream);
              |        |        |         |                                    Answer at the status address
              |        |        |         |                          near the front, or to be checked: Deferred
              |        |        |         |                          waiting:  Answer (an appointment)
              |        |        |         '-> a pass: Forward
              |        |        '-> no room: Forward
              '--------'-> malformed, denied, too often: Answer (a clear 4xx, never the line)

Two steps, so that what a head means can be cached while what follows from it cannot:

    classify(head) -> DecisionContext      reads no clock and no state that changes         (`classifier.py`)
    decide(context, now, u) -> Verdict     expiry, limits, stock, gate at this moment       (here, then `entry.py`)

All of it is synchronous and does no I/O and reads no clock: between reading state and changing it nothing else happens.
"""

from collections.abc import Callable, Iterable, Set
from typing import cast

from edge.decision.actions import Actions
from edge.decision.attempt import Attempt
from edge.decision.bypass import Bypass
from edge.decision.claims import Claims
from edge.decision.classifier import Classifier
from edge.decision.context import Credential, DecisionContext
from edge.decision.cookies import Cookies
from edge.decision.entry import Entry
from edge.decision.exceptions import Exceptions
from edge.decision.first_visits import FirstVisits
from edge.decision.forms import Forms
from edge.decision.forwarding import STRAIGHT_ON
from edge.decision.lanes import LaneChoice
from edge.decision.limit_responses import LimitResponses
from edge.decision.link_opening import LinkOpening
from edge.decision.no_visits import NoVisits
from edge.decision.premium import Premium
from edge.decision.responses import Responses
from edge.decision.upstream_commands import UpstreamCommands
from edge.decision.visitor_responses import VisitorResponses
from edge.decision.visits import ACTION, VISIT
from edge.messages.cluster import RoomEvent
from edge.messages.context import RequestContext
from edge.messages.decider import Decider
from edge.messages.head import RequestHead
from edge.messages.shop_response import ShopResponse
from edge.messages.verdict import Answer, Forward, Headers, Verdict
from edge.operations.metrics import Metrics
from edge.rooms.binding import Binding
from edge.rooms.clock_steps import ClockSteps
from edge.rooms.link_client import LinkClient
from edge.rooms.redeemed_tickets import reason_of
from edge.rooms.redemption import RedemptionClient, pass_of
from edge.rooms.room import Room
from edge.rooms.sale_clock import SaleClock
from edge.rooms.table import RoomTable
from edge.settings.model import CookieSettings
from edge.shield.shield import Shield
from edge.support.errors import InternalError
from waiting_room.places import TicketIds
from waiting_room.status import State, Status
from waiting_room.ticket import JoinToken, Keyring, Pass, Rejected, Rejection, Ticket, judge

__all__ = ["Pipeline"]


class Pipeline(Decider):
    """Decides on requests for one node."""

    def __init__(
        self,
        rooms: RoomTable,
        keys: Keyring,
        responses: Responses,
        metrics: Metrics,
        cookies: CookieSettings,
        entropy: Callable[[int], bytes],
        on_room_event: Callable[[RoomEvent], None],
        shield: Shield | None = None,
        clock_steps: ClockSteps | None = None,
        redemption: RedemptionClient | None = None,
        maker: int = 0,
        forms: Forms | None = None,
        revoked: Set[str] = frozenset(),
        link_client: LinkClient | None = None,
        bypass: Bypass | None = None,
    ) -> None:
        """entropy(n): n random bytes, for the ids of tickets. on_room_event: for news that other nodes need.

        shield: None if nobody is denied or limited. clock_steps: None if the clock is never set. redemption: None if
        there are no other nodes to ask. maker: of the ids of tickets (`waiting_room/places.py`). forms: None if forms
        of waiting visitors are not kept. revoked: the ids of links and batches that count no more.
        link_client: None if nobody counts how often links are opened. bypass: None if no sender may bypass the line.
        """
        self.rooms, self.shield, self.upstream_is_down = rooms, shield, False
        self._responses = responses
        self._metrics = metrics
        self._clock_steps = clock_steps
        named = Cookies(cookies)
        premium_s = None if shield is None else shield.premium_s
        premium = None if premium_s is None else Premium(keys, named, premium_s)
        bindings = {room.name: Binding(keys, room.settings.session) for room in rooms.rooms}
        waiting = VisitorResponses(responses, named, keys, forms)
        ids = TicketIds(entropy, maker)
        first_visits = FirstVisits(rooms, keys, waiting, metrics, bindings, ids, shield)
        claims, self._bypass = Claims(keys.links, named, bindings, revoked), bypass
        lanes, exceptions = LaneChoice(claims), Exceptions(claims, bypass)
        self._opening = LinkOpening(keys.links, claims, bindings, responses, metrics, link_client)
        self._classifier = Classifier(
            rooms, keys, responses, metrics, named, bindings, shield, premium, lanes, exceptions,
            keeps_forms=forms is not None,
        )  # fmt: skip
        self._limits = LimitResponses(responses, metrics, shield)
        self._entry = Entry(first_visits, waiting, metrics, bindings, redemption)
        self._commands = UpstreamCommands(
            metrics, named, entropy, on_room_event, premium, lanes if any(room.lane for room in rooms.rooms) else None
        )
        self._no_visits = NoVisits(first_visits, waiting, metrics)
        self._actions = Actions(self._entry, responses, waiting, keys, named, metrics, bindings, redemption)

    def classify(self, head: RequestHead, is_last_hop: bool = False) -> DecisionContext:
        return self._classifier.classify(head, is_last_hop)

    def classify_like(self, like: RequestContext, head: RequestHead) -> DecisionContext:
        return self._classifier.classify_like(cast(DecisionContext, like), head)

    def decide(self, context: RequestContext, now: float, u: float) -> Verdict:
        """Say what becomes of the request. now: wall clock, seconds. u: uniform in [0, 1)."""
        request = cast(DecisionContext, context)
        if request.limits or request.watched is not None:
            refusal = self._limits.refuse(request, now)
            if refusal is not None:
                return refusal
        if request.answer is not None:
            return request.answer
        room = request.room
        if room is None:
            return STRAIGHT_ON
        return self._exception(request, room, now, u) if request.is_exceptional else self._place(request, room, now, u)

    def _place(self, request: DecisionContext, room: Room, now: float, u: float) -> Verdict:
        """Decide by the visitor's place, or by their pass."""
        # Before the credential is judged: one of the parked polls may be this visitor's, on another connection.
        room.answer_older(request.place, now)
        credential = self._current(room, request.credential, now)
        if credential is None and request.next_best is not None:
            return self.decide(request.next_best, now, u)
        if request.kind != VISIT:
            if request.kind == ACTION:
                return self._actions.decide(request, room, credential, now, u)
            if not self._no_visits.counts(request, room, credential):
                return self._no_visits.decide(request, room, now, u)
        if credential is None:
            return self._entry.first_visit(request, room, now, u)
        if isinstance(credential, Ticket):
            given = credential if request.has_duplicates else None
            return self._entry.in_line(Attempt(request, room, credential, given, now, u))
        if request.is_mismatch or (room.redeemed.has_superseded and room.redeemed.is_superseded(credential)):
            return self._entry.requeue(request, room, credential, now, u)
        return self._entry.inside(request, room, credential, now)

    def _exception(self, request: DecisionContext, room: Room, now: float, u: float) -> Verdict:
        """Decide on an exception: it opens a link, may need no place, or has a lane claim that may have expired."""
        if request.link is not None:
            kind, token = request.link
            return self._opening.open(request, room, kind, token, now)
        if request.claim_until and now >= request.claim_until:
            request = self._classifier.unclaimed(request, now)
            room = request.room or room
        if not request.is_status_request:
            if request.staff is not None and now < request.staff.expires:
                return self._opening.let_in(room, request.staff, now)
            if request.bypass and self._bypass is not None:
                return self._bypass.verdict(
                    room, request.head, request.bypass, now, lambda: self._place(request, room, now, u)
                )
        return self._place(request, room, now, u)

    def admission(self, context: RequestContext, forward: Forward) -> Answer:
        """Return the status document that tells an admitted visitor so, with their pass, in place of `forward`."""
        request = cast(DecisionContext, context)
        room, visitor_pass = request.room, forward.visitor_pass
        if room is None or visitor_pass is None:
            raise InternalError("only a visitor of a room is admitted")
        status = Status(State.ADMITTED, room.name, first_seen=visitor_pass.first_seen, stock=room.stock.free)
        cookies = tuple([field for field in forward.response_headers if field[0] == "Set-Cookie"])
        return self._responses.document(status, 200, cookies)

    def _current(self, room: Room, credential: Credential | Rejected | None, now: float) -> Ticket | Pass | None:
        """Return the ticket or pass that counts now. Anything else is counted by its reason, and is a first visit."""
        if credential is None or isinstance(credential, JoinToken):
            return None
        judged = credential if isinstance(credential, Rejected) else self._judged(room, credential, now)
        if isinstance(judged, Rejected):
            self._metrics.rejected.count(room.name, judged.reason.value)
            return None
        return judged

    def _judged(self, room: Room, credential: Ticket | Pass, now: float) -> Ticket | Pass | Rejected:
        """Return the ticket or pass if it counts now, perhaps carried over a step of the clock, or why it does not."""
        skew_s, lifetime_s = room.skew_s, room.lifetime_s
        rejected = judge(credential, now, skew_s=skew_s, lifetime_s=lifetime_s)
        if rejected is None:
            if room.sale is not None and isinstance(credential, Ticket):
                return self._of_this_sale(room.sale, credential)
            return credential
        if isinstance(credential, Pass) and credential.is_offered and rejected.reason is Rejection.EXPIRED:
            # It was missed, so what counts is the place.
            ticket = Ticket(credential.id, credential.room, credential.first_seen, credential.admitted_at)
            still = judge(ticket, now, skew_s=skew_s, lifetime_s=lifetime_s) or ticket
            if room.sale is not None and isinstance(still, Ticket):
                still = self._of_this_sale(room.sale, still)
            return credential if isinstance(still, Ticket) else still
        if self._clock_steps is not None and rejected.reason in (Rejection.FUTURE, Rejection.EXPIRED):
            carried = self._clock_steps.carried(credential, now, skew_s)
            if carried is not None and judge(carried, now, skew_s=skew_s, lifetime_s=lifetime_s) is None:
                return carried
        return rejected

    def _of_this_sale(self, sale: SaleClock, ticket: Ticket) -> Ticket | Rejected:
        """Return the ticket unless it is one of an earlier sale."""
        return Rejected(Rejection.EXPIRED) if ticket.first_seen < sale.counts_from else ticket

    def check(self, context: RequestContext, now: float) -> Forward | None:
        """Return the verdict if nobody has to wait: no room covers the request, or its pass counts. Otherwise None.

        It asks no gate and gives no place in line, so a load balancer may check a request first and ask for the whole
        decision if the check fails. Only a request that passes is counted for limits.
        """
        request = cast(DecisionContext, context)
        room, shown = request.room, request.credential
        if request.answer is not None:
            return None
        forward = STRAIGHT_ON
        if room is not None:
            if request.link is not None or not isinstance(shown, Pass):
                return None
            if request.is_mismatch or room.redeemed.is_superseded(shown):
                return None
            judged = self._judged(room, shown, now)
            if not isinstance(judged, Pass):
                return None
            entered = self._entry.inside(request, room, judged, now)
            if not isinstance(entered, Forward):
                return None
            forward = entered
        is_limited = bool(request.limits) or request.watched is not None
        return None if is_limited and self._limits.refuse(request, now) is not None else forward

    def failed(self, head: RequestHead, code: int, retry_after_s: int | None = None, *, is_sent: bool = True) -> Answer:
        return self._responses.failed(head, code, retry_after_s, is_sent=is_sent)

    def refused(self, code: int, detail: str, *, wants_page: bool = False) -> Answer:
        """Return the response to a request that cannot be served: 4xx, 501 or 505."""
        return self._responses.problem(code, wants_page=wants_page, detail=detail)

    def observe(
        self, context: RequestContext, forward: Forward, headers: Iterable[tuple[str, str]], now: float
    ) -> Headers:
        return self._commands.apply(cast(DecisionContext, context), forward, headers, now)

    def set_upstream_down(self, is_down: bool, now: float) -> None:
        self.upstream_is_down = is_down
        for room in self.rooms.rooms:
            room.set_upstream_down(is_down, now)

    def apply(self, event: RoomEvent, now: float) -> None:
        """Take in what an upstream stated at another node."""
        room = self.rooms.by_name.get(event.room)
        if room is None:
            return
        room.learn_stock(event, now)
        if event.tried is not None:
            room.vacancies.note_tried(event.tried, now)
        if event.ended is not None:
            room.redeemed.end_everywhere(event.ended, now)

    def report(self, shop: ShopResponse, now: float) -> bool:
        """Take in a response of the shop that did not pass the edge. Return whether its room exists."""
        return self._commands.report(self.rooms.by_name.get(shop.room), shop, now)

    def supersede(self, room_name: str, ticket_id: str, record: str) -> None:
        """Take note that another node redeemed a ticket again, or that its visitor gave it up.

        Raises ValueError if `record` is not a record."""
        room = self.rooms.by_name.get(room_name)
        if room is None:
            return
        known = pass_of(record, room_name, ticket_id)
        if reason_of(known):
            for each in room.family:
                each.give_up(known)
        else:
            room.redeemed.supersede(ticket_id, known.admitted_at)

    def answer_parked(self, now: float) -> None:
        """Answer every parked poll, because another pipeline replaces this one."""
        self._entry.is_replaced = True
        for room in self.rooms.rooms:
            room.answer_all(now)
