"""Responses to waiting and admitted visitors: the status as page or document, and the cookie that goes with it."""

import math
from dataclasses import replace
from typing import Final

from controller import Wait
from edge.decision.attempt import Attempt
from edge.decision.context import Credential, DecisionContext
from edge.decision.cookies import Cookies
from edge.decision.forms import Forms, without_key
from edge.decision.forwarding import forward_admitted
from edge.decision.negotiation import best_coding
from edge.decision.responses import Responses
from edge.decision.sale_statuses import not_on_sale, sold_out
from edge.decision.visits import CROSS_FORM, SAFE, VISIT, is_navigation
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Forward, Headers, SentForm, TakeForm
from edge.rooms.room import Room
from waiting_room.placeholders import Coding
from waiting_room.status import State, Status, document, moment_bytes, retry_after, ticket_member
from waiting_room.ticket import Keyring, Pass, Ticket
from waiting_room.ticket_leaf import TicketLeaf

__all__ = ["VisitorResponses", "keeps_told"]

#: If absence counts (`ticket.away_seconds`), a longer appointment is written into the ticket.
LONG_S: Final = 30.0
#: A position is told again, and the ticket signed again, when it has fallen by more than this part of what was told. So
#: a visitor far back gets a new cookie seldom, and one at the front sees every step.
STEP: Final = 20

_WAITING: Final = State.WAITING  # a look-up in an Enum costs more than all else in `waiting`
_SOLD_OUT: Final = State.SOLD_OUT
_CLOSED: Final = State.CLOSED
_EARLY: Final = State.EARLY


