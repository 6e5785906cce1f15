"""The classifier: what a head means, whenever it arrives. The first of the pipeline's two steps.

    head -> malformed or denied      -> an answer, always the same
         -> a path of the edge's own -> its room, or an answer
         -> covered by a room        -> its cookie -> DecisionContext: credential, limits, what to watch

The classifier reads no clock and no state that changes, so its result may be cached with the head's bytes
(`edge/proxy/head_cache.py`) for as long as rooms and keys stay the same. Whether a ticket still counts and whether the
room admits anybody, `Pipeline.decide` works out for each request.
"""

import logging
from collections.abc import Mapping

from edge.decision.action_paths import ACTIONS, classify_action
from edge.decision.context import Credential, DecisionContext
from edge.decision.cookies import Cookies
from edge.decision.cors import fields_for, preflight
from edge.decision.exceptions import Exceptions
from edge.decision.forms import PARAMETER, key_in
from edge.decision.forwarding import forward_admitted
from edge.decision.guard import fault_in
from edge.decision.lanes import LaneChoice
from edge.decision.link_opening import MARK, link_in, without_link
from edge.decision.negotiation import best_coding, wants_page
from edge.decision.premium import Premium
from edge.decision.responses import Responses
from edge.decision.several_cookies import SeveralCookies
from edge.decision.status_query import room_in, solution_in
from edge.decision.visits import ACTION, PREFLIGHT, VISIT, kind_of
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Headers
from edge.operations import logs
from edge.operations.metrics import Metrics
from edge.rooms.binding import Binding
from edge.rooms.room import Room
from edge.rooms.table import RoomTable
from edge.shield.shield import Limits, Shield, Watched
from waiting_room.assets import STATIC_PATH
from waiting_room.frame import LANGUAGE_PATH
from waiting_room.page import STATUS_PATH
from waiting_room.places import NO_PLACE
from waiting_room.status import moment_bytes
from waiting_room.ticket import JoinToken, Keyring, Pass, Rejected, Ticket
from waiting_room.ticket_leaf import TicketLeaf

__all__ = ["Classifier"]

log = logging.getLogger("edge.passes")

