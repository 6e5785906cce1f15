"""What a request's head says, whenever it comes: the first of the pipeline's two steps.

    head -> malformed, kept out -> an answer, always the same
         -> one of the edge's own paths -> its room, or an answer
         -> room -> its cookie -> DecisionContext: the ticket or pass, what to count it for, what to watch

It reads no clock and no state that changes, so what it says may be remembered with the head's bytes
(`plane/recognise.py` does so) for as long as rooms and keys stay as they are. Whether a ticket still holds, whether the
room is open: that is for `Pipeline.decide`.
"""

import logging
from collections.abc import Mapping

from edge.decision.context import DecisionContext
from edge.decision.cookies import Cookies
from edge.decision.guard import fault_in
from edge.decision.negotiation import wants_page
from edge.decision.premium import Premium
from edge.decision.responses import Responses
from edge.decision.waiting_status import room_named, solution_in
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer
from edge.operations.logs import facts as told_of
from edge.operations.metrics import Metrics
from edge.rooms.binding import Binding
from edge.rooms.room import Room, place_of
from edge.rooms.table import RoomTable
from edge.shield.shield import Shield, Watched
from waiting_room.assets import STATIC_PATH
from waiting_room.page import STATUS_PATH
from waiting_room.ticket import JoinToken, Keyring, Pass, Rejected, Rejection, Ticket

__all__ = ["Classifier"]

log = logging.getLogger("edge.passes")

#: Paths of the edge's own; they exist on every host and never reach the upstream.
OWN_PATHS = "/_stanchion/"
#: To OPTIONS that asks to be passed on no further.
_LAST_HOP = Answer(
    200,
    (("Allow", "GET, HEAD, OPTIONS"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")),
    b"",
    "static",
)


class Classifier:
    """One node's. shield: None when nobody is kept out or limited. premium: None when nobody is."""

    def __init__(
        self,
        rooms: RoomTable,
        keys: Keyring,
        answers: Responses,
        metrics: Metrics,
        cookies: Cookies,
        bindings: Mapping[str, Binding],
        shield: Shield | None,
        premium: Premium | None,
    ) -> None:
        """bindings: by the room's name."""
        self._rooms = rooms
        self._keys = keys
        self._answers = answers
        self._metrics = metrics
        self._cookies = cookies
        self._bindings = bindings
        self._shield = shield
        self._premium = premium

    def classify(self, head: RequestHead, is_last_hop: bool = False) -> DecisionContext:
        """Say what this head means. is_last_hop: the client asks for it to be passed on no further."""
        context = self._classified(head)
        if is_last_hop and context.answer is None:
            context.answer = _LAST_HOP
        return context

    def _classified(self, head: RequestHead) -> DecisionContext:
        page = wants_page(head.accept, head.fetch_mode)
        fault = fault_in(head)
        if fault:
            return DecisionContext(
                head, answer=self._answers.problem(fault.status, wants_page=page, detail=fault.detail)
            )
        if self._shield is None:
            return self._classify(head, page)
        if self._shield.refuses(head):
            self._metrics.shielded.count("denied")
            return DecisionContext(head, answer=self._answers.problem(403, wants_page=page))
        return self.guard(self._classify(head, page), self._shield)

    def classify_like(self, facts: DecisionContext, head: RequestHead) -> DecisionContext:
        """The same for a head that differs from the one of `facts` in its cookies and its sender's address only."""
        shield = self._shield
        if shield is not None and (facts.answer is not None or shield.refuses(head)):
            return self._classified(head)  # it looks at the sender: one may be refused where another is not
        fresh = DecisionContext(
            head, facts.answer, facts.room, None, facts.wants_page, facts.is_poll, solution=facts.solution
        )
        if facts.room is not None:
            self._with_credential(fresh, facts.room)
        return fresh if shield is None else self.guard(fresh, shield, like=facts.watched)

    def guard(
        self, facts: DecisionContext, shield: Shield, now: float = 0.0, like: Watched | None = None
    ) -> DecisionContext:
        """Note what each request with this head counts for, and what to watch. now: later than what is over.

        like: what there is to watch in a head that differs in its cookies and its sender only.
        """
        held, head, is_room = facts.credential, facts.head, facts.room is not None
        ident = held.id if isinstance(held, (Ticket, Pass, JoinToken)) else None
        claim = None if self._premium is None else self._premium.read(head)
        if claim is not None and now < claim.expires:
            facts.premium_until = claim.expires
            facts.limits = shield.limits(head, ident, is_room=is_room, claim=claim.id)
        else:
            facts.premium_until = 0.0
            facts.limits = shield.limits(head, ident, is_room=is_room)
        if is_room:
            facts.watched = shield.watched(head, ident, like)
        return facts

    def _classify(self, head: RequestHead, page: bool) -> DecisionContext:
        if head.target.startswith(OWN_PATHS):
            return self._classify_own(head)
        room = self._rooms.match(head.method, head.host, head.target)
        if room is None:
            return DecisionContext(head, wants_page=page)
        return self._with_credential(DecisionContext(head, room=room, wants_page=page), room)

    def _classify_own(self, head: RequestHead) -> DecisionContext:
        path, _, query = head.target.partition("?")
        if head.method not in ("GET", "HEAD"):
            return DecisionContext(head, answer=self._answers.problem(405, wants_page=False))
        if path.startswith(STATIC_PATH):
            return DecisionContext(head, answer=self._answers.static(path.removeprefix(STATIC_PATH), head))
        if path != STATUS_PATH:
            return DecisionContext(head, answer=self._answers.problem(404, wants_page=False))
        solution = solution_in(query)
        name = room_named(query.partition("&altcha=")[0])
        room = self._rooms.by_name.get(name)
        if room is None:
            detail = f"there is no room named {name!r}" if name else "name the room: /_stanchion/status?room=NAME"
            return DecisionContext(head, answer=self._answers.problem(404, wants_page=False, detail=detail))
        return self._with_credential(DecisionContext(head, room=room, is_poll=True, solution=solution), room)

    def _with_credential(self, facts: DecisionContext, room: Room) -> DecisionContext:
        """Read the room's cookie, and notice a pass that was given to somebody else."""
        held = facts.credential = self._credential(room, facts.head)
        facts.is_verified = isinstance(held, (Ticket, Pass))
        if isinstance(held, Ticket):
            facts.place = place_of(held)
        elif isinstance(held, Pass):
            binding = self._bindings[room.name]
            differing = binding.differing(held, facts.head)
            if differing:
                facts.binding_mismatch = binding.matters(differing)
                differs, honoured = " and ".join(differing), "no" if facts.binding_mismatch else "yes"
                self._metrics.pass_binding_mismatches.count(room.name, differs, honoured)
                seen = told_of(room=room.name, ticket=held.id, client=facts.head.client_ip)
                log.info("a pass is shown by another %s, honoured: %s", differs, honoured, extra=seen)
        return facts

    def _credential(self, room: Room, head: RequestHead) -> Ticket | Pass | JoinToken | Rejected | None:
        values = self._cookies.read(room.cookie, head)
        if not values:
            return None
        return self._keys.read(values[0], room.name) if len(values) == 1 else Rejected(Rejection.DUPLICATED)