class VisitorResponses:
    """One node's. keys: sign the cookies."""

    def __init__(self, responses: Responses, cookies: Cookies, keys: Keyring, forms: Forms | None) -> None:
        """forms: None if forms of waiting visitors are not kept."""
        self._forms = forms
        self._responses = responses
        self._cookies = cookies
        self._keys = keys
        self._tickets = TicketLeaf(keys)

    def enter(
        self, context: DecisionContext, room: Room, shown: Pass, now: float, *, fresh: Pass | None
    ) -> Forward | Answer:
        """Forward the request of an admitted visitor, or answer their poll. fresh: the pass to send, if any."""
        if fresh is None and context.entered is not None:
            return context.entered
        cookie = () if fresh is None else self.cookie(context, room, fresh, fresh.expires - now)
        if context.is_status_request:
            status = Status(State.ADMITTED, room.name, first_seen=shown.first_seen, stock=room.stock.free)
            return self._responses.document(status, 200, cookie + context.cors)
        forward = forward_admitted(room, shown, fresh, cookie)
        if context.has_form and self._forms is not None:
            if context.kind != VISIT:  # a browser that prerenders the address must not send the visitor's order
                return self._responses.declined
            forward.replay = self._forms.take(context.head.target, shown.id, now)
            if forward.replay is None:
                return self._responses.form_lost(context.head, without_key(context.head.target), cookie)
        return forward

    def wait(self, attempt: Attempt, verdict: Wait) -> Answer | TakeForm:
        """Answer a waiting visitor. The position never grows: the ticket says which one was told."""
        context, room, ticket, given = attempt.context, attempt.room, attempt.ticket, attempt.given
        position, told = verdict.position, ticket.told
        if room.sale is not None and room.sale.is_drawing:
            position = None  # nobody has a place before the draw
        if position is None:
            pass
        elif told and (given is None or given.told):
            if keeps_told(position, told):
                position = told  # not a new cookie for a step that is this small
            else:
                given = (ticket if given is None else given).telling(position)
        elif given is not None:
            given = given.telling(position)
        if (
            given is None
            and context.is_status_request
            and not (room.away_s is not None and verdict.poll_after_s > LONG_S)
        ):
            return self._document_only(context, room, verdict, ticket, position)
        if given is not None and position is not None and context.coding is not None and not context.is_status_request:
            page = self._page_only(context, room, verdict, ticket, given, position, attempt.now)
            if page is not None:
                return page
        return self._keep_waiting(attempt, waiting(room, ticket, verdict, position), given)

    def sold_out(self, attempt: Attempt) -> Answer | TakeForm:
        """Answer a visitor of a room that is sold out."""
        return self._keep_waiting(attempt, sold_out(attempt.room, attempt.ticket), attempt.given)

    @property
    def declined(self) -> Answer:
        """The answer to a speculative request without a pass."""
        return self._responses.declined

    def turn_away(self, context: DecisionContext, room: Room, now: float) -> Answer:
        """Answer a guest while others wait: as a visitor in line is answered, but without a place and a cookie."""
        if context.kind == CROSS_FORM:
            return self._responses.again(context.head)
        head = context.head
        state, after_s = (_WAITING, room.settings.polling.max_seconds) if room.mode.takes_visitors else (_CLOSED, None)
        status = Status(state, room.name, poll_after_s=after_s, message=room.message)
        is_shown = context.is_status_request or head.method in ("HEAD", "OPTIONS") or is_navigation(head)
        if not is_shown:
            return self._responses.document(status, 503, context.cors)  # a 2xx would pass for the image or the script
        return self.respond(context, room, status, (), now, is_given=False)

    def closed(self, attempt: Attempt, poll_after_s: float) -> Answer | TakeForm:
        """Answer a visitor in line of a room that is closed for the moment."""
        room, ticket = attempt.room, attempt.ticket
        status = not_on_sale(room, attempt.now, attempt.u)
        if status is None:
            status = Status(State.CLOSED, room.name, poll_after_s=poll_after_s, message=room.message)
            status.first_seen = ticket.first_seen
        return self._keep_waiting(attempt, status, attempt.given)

    def given_up(self, attempt: Attempt, reason: str) -> Answer:
        """Answer a visitor that has left the line, or that waits on another device now."""
        status = Status(_CLOSED, attempt.room.name, message=attempt.room.message, paused=reason)
        return self.respond(attempt.context, attempt.room, status, (), attempt.now, is_given=False)

    def ask_presence(self, attempt: Attempt, status: Status, cookie: Headers) -> Answer | TakeForm:
        """Ask the visitor whether they are there, because it is their turn."""
        return self._keep_waiting(attempt, status, None, cookie)

    def no_entry(self, context: DecisionContext, room: Room, now: float, u: float) -> Answer:
        """Answer a first visitor of a room that gives out no places, or none yet."""
        status = not_on_sale(room, now, u) or Status(State.CLOSED, room.name, message=room.message)
        return self.respond(context, room, status, (), now, is_given=False)

    def respond(
        self, context: DecisionContext, room: Room, status: Status, cookie: Headers, now: float, *, is_given: bool
    ) -> Answer:
        """Return the page or the document. is_given: a credential is sent, so if the page itself made this request the
        browser did not keep the one before."""
        code = 200 if context.is_status_request else room.page_code
        if context.cors:
            cookie = cookie + context.cors
        is_document = not context.wants_page
        if context.head.method not in SAFE and not is_navigation(context.head):
            code, is_document = 503, True  # to a script, a 2xx would say that its request was carried out
        if is_document:
            return self._responses.document(status, code, cookie)
        cookies_missing = is_given and context.credential is None and came_from_itself(context.head)
        coding = coding_for(context)
        page = room.pages.page(context.head.accept_language, context.head.cookie)
        return self._responses.page(page, status, code, now, cookie, coding, cookies_missing=cookies_missing)

    def cookie(self, context: DecisionContext, room: Room, credential: Credential, lifetime_s: float) -> Headers:
        """Return the `Set-Cookie` fields for a credential."""
        max_age_s = max(1, int(lifetime_s + 0.5))
        if isinstance(credential, Ticket):
            before, behind = self._cookies.around(room.cookie, max_age_s, context.head)
            line = self._tickets.cookie(credential, before, behind)
            if line is not None:
                return self._cookies.write_line(room.cookie, line, context.head)
        return self._cookies.write(room.cookie, self._keys.seal(credential), max_age_s, context.head)

    def _document_only(
        self, context: DecisionContext, room: Room, verdict: Wait, ticket: Ticket, position: int | None
    ) -> Answer:
        """Answer a poll with nothing to send but the document. That is nearly every poll."""
        is_own = ticket is context.credential
        first_seen_json = context.first_seen_json if is_own else moment_bytes(ticket.first_seen)
        shared, after_s = room.shared_fields(), verdict.poll_after_s
        extra = b"" if room.sale is None else ticket_of_draw(room, ticket)
        body = document(shared, position, verdict.eta_p50_s, verdict.eta_p90_s, after_s, first_seen_json, extra)
        return self._responses.of_document(shared.state, retry_after(after_s), body, 200, context.cors)

    def _page_only(
        self,
        context: DecisionContext,
        room: Room,
        verdict: Wait,
        ticket: Ticket,
        given: Ticket,
        position: int,
        now: float,
    ) -> Answer | None:
        """Answer a visitor in a line that moves with the page and a ticket. That is nearly every page.

        None if something is unusual: `_keep_waiting` answers."""
        head, shared, after_s = context.head, room.shared_fields(), verdict.poll_after_s
        eta_p50_s, eta_p90_s = verdict.eta_p50_s, verdict.eta_p90_s
        if (
            room.sale is not None
            or room.paused is not None
            or shared.state is not _WAITING
            or eta_p50_s is None
            or eta_p90_s is None
            or given.moved_back_s
            or head.method != "GET"
            or (room.away_s is not None and after_s > LONG_S)
            or (context.credential is None and came_from_itself(head))
        ):
            return None
        lifetime_s = room.lifetime_s - (now - ticket.first_seen)
        cookie = self.cookie(context, room, given, lifetime_s)
        page, coding = room.pages.line_page(head.accept_language, head.cookie), coding_for(context)
        body = page.render(shared, position, eta_p50_s, eta_p90_s, after_s, ticket.first_seen, now, coding)
        code = room.page_code
        return self._responses.line_page(page.policy, shared.state, after_s, body, code, cookie + context.cors, coding)

    def _keep_waiting(
        self, attempt: Attempt, status: Status, given: Ticket | None, cookie: Headers = ()
    ) -> Answer | TakeForm:
        """Return the response with this status, and with the ticket if it has to be sent, or with another cookie."""
        context, room, ticket, now = attempt.context, attempt.room, attempt.ticket, attempt.now
        after_s = status.poll_after_s
        if room.away_s is not None and after_s is not None and after_s > LONG_S:
            given = replace(given or ticket.renewed(now), return_after_s=math.ceil(after_s))
        if given is not None:
            status.moved_back_s = given.moved_back_s
            lifetime_s = room.lifetime_s - (now - ticket.first_seen)
            cookie = self.cookie(context, room, given, lifetime_s)
        answer = self.respond(context, room, status, cookie, now, is_given=given is not None)
        forms, head = self._forms, context.head
        if forms is None or head.method != "POST" or context.kind != VISIT or not is_navigation(head):
            return answer
        if after_s is None:  # nobody is admitted any more
            return answer

        def then(sent: SentForm | None) -> Answer:
            url = None if sent is None else forms.keep(head.target, ticket.id, sent, now)
            page = room.pages.page(head.accept_language, head.cookie)
            return self._responses.form_page(page, status, answer, now, url or "")

        most = room.settings.body_bytes
        return TakeForm(forms.most if most is None else min(forms.most, most), then)


