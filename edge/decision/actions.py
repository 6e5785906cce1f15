"""What visitors do with their place: leave the line, join it again, move the place to another device.

    POST leave     nothing changes for a page without `sure=1`           -> a page that asks
                   the ticket is redeemed for nothing                    -> back, where the page says so
    POST here      the visitor takes their turn (`turns.py`)             -> back, where they are let in
    POST join      after a place was given up: a new one at the end      -> back, where they wait
    POST transfer  nothing changes                                       -> a page with a link, and the link as QR code
    GET  move      nothing changes (programs open links too)             -> a page with a button
    POST move      the ticket is redeemed; the next one has its place    -> back, where the visitor waits

All stand below `/_stanchion/` and name the room: `/_stanchion/leave?room=checkout`. A page gets a redirection, so that
no reload repeats an action; a program gets JSON. Requests of other sites are refused, so no site acts for a visitor.

A ticket that is given up is redeemed (`edge/rooms/redemption.py`): of any number of nodes that hear each other, one is
granted it, so a place is never at two devices, and never admitted after it was given up. If the device that
takes a place asks again, because an answer was lost, it gets the same ticket again. Another device gets none.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, assert_never
from urllib.parse import quote

from edge.decision.context import DecisionContext
from edge.decision.cookies import Cookies
from edge.decision.entry import Entry
from edge.decision.negotiation import wants_page
from edge.decision.responses import Responses
from edge.decision.visitor_responses import VisitorResponses
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Deferred, Forward, Headers, TakeForm, Verdict
from edge.operations.metrics import Metrics
from edge.rooms.binding import Binding
from edge.rooms.redeemed_tickets import given_up, reason_of
from edge.rooms.redemption import AlreadyRedeemed, CheckOutcome, Granted, RedemptionClient, Unverified
from edge.rooms.room import Room
from waiting_room.language_page import language_query, safe_path
from waiting_room.places import next_id
from waiting_room.status import LEFT, MOVED, State, Status, timestamp
from waiting_room.ticket import Keyring, Pass, Ticket
from waiting_room.transfer import TRANSFER_S, read_token, transfer_token

__all__ = ["Actions"]

#: The cookie of a ticket that was given up is kept this long, so that no other tab joins the line again by itself.
ENDED_S: Final = 600.0

Then = Callable[[CheckOutcome], Verdict]


class Actions:
    """One node's. bindings: by room. redemption: None if there are no other nodes to ask."""

    def __init__(
        self,
        entry: Entry,
        responses: Responses,
        visitors: VisitorResponses,
        keys: Keyring,
        cookies: Cookies,
        metrics: Metrics,
        bindings: Mapping[str, Binding],
        redemption: RedemptionClient | None,
    ) -> None:
        self._entry = entry
        self._responses = responses
        self._visitors = visitors
        self._keys = keys
        self._cookies = cookies
        self._metrics = metrics
        self._bindings = bindings
        self._redemption = redemption

    def decide(
        self, context: DecisionContext, room: Room, credential: Ticket | Pass | None, now: float, u: float
    ) -> Verdict:
        """Carry out an action. credential: what counts now of the visitor's cookie."""
        head = context.head
        match head.target.partition("?")[0].rpartition("/")[2]:
            case "here" if credential is not None:
                return self._entered(context, room, self._entry.present(context, room, credential, now, u))
            case "leave" if isinstance(credential, Ticket):
                return self._leave(context, room, credential, now)
            case "transfer" if isinstance(credential, Ticket):
                return self._transfer(context, room, credential, now)
            case "move":
                return self._move(context, room, credential, now)
            case "join" if isinstance(credential, Ticket) and self._is_given_up(room, credential):
                return self._entered(context, room, self._entry.first_visit(context, room, now, u))
        return self._back(context, room)

    def _entered(self, context: DecisionContext, room: Room, verdict: Verdict) -> Verdict:
        """Return the way back with the cookie of the verdict, after a visitor took their turn or joined again."""
        match verdict:
            case Forward():
                cookie = tuple([field for field in verdict.response_headers if field[0] == "Set-Cookie"])
                return self._back(context, room, cookie, Status(State.ADMITTED, room.name))
            case Deferred():
                return Deferred(
                    lambda then: verdict.ask(lambda later: then(self._entered(context, room, later))), verdict.hasten
                )
            case Answer():
                if _wants_page(context.head):
                    return self._back(context, room, verdict.cookies)
                return Answer(200, verdict.headers, verdict.body, verdict.outcome, verdict.cookies)
            case TakeForm():
                return self._back(context, room)
            case _:
                assert_never(verdict)

    def _leave(self, context: DecisionContext, room: Room, ticket: Ticket, now: float) -> Verdict:
        head = context.head
        if _wants_page(head) and "sure" not in language_query(head.target.partition("?")[2]):
            return self._responses.sure(head, room.name, _back_path(head))
        ended = given_up(ticket, LEFT, "", now)

        def settle(outcome: CheckOutcome) -> Verdict:
            if isinstance(outcome, AlreadyRedeemed):
                room.redeemed.learn(outcome.given)
                return self._back(context, room)
            self._metrics.places_given_up.count(room.name, LEFT)
            room.give_up(ended)
            cookie = self._visitors.cookie(context, room, ticket, ENDED_S)
            return self._back(context, room, cookie, Status(State.CLOSED, room.name, paused=LEFT))

        return self._redeem(room, ticket, ended, settle, holds=False)

    def _transfer(self, context: DecisionContext, room: Room, ticket: Ticket, now: float) -> Answer:
        """Return the link. Whether the ticket still counts is found out when the link is used."""
        head, cookies = context.head, self._cookies
        if self._is_given_up(room, ticket):
            return self._back(context, room)
        scheme, host = "https" if cookies.is_secure(head) else head.scheme, head.forwarded_host or head.host
        back = _back_path(head)
        token = transfer_token(self._keys, ticket, now)
        url = f"{scheme}://{host}/_stanchion/move?room={room.name}&t={token}&back={quote(back, safe='/')}"
        if not _wants_page(head):
            expires_at = timestamp(float(int(now + TRANSFER_S)))
            return self._document({"url": url, "expires_at": expires_at}, 200, context.cors)
        return self._responses.transfer(head, url, back)

    def _move(self, context: DecisionContext, room: Room, credential: Ticket | Pass | None, now: float) -> Verdict:
        head = context.head
        ticket = read_token(self._keys, language_query(head.target.partition("?")[2]).get("t", ""), room.name, now)
        if ticket is None or now - ticket.first_seen >= room.lifetime_s:
            return self._used(context)
        if isinstance(credential, Ticket) and credential.id == ticket.id and not self._is_given_up(room, ticket):
            return self._back(context, room)  # the link was opened in the browser that waits
        if head.method == "GET":
            return self._responses.take(head) if _wants_page(head) else self._document({"method": "POST"}, 200, ())
        moved = replace(ticket, id=next_id(ticket.id), seen=float(int(now)))
        taker = self._bindings[room.name].binding_digest(moved.id, head)
        ended = given_up(ticket, MOVED, taker, now)

        def give() -> Answer:
            cookie = self._visitors.cookie(context, room, moved, room.lifetime_s - (now - ticket.first_seen))
            return self._back(context, room, cookie)

        def settle(outcome: CheckOutcome) -> Verdict:
            if isinstance(outcome, Granted):
                self._metrics.places_given_up.count(room.name, MOVED)
                room.give_up(ended)
                return give()
            if isinstance(outcome, Unverified):
                return self._responses.problem(503, wants_page=_wants_page(head), retry_after_s=1)
            room.redeemed.learn(outcome.given)
            return give() if self._is_taken_by(outcome.given, moved.id, room, head) else self._used(context)

        return self._redeem(room, ticket, ended, settle, holds=True)

    def _redeem(self, room: Room, ticket: Ticket, ended: Pass, settle: Then, *, holds: bool) -> Verdict:
        """Redeem a ticket for `ended`, unless it was redeemed before, and return what `settle` makes of the outcome.

        holds: the ticket stays valid if no other node can be asked."""
        known, redemption = room.redeemed.get(ticket.id), self._redemption
        if known is not None and not room.redeemed.is_requeued(ticket.id):
            return settle(AlreadyRedeemed(known))
        if redemption is None:
            return settle(Granted())
        if redemption.is_open(room.name, ticket.id):  # the visitor is about to be admitted, or clicks twice
            return Deferred(
                lambda then: redemption.wait(
                    room.name,
                    ticket.id,
                    lambda _: then(self._redeem(room, ticket, ended, settle, holds=holds)),
                )
            )
        return Deferred(
            lambda then: redemption.ask(ended, known, lambda outcome: then(settle(outcome)), holds_if_unverified=holds)
        )

    def _is_given_up(self, room: Room, ticket: Ticket) -> bool:
        known = room.redeemed.get(ticket.id)
        return known is not None and bool(reason_of(known))

    def _is_taken_by(self, given: Pass, moved_id: str, room: Room, head: RequestHead) -> bool:
        """Return whether the device that asks is the one that has taken the place before."""
        taker = given.binding_digest.partition("~")[2]
        if reason_of(given) != MOVED or not taker:
            return False
        taken = Pass(moved_id, room.name, given.first_seen, given.admitted_at, given.expires, taker)
        return not self._bindings[room.name].differing(taken, head)

    def _used(self, context: DecisionContext) -> Answer:
        if _wants_page(context.head):
            return self._responses.used(context.head)
        return self._responses.problem(410, wants_page=False, detail="the link has expired or was used")

    def _back(self, context: DecisionContext, room: Room, cookie: Headers = (), status: Status | None = None) -> Answer:
        """Send the visitor back to where they came from. status: for a program; None tells it to ask for its status."""
        head = context.head
        if _wants_page(head):
            headers = (("Location", _back_path(head)), *_NOT_STORED)
            return Answer(303, headers, b"", "action", cookie)
        if status is None:
            return self._document({"status_url": f"/_stanchion/status?room={room.name}"}, 200, cookie + context.cors)
        return self._responses.document(status, 200, cookie + context.cors)

    def _document(self, content: Mapping[str, object], code: int, cookies: Headers) -> Answer:
        headers = (("Content-Type", "application/json"), *_NOT_STORED)
        return Answer(code, headers, json.dumps(content).encode(), "action", cookies)


def _wants_page(head: RequestHead) -> bool:
    return wants_page(head.accept, head.fetch_mode)


def _back_path(head: RequestHead) -> str:
    """Return the path that the visitor came from, or `/` if it is none of the shop's."""
    asked = language_query(head.target.partition("?")[2]).get("back")
    if asked is None:
        origin, slash, path = head.referer.partition("://")[2].partition("/")
        asked = slash + path if origin in (head.host, head.forwarded_host) else "/"
    path = safe_path(asked)
    return "/" if path.startswith("/_stanchion/") else path


_NOT_STORED: Final = (("Cache-Control", "no-store"), ("X-Robots-Tag", "noindex"), ("X-Content-Type-Options", "nosniff"))