#: Paths of the edge's own. They exist on every host and never reach the upstream.
OWN_PATHS = "/_stanchion/"
#: To a client that asks for its OPTIONS request to be passed on no further.
_LAST_HOP = Answer(
    200,
    (("Allow", "GET, HEAD, OPTIONS"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")),
    b"",
    "static",
)


class Classifier:
    """One node's."""

    def __init__(
        self,
        rooms: RoomTable,
        keys: Keyring,
        responses: Responses,
        metrics: Metrics,
        cookies: Cookies,
        bindings: Mapping[str, Binding],
        shield: Shield | None,
        premium: Premium | None,
        lanes: LaneChoice,
        exceptions: Exceptions,
        *,
        keeps_forms: bool,
    ) -> None:
        """bindings: by room. shield: None if nobody is denied or limited. premium: None if no visitor is premium.
        keeps_forms: the forms of waiting visitors are kept."""
        self._keeps_forms = keeps_forms
        self._rooms = rooms
        self._keys, self._tickets = keys, TicketLeaf(keys)
        self._responses = responses
        self._metrics = metrics
        self._cookies = cookies
        self._bindings = bindings
        self._shield = shield
        self._premium = premium
        self._lanes = lanes
        self._exceptions = exceptions
        self._several = SeveralCookies(cookies, keys, bindings)

    def classify(self, head: RequestHead, is_last_hop: bool = False) -> DecisionContext:
        """Say what this head means. is_last_hop: the client asks for it to be passed on no further."""
        page = wants_page(head.accept, head.fetch_mode)
        refusal = fault_in(head)
        if refusal is not None:
            return DecisionContext(
                head,
                self._responses.problem(
                    refusal.status,
                    wants_page=page,
                    detail=refusal.detail,
                    language=self._responses.language(head.accept_language),
                ),
            )
        if self._shield is not None and self._shield.denies(head):
            self._metrics.shielded.count("denied")
            return DecisionContext(
                head,
                self._responses.problem(403, wants_page=page, language=self._responses.language(head.accept_language)),
            )
        own, target, link = head.target.startswith(OWN_PATHS), head.target, None
        if MARK in target and not own and head.method in ("GET", "HEAD"):
            link, target = link_in(target), without_link(target)
        if own:
            answer, room, is_status_request, solution = self._own_path(head)
        else:
            answer, room, is_status_request, solution = (
                None,
                self._rooms.match(
                    "POST" if self._has_form(head) else head.method,
                    self._rooms.asked_host(head.host, head.forwarded_host),
                    target,
                ),
                False,
                "",
            )
        kind = VISIT if room is None else kind_of(head, self._cookies.domain)
        kind = ACTION if own and room is not None and not is_status_request else kind
        if is_last_hop and answer is None:
            answer = _LAST_HOP
        if kind == PREFLIGHT and room is not None and answer is None:
            answer, room = preflight(head, room, is_own=own)
        made = self._context(head, answer, room, page and not own, is_status_request, solution, None, kind)
        made.coding = best_coding(head.accept_encoding) if made.wants_page else None
        return made if link is None else _with_link(made, link)

    def _has_form(self, head: RequestHead) -> bool:
        """Return whether a request wants a form to be sent that was kept. It belongs to the room of the form."""
        return PARAMETER in head.target and self._keeps_forms and head.method == "GET" and bool(key_in(head.target))

    def classify_like(self, like: DecisionContext, head: RequestHead) -> DecisionContext:
        """Classify a head that differs from the one of `like` in its cookies and its sender's address only."""
        shield = self._shield
        if shield is not None and (like.answer is not None or shield.denies(head)):
            return self.classify(head)  # the shield looks at the sender: one may be denied where another is not
        answer, room, watched = like.answer, like.room, like.watched
        made = self._context(
            head, answer, room, like.wants_page, like.is_status_request, like.solution, watched, like.kind
        )
        made.coding = like.coding
        return made if like.link is None else _with_link(made, like.link)

    def unclaimed(self, request: DecisionContext, now: float) -> DecisionContext:
        """Return the context of a request after a lane claim has expired: by the claims that still count."""
        room = None if request.room is None else request.room.family[0]
        return self._context(
            request.head,
            request.answer,
            room,
            request.wants_page,
            request.is_status_request,
            request.solution,
            request.watched,
            request.kind,
            now,
        )

    def _own_path(self, head: RequestHead) -> tuple[Answer | None, Room | None, bool, str]:
        """Classify a request for a path of the edge's own. Return (answer, room, is_status_request, solution): an
        answer, or a request for a room's status, perhaps with the solution of a join challenge."""
        path, _, query = head.target.partition("?")
        is_preflight = head.method == "OPTIONS" and path == STATUS_PATH and kind_of(head) == PREFLIGHT
        if path in ACTIONS:
            return *classify_action(head, path, query, self._rooms, self._responses, self._cookies.domain), False, ""
        if head.method not in ("GET", "HEAD") and not is_preflight:
            return self._responses.problem(405, wants_page=False), None, False, ""
        if path.startswith(STATIC_PATH):
            return self._responses.static(path.removeprefix(STATIC_PATH), head), None, False, ""
        if path == LANGUAGE_PATH:
            return self._responses.choose_language(query, head, self._cookies), None, False, ""
        if path != STATUS_PATH:
            return self._responses.problem(404, wants_page=False), None, False, ""
        name = room_in(query)
        room = self._rooms.by_name.get(name)
        if room is None:
            detail = f"there is no room named {name!r}" if name else "name the room: /_stanchion/status?room=NAME"
            return self._responses.problem(404, wants_page=False, detail=detail), None, False, ""
        return None, room, True, solution_in(query)

    def _context(
        self,
        head: RequestHead,
        answer: Answer | None,
        room: Room | None,
        page: bool,
        is_status_request: bool,
        solution: str,
        like: Watched | None,
        kind: int,
        after: float = 0.0,
    ) -> DecisionContext:
        """Read the room's cookie and build the context. like: what to watch in a head that gives the same reasons.
        after: claims to a lane that expire by then do not count."""
        credential: Credential | Rejected | None = None
        if room is not None and room.cookie in head.cookie:
            if (ticket := self._tickets.find(head.cookie, room.cookie, room.name)) is not None:
                return self._built(head, answer, room, ticket, page, is_status_request, solution, like, kind, after)
            values = self._cookies.read(room.cookie, head)
            if len(values) == 1:
                credential = self._keys.read(values[0], room.name)
            is_doubtful = len(values) > 1
            if isinstance(credential, Rejected):
                other = self._cookies.read_other(room.cookie, head)
                is_doubtful = bool(other) and other != values
            if is_doubtful:
                several = self._several.best_first(room, head, values)
                return self._chain(head, answer, room, several, page, is_status_request, solution, like, kind, after)
        return self._built(head, answer, room, credential, page, is_status_request, solution, like, kind, after)

    def _chain(
        self,
        head: RequestHead,
        answer: Answer | None,
        room: Room,
        several: list[Credential | Rejected],
        page: bool,
        is_status_request: bool,
        solution: str,
        like: Watched | None,
        kind: int,
        after: float,
    ) -> DecisionContext:
        """Build the context of a head with several cookies of one name: a chain, the best credential first."""
        context: DecisionContext | None = None
        for each in reversed(several):
            built = self._built(head, answer, room, each, page, is_status_request, solution, like, kind, after)
            built.has_duplicates, built.entered, built.next_best = True, None, context
            if each is not several[0]:  # the request is counted once
                built.limits = built.later_limits = ()
                built.watched = None
            context = built
        assert context is not None
        return context

    def _built(
        self,
        head: RequestHead,
        answer: Answer | None,
        room: Room | None,
        credential: Credential | Rejected | None,
        page: bool,
        is_status_request: bool,
        solution: str,
        like: Watched | None,
        kind: int,
        after: float,
    ) -> DecisionContext:
        """Build the context of a request with this credential."""
        place, first_seen_json, is_mismatch, entered, is_moved, claim_until = NO_PLACE, b"", False, None, False, 0.0
        premium_until, watched, shield, has_form = 0.0, None, self._shield, self._has_form(head)
        cors: Headers = ()
        if room is not None:
            if room.lanes is not None:
                chosen = self._lanes.choose(room.family[0], credential, head, after)
                room, credential, is_moved, claim_until = chosen.room, chosen.shown, chosen.is_moved, chosen.until
            if isinstance(credential, Ticket):
                place = room.place_of(credential)
                if is_status_request:
                    first_seen_json = moment_bytes(credential.first_seen)
            elif isinstance(credential, Pass):
                is_mismatch = self._is_mismatch(room, credential, head)
                if not (is_status_request or is_mismatch or credential.is_unshown or has_form):
                    entered = forward_admitted(room, credential)
            if room.has_cors:
                cors = fields_for(room.settings.cors, head)
        limits: Limits = ()
        later_limits: Limits = ()
        if shield is not None:
            ident = credential.id if isinstance(credential, (Ticket, Pass, JoinToken)) else None
            makes_visitor = room is not None and kind == VISIT
            limits = shield.limits(head, ident, is_room=makes_visitor)
            premium_token = None if self._premium is None else self._premium.read(head)
            if premium_token is not None:
                premium_until, later_limits = premium_token.expires, limits
                limits = shield.limits(head, ident, is_room=makes_visitor, premium_id=premium_token.id)
            if room is not None:
                watched = shield.watched(head, ident, like)
        made = DecisionContext(
            head, answer, room, credential, place, page, is_status_request, solution, is_mismatch, entered,
            first_seen_json, limits, premium_until, later_limits, watched, kind, cors, None, is_moved, has_form,
        )  # fmt: skip
        if claim_until or self._exceptions.may_hold(head):
            self._exceptions.note(made, claim_until, after)
        return made

    def _is_mismatch(self, room: Room, shown: Pass, head: RequestHead) -> bool:
        """Return whether a pass is bound to another browser or network. Count and log any difference.

        A cached head is not classified again, so a difference is not counted for each request.
        """
        binding = self._bindings[room.name]
        differing = binding.differing(shown, head)
        if not differing:
            return False
        is_mismatch = binding.is_mismatch(differing)
        differs, honoured = " and ".join(differing), "no" if is_mismatch else "yes"
        self._metrics.pass_binding_mismatches.count(room.name, differs, honoured)
        extra = logs.facts(room=room.name, ticket=shown.id, client=head.client_ip)
        log.info("a pass is shown by another %s, honoured: %s", differs, honoured, extra=extra)
        return is_mismatch


def _with_link(made: DecisionContext, link: tuple[str, str]) -> DecisionContext:
    made.link, made.is_exceptional = link, True
    return made