def ticket_of_draw(room: Room, ticket: Ticket) -> bytes:
    """Return the member by which a visitor reads the id of their ticket; nothing unless the sale has a draw."""
    if room.sale is None or not room.sale.draw_json:
        return b""
    return ticket_member(ticket.id).encode()


def keeps_told(position: int, told: int) -> bool:
    """Return whether the visitor is told the same position again: the estimate is higher, or hardly lower."""
    return position >= told - told // STEP


def waiting(room: Room, ticket: Ticket, verdict: Wait, position: int | None) -> Status:
    """Return the status of a waiting visitor. They wait for admission or, while every unit is held, for a free unit.
    The position is the same."""
    stock = room.stock
    status = Status(  # in the order of its fields: keyword arguments would cost as much as all the rest
        _SOLD_OUT if stock.is_paused else _WAITING,
        room.name,
        position,
        verdict.eta_p50_s,
        verdict.eta_p90_s,
        verdict.poll_after_s,
        ticket.first_seen,
        room.message,
        stock.free,
        stock.held,
    )
    if room.paused is not None:
        status.paused = room.paused
    sale = room.sale
    if sale is not None:
        status.opens_at = sale.opens_at
        status.draw = sale.draw_json
        if sale.draw_json:
            status.ticket = ticket.id
        if sale.is_early:
            status.state = _EARLY
    return status


def coding_for(context: DecisionContext) -> Coding:
    """Return the coding of a page for the client of a request."""
    return best_coding(context.head.accept_encoding) if context.coding is None else context.coding


def came_from_itself(head: RequestHead) -> bool:
    """Return whether the page loaded itself again (scripts off). Without the cookie it was given, cookies are off.

    A link from a page to itself looks the same. A first visit by such a link gets the hint about cookies needlessly,
    which is harmless.
    """
    if not head.referer.endswith(head.target):
        return False
    came_from = head.referer.partition("://")[2]
    return bool(came_from) and came_from in (head.host + head.target, head.forwarded_host + head.target)
