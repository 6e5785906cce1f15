"""The way of one request, in one place: what is decided, in which order, and nothing else.

    head -> guard -> room -> ticket -> gate                              admitted: Forward (stream to the upstream)
              |        |       |         '-> page or status              waiting:  Answer ('come back in 4.2 s')
              |        |       '-> a pass: Forward
              |        '-> no room: Forward
              '-> malformed, kept out, too often: Answer (a clear 4xx, never the line)

Two steps, so that what a head says can be remembered while what follows from it cannot:

    recognise(head) -> Facts       reads no clock and no state that changes: the room, what the cookie says
    decide(facts, now, draw)       judges the facts at this moment: expiry, stock, gate

All of it is sync and does no I/O: between reading the state and changing it nothing else can happen.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import assert_never
from urllib.parse import parse_qs

from controller import Admit, Closed, Wait
from edge.abuse.shield import Limits, Shield, Watched, wait_s
from edge.answers import Answers
from edge.guard import fault_in
from edge.head import RequestHead
from edge.metrics import Metrics
from edge.negotiation import best_coding, wants_page
from edge.rooms import Room, RoomTable
from edge.settings import CookieSettings
from edge.stock import RoomEvent, news_in
from edge.verdict import Answer, Forward, Headers, Verdict
from waiting_room.page import STATIC_PATH, STATUS_PATH
from waiting_room.status import State, Status
from waiting_room.ticket import (
    ID_BYTES,
    Keyring,
    Pass,
    Rejected,
    Rejection,
    Ticket,
    cookie_values,
    judge,
    new_ticket,
)

__all__ = ["Facts", "Pipeline", "RoomEvent"]

#: Methods that take nothing from the shelf.
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
#: Paths of the edge's own; they exist on every host and never reach the upstream.
OWN_PATHS = "/_stanchion/"
TOO_OFTEN = "Too many requests came from you or your network in a short time. Your place in line is kept."


@dataclass(slots=True)  # never changed; `frozen` would triple the price of making one
class Facts:
    """What a head says, whenever it comes."""

    head: RequestHead
    answer: Answer | None = None
    """Set when there is nothing to decide: a refusal, a file."""
    room: Room | None = None
    credential: Ticket | Pass | Rejected | None = None
    wants_page: bool = False
    is_poll: bool = False
    """Asked at the status address: an admission is told, not forwarded."""
    limits: Limits = ()
    """What each request with this head counts for."""
    watched: Watched | None = None
    """What robots are known by in it."""

    @property
    def is_verified(self) -> bool:
        """Whether a ticket or pass with a good signature vouches for this head: only such heads are remembered."""
        return isinstance(self.credential, Ticket | Pass)


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
    ) -> None:
        """shield: None when nobody is kept out or limited."""
        self.rooms = rooms
        self.keys = keys
        self._answers = answers
        self._metrics = metrics
        self._cookies = cookies
        self._entropy = entropy
        self._on_room_event = on_room_event
        self.shield = shield
        self.upstream_is_down = False
        """Told by the data plane: rooms that hold let nobody in meanwhile."""
        self._refusals: dict[tuple[bool, int], Answer] = {}

    def recognise(self, head: RequestHead) -> Facts:
        """What this head says, whenever it comes: may be remembered for as long as rooms and keys stay as they are."""
        page = wants_page(head.accept, head.fetch_mode)
        fault = fault_in(head)
        if fault:
            return Facts(head, answer=self._answers.problem(fault.status, wants_page=page, detail=fault.detail))
        return self._recognise(head, page) if self.shield is None else self._guarded(head, page, self.shield)

    def _guarded(self, head: RequestHead, page: bool, shield: Shield) -> Facts:
        """The same while addresses are kept out or limited."""
        if shield.refuses(head):
            self._metrics.shielded.count("denied")
            return Facts(head, answer=self._answers.problem(403, wants_page=page))
        facts = self._recognise(head, page)
        held = facts.credential
        ident = held.id if isinstance(held, Ticket | Pass) else None
        is_room = facts.room is not None
        watched = shield.watched(head, ident) if is_room else None
        return replace(facts, limits=shield.limits(head, ident, is_room=is_room), watched=watched)

    def _answer_robot(
        self, watched: Watched, reasons: tuple[str, ...], shield: Shield, facts: Facts, now: float
    ) -> Answer | None:
        """The answer to a suspect; None when nothing is to be done but to count."""
        for reason in reasons:
            self._metrics.suspected.count(reason)
        wait = shield.suspect_waits_s(watched, now)
        if wait is None:
            self._metrics.shielded.count("robot")
            return self._answers.problem(403, wants_page=facts.wants_page)
        if wait > 0.0:
            self._metrics.shielded.count("suspected")
            return self._too_often(facts.wants_page, math.ceil(wait))
        return None

    def _too_often(self, wants_page: bool, wait_s: int) -> Answer:
        """Made once for each wait of whole seconds, of which there are about sixty: a flood gets ready bytes."""
        answer = self._refusals.get((wants_page, wait_s))
        if answer is None:
            answer = self._answers.problem(403, wants_page=wants_page, detail=TOO_OFTEN, retry_after_s=wait_s)
            self._refusals[wants_page, wait_s] = answer
        return answer

    def _recognise(self, head: RequestHead, page: bool) -> Facts:
        if head.target.startswith(OWN_PATHS):
            return self._recognise_own(head)
        room = self.rooms.match(head.method, head.host, head.target)
        if room is None:
            return Facts(head, wants_page=page)
        return Facts(head, room=room, credential=self._credential(room, head.cookie), wants_page=page)

    def recognise_again(self, facts: Facts, head: RequestHead) -> Facts:
        """The same for a head that differs from the one of `facts` in its cookies and its sender's address only."""
        if self.shield is not None:  # it looks at the sender: what holds for one may not hold for another
            return self.recognise(head)
        room = facts.room
        credential = None if room is None else self._credential(room, head.cookie)
        return Facts(head, facts.answer, room, credential, facts.wants_page, facts.is_poll)

    def decide(self, facts: Facts, now: float, draw: float) -> Verdict:
        """What becomes of the request. now: wall clock, seconds. draw: uniform in [0, 1)."""
        if facts.limits and (wait := wait_s(facts.limits, now)) > 0.0:
            self._metrics.shielded.count("limited")
            return self._too_often(facts.wants_page, math.ceil(wait))
        watched = facts.watched
        if watched is not None and self.shield is not None:
            reasons = self.shield.suspects(watched, now)
            if reasons and (answer := self._answer_robot(watched, reasons, self.shield, facts, now)) is not None:
                return answer
        if facts.answer is not None:
            return facts.answer
        room = facts.room
        if room is None:
            return Forward(None, (), ())
        held = self._judged(room, facts.credential, now)
        if isinstance(held, Pass):
            return self._enter(facts, room, held, now, fresh=room.renew(held, now))
        ticket, given = self._ticket(held, now, room)
        self._metrics.polls.count(room.name)
        remembered = room.remembered(ticket, now)
        if remembered is not None:
            return self._enter(facts, room, remembered, now, fresh=remembered)
        if room.shelf.is_sold_out:
            return self._keep_waiting(facts, room, self._sold_out(room, ticket), ticket, given, now)
        verdict = room.ask(ticket, now, draw, shut=self.upstream_is_down and room.holds_when_down)
        match verdict:
            case Admit():
                self._metrics.admissions.count(room.name)
                self._metrics.wait_seconds.labels(room.name).observe(max(0.0, now - ticket.first_seen))
                admitted = room.admit(ticket, now)
                return self._enter(facts, room, admitted, now, fresh=admitted)
            case Wait():
                return self._keep_waiting(facts, room, _waiting(room, ticket, verdict), ticket, given, now)
            case Closed():
                status = Status(State.CLOSED, room.name, first_seen=ticket.first_seen, message=verdict.reason)
                return self._keep_waiting(facts, room, status, ticket, given, now)
            case _:
                assert_never(verdict)

    def failed(self, head: RequestHead, code: int, retry_after_s: int | None = None) -> Answer:
        """The answer to a request that the upstream failed: 502 or 504."""
        page = wants_page(head.accept, head.fetch_mode)
        return self._answers.problem(code, wants_page=page, retry_after_s=retry_after_s)

    def refused(self, code: int, detail: str, *, wants_page: bool = False) -> Answer:
        """The answer to what is no request, or not one to be served: 4xx, 501 or 505."""
        return self._answers.problem(code, wants_page=wants_page, detail=detail)

    def observe(self, facts: Facts, forward: Forward, headers: Iterable[tuple[str, str]], now: float) -> Headers:
        """Act on what the upstream's answer says to the edge; returns headers to add for the visitor.

        headers: the answer's; those named `Stanchion-*` are the edge's own and the shell passes none of them on.
        """
        room, held = facts.room, forward.held
        if room is None or held is None:
            return ()
        said = list(headers)
        event = news_in(room.name, said)
        if event is not None:
            if facts.head.method not in SAFE and room.end_claim(held, now):
                event = replace(event, tried=held.id)
            if room.shelf.hear(event, now) or event.tried is not None:
                self._on_room_event(event)
        added: Headers = ()
        for name, value in said:
            command = value.strip().lower()
            if name.lower() == "stanchion-command" and command in ("complete", "revoke"):
                added = self._end_session(room, facts, held, command, now)
        return added

    def apply(self, event: RoomEvent, now: float) -> None:
        """Let this node know what an upstream said at another node."""
        room = self.rooms.by_name.get(event.room)
        if room is None:
            return
        room.shelf.hear(event, now)
        if event.tried is not None:
            room.note_tried(event.tried, now)

    def _recognise_own(self, head: RequestHead) -> Facts:
        path, _, query = head.target.partition("?")
        if head.method not in ("GET", "HEAD"):
            return Facts(head, answer=self._answers.problem(405, wants_page=False))
        if path.startswith(STATIC_PATH):
            return Facts(head, answer=self._answers.static(path.removeprefix(STATIC_PATH), head))
        if path != STATUS_PATH:
            return Facts(head, answer=self._answers.problem(404, wants_page=False))
        name = _room_named(query)
        room = self.rooms.by_name.get(name)
        if room is None:
            detail = f"there is no room named {name!r}" if name else "name the room: /_stanchion/status?room=NAME"
            return Facts(head, answer=self._answers.problem(404, wants_page=False, detail=detail))
        return Facts(head, room=room, credential=self._credential(room, head.cookie), is_poll=True)

    def _credential(self, room: Room, cookie: str) -> Ticket | Pass | Rejected | None:
        values = cookie_values(cookie, room.cookie)
        if not values:
            return None
        return self.keys.read(values[0], room.name) if len(values) == 1 else Rejected(Rejection.DUPLICATED)

    def _judged(self, room: Room, credential: Ticket | Pass | Rejected | None, now: float) -> Ticket | Pass | None:
        """The ticket or pass that counts now. Anything else is counted by its reason, and is a first visit."""
        if credential is None:
            return None
        rejected: Rejected | None
        if isinstance(credential, Rejected):
            rejected = credential
        else:
            rule = room.settings.ticket
            rejected = judge(credential, now, skew_s=rule.skew_allowance_seconds, lifetime_s=rule.lifetime_seconds)
            if rejected is None:
                return credential
        self._metrics.rejected.count(room.name, rejected.reason.value)
        return None

    def _ticket(self, held: Ticket | None, now: float, room: Room) -> tuple[Ticket, Ticket | None]:
        """The visitor's place, and the ticket to hand out with the answer if it is new or due for a sign of life."""
        if held is None:
            ticket = new_ticket(room.name, now, self._entropy(ID_BYTES))
            return ticket, ticket
        return held, held.renewed(now) if held.needs_renewal(now) else None

    def _enter(self, facts: Facts, room: Room, held: Pass, now: float, *, fresh: Pass | None) -> Verdict:
        cookie = () if fresh is None else self._set_cookie(facts, room, fresh, fresh.expires - now)
        if facts.is_poll:
            status = Status(State.ADMITTED, room.name, first_seen=held.first_seen, stock=room.shelf.free)
            return self._answers.document(status, 200, cookie)
        told = (
            ("X-Stanchion-Room", room.name),
            ("X-Stanchion-Ticket", held.id),
            ("X-Stanchion-Admitted-At", f"{held.admitted_at:.3f}"),
        )
        return Forward(room.name, told, (("Stanchion-State", State.ADMITTED.value), *cookie), fresh or held, "admitted")

    def _keep_waiting(
        self, facts: Facts, room: Room, status: Status, ticket: Ticket, given: Ticket | None, now: float
    ) -> Answer:
        cookie: Headers = ()
        if given is not None:
            lifetime_s = room.settings.ticket.lifetime_seconds - (now - ticket.first_seen)
            cookie = self._set_cookie(facts, room, given, lifetime_s)
        code = 200 if facts.is_poll else room.settings.page.status_code
        if not facts.wants_page:
            return self._answers.document(status, code, cookie)
        lost = given is not None and facts.credential is None and _came_from_itself(facts.head)
        coding = best_coding(facts.head.accept_encoding)
        return self._answers.page(room.page, status, code, now, cookie, coding, lost=lost)

    def _sold_out(self, room: Room, ticket: Ticket) -> Status:
        """Sold out: for good when every unit is paid for, else the page goes on asking, calmly."""
        return Status(
            State.SOLD_OUT,
            room.name,
            first_seen=ticket.first_seen,
            poll_after_s=None if room.shelf.is_over else room.settings.polling.max_seconds,
            message=room.settings.page.message,
            stock=room.shelf.free,
            held=room.shelf.held,
        )

    def _set_cookie(self, facts: Facts, room: Room, what: Ticket | Pass, lifetime_s: float) -> Headers:
        return (("Set-Cookie", self._cookie(facts, room, self.keys.seal(what), max(1, round(lifetime_s)))),)

    def _end_session(self, room: Room, facts: Facts, held: Pass, command: str, now: float) -> Headers:
        self._metrics.sessions_ended.count(room.name, command)
        room.end_session(held, now)
        return (("Set-Cookie", self._cookie(facts, room, "", 0)),)

    def _cookie(self, facts: Facts, room: Room, value: str, max_age_s: int) -> str:
        secure = self._cookies.secure == "always" or (self._cookies.secure == "auto" and facts.head.scheme == "https")
        domain = f"; Domain={self._cookies.domain}" if self._cookies.domain else ""
        tail = "; Secure" if secure else ""
        return f"{room.cookie}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{domain}{tail}"


@lru_cache(maxsize=512)
def _room_named(query: str) -> str:
    return (parse_qs(query).get("room") or [""])[0]


def _waiting(room: Room, ticket: Ticket, verdict: Wait) -> Status:
    """Waiting for one's turn; while every unit is held, for one of them to come back. The place is the same."""
    is_paused = room.shelf.is_paused
    return Status(
        State.SOLD_OUT if is_paused else State.WAITING,
        room.name,
        position=verdict.position,
        eta_p50_s=None if is_paused else verdict.eta_p50_s,
        eta_p90_s=None if is_paused else verdict.eta_p90_s,
        poll_after_s=verdict.poll_after_s,
        first_seen=ticket.first_seen,
        message=room.settings.page.message,
        stock=room.shelf.free,
        held=room.shelf.held,
    )


def _came_from_itself(head: RequestHead) -> bool:
    """The page loaded again by itself (scripts off), yet without the cookie it was given: cookies are off.

    A link from the same page to itself looks the same, and a first visit that follows one finds its place explained a
    little early: harmless.
    """
    return head.referer.partition("://")[2] == head.host + head.target
