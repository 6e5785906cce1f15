"""From a verdict to what a load balancer is told: the visitor's request may pass, or this is the response to it.

    Forward    -> Allowed     200, empty, the fields for the shop and for the visitor
               -> Answer 303  if a new cookie must be set and the load balancer would lose it
    Answer     -> Answer      with a status that the dialect can carry
    Deferred   -> Deferred    for `max_park_seconds` at the most, so that the load balancer does not give up

`AskDecider` stands between the plugin listener and the pipeline, and asks nobody else: there is one pipeline.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, cast

from edge.decision.context import DecisionContext
from edge.decision.pipeline import Pipeline
from edge.messages.context import RequestContext
from edge.messages.decider import Decider
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Deferred, Forward, Headers, TakeForm, Verdict
from edge.operations.metrics import Metrics
from edge.plugins.endpoint import STANCHION_FIELDS, Endpoint
from edge.plugins.redirect import ENTER_PATH, enter, redirect_with
from edge.plugins.report import take_reports
from waiting_room.ticket import Pass

__all__ = ["TAKE_REPORT", "Allowed", "AskContext", "AskDecider", "AskedHead", "Later"]

#: call_later(seconds, call) -> cancel
Later = Callable[[float, Callable[[], None]], Callable[[], None]]

_NOT_STORED: Final[Headers] = (("Cache-Control", "no-store"),)
_NO_PASS: Final = Answer(403, _NOT_STORED, b"", "no_pass")
_NO_TOKEN: Final = Answer(401, (*_NOT_STORED, ("WWW-Authenticate", "Bearer")), b"", "refused")
#: The verdict on a report: its body is to be taken in.
TAKE_REPORT: Final = Answer(200, _NOT_STORED, b"", "reported")
_OUTSIDE: Final[Headers] = tuple((name, "") for name in STANCHION_FIELDS)


# The classes here are built for each request; `__init__` written out: docs/performance.md.
@dataclass(slots=True, init=False)
class AskedHead(RequestHead):
    """The head of a visitor's request, as a load balancer tells it at an endpoint."""

    endpoint: Endpoint | None
    """None if there is no endpoint at the path that was asked."""
    may_report: bool | None
    """Whether a report has its token. None if this is no report."""


@dataclass(slots=True, init=False)
class AskContext(RequestContext):
    """What a head means that a load balancer asks about."""

    inner: DecisionContext
    endpoint: Endpoint
    allowed: "Allowed | None"
    """The answer for the verdict `forward`: the same object while the pass is not renewed. A memo."""
    forward: Forward | None

    def __init__(self, inner: DecisionContext, endpoint: Endpoint) -> None:
        self.head = inner.head
        self.wants_page = inner.wants_page
        self.is_verified = inner.is_verified
        self.inner = inner
        self.endpoint = endpoint
        self.allowed = None
        self.forward = None


@dataclass(slots=True, init=False)
class FixedContext(RequestContext):
    """A request to the plugin listener itself. The answer follows from its head."""

    answer: Answer
    needs_cookie: bool
    """The answer depends on the visitor's cookies."""

    def __init__(self, head: RequestHead, answer: Answer, *, needs_cookie: bool = False) -> None:
        self.head = head
        self.wants_page = False
        self.is_verified = False
        self.answer = answer
        self.needs_cookie = needs_cookie


@dataclass(slots=True, init=False)
class Allowed(Answer):
    """The request may pass. `cookies` holds all fields of this visitor: those for the shop come first."""

    def __init__(self, endpoint: Endpoint, outcome: str, to_shop: Headers, to_visitor: Headers) -> None:
        self.status = 200
        self.headers = endpoint.allow_headers
        self.body = b""
        self.outcome = outcome
        self.cookies = to_shop + to_visitor


class AskDecider(Decider):
    """Decides for load balancers, by the pipeline of this node.

    clock(): wall clock, seconds. later(seconds, call): call then, unless the returned function was called before.
    """

    def __init__(self, pipeline: Pipeline, metrics: Metrics, clock: Callable[[], float], later: Later) -> None:
        self._pipeline = pipeline
        self._metrics = metrics
        self._clock = clock
        self._later = later

    def classify(self, head: RequestHead, is_last_hop: bool = False) -> RequestContext:
        if not isinstance(head, AskedHead):
            # A path of the edge's own, which load balancers route here: served as in path.
            context = self._pipeline.classify(head, is_last_hop)
            if context.answer is not None and context.answer.status == 404 and head.target.startswith(ENTER_PATH):
                refused = self._pipeline.refused(403, _NO_COOKIES, wants_page=True)
                return FixedContext(head, enter(head) or refused, needs_cookie=True)
            return context
        if head.may_report is not None:
            return FixedContext(head, self._report_answer(head, may_report=head.may_report))
        if head.endpoint is None:
            return FixedContext(head, self._pipeline.refused(404, _UNKNOWN))
        if not head.target:
            return FixedContext(head, self._pipeline.refused(400, _NO_TARGET))
        return AskContext(self._pipeline.classify(head, is_last_hop), head.endpoint)

    def _report_answer(self, head: RequestHead, *, may_report: bool) -> Answer:
        if not may_report:
            return _NO_TOKEN
        return TAKE_REPORT if head.method == "POST" else self._pipeline.refused(405, "reports are sent by POST")

    def take_report(self, body: bytes, now: float) -> Answer:
        """Take in reports of the shop's answers; return the answer to the reporter."""
        answer, taken, refused = take_reports(body, self._pipeline, now)
        self._metrics.reports.of("taken").new += taken
        self._metrics.reports.of("refused").new += refused
        return answer

    def classify_like(self, like: RequestContext, head: RequestHead) -> RequestContext:
        if isinstance(like, AskContext):
            return AskContext(self._pipeline.classify_like(like.inner, head), like.endpoint)
        if isinstance(like, FixedContext):
            return self.classify(head) if like.needs_cookie else FixedContext(head, like.answer)
        return self._pipeline.classify_like(like, head)

    def decide(self, context: RequestContext, now: float, u: float) -> Verdict:
        if not isinstance(context, AskContext):
            if isinstance(context, FixedContext):
                return context.answer
            return self._pipeline.decide(context, now, u)
        if context.endpoint.is_check:
            checked = self._pipeline.check(context.inner, now)
            if checked is None:
                return self._told(context, _NO_PASS)
            return self._allow(context, checked)
        return self._render(context, self._pipeline.decide(context.inner, now, u))

    def _render(self, context: AskContext, verdict: Verdict) -> Answer | Deferred:
        if isinstance(verdict, Forward):
            return self._allow(context, verdict)
        if isinstance(verdict, Deferred):
            return self._defer(context, verdict)
        if isinstance(verdict, TakeForm):
            # The load balancer has the body, so no form can be kept here.
            return self._answer(context, verdict.then(None))
        return self._answer(context, verdict)

    def _answer(self, context: AskContext, answer: Answer) -> Answer:
        """Return the answer with a status that the dialect can carry."""
        status = context.endpoint.carried(answer.status)
        if status != answer.status:
            answer = Answer(status, answer.headers, answer.body, answer.outcome, answer.cookies)
        return self._told(context, answer)

    def _allow(self, context: AskContext, forward: Forward) -> Answer:
        endpoint = context.endpoint
        if forward.replay is not None:
            # The load balancer sends the visitor's own request. The form stays kept.
            forward.replay.put_back()
            forward.replay = None
        allowed = context.allowed
        if allowed is None or context.forward is not forward:
            to_visitor = forward.response_headers
            cookies = sum(name == "Set-Cookie" for name, _ in to_visitor)
            if cookies and endpoint.redirects:
                redirect = redirect_with(context.inner, to_visitor)
                if redirect is not None:
                    self._metrics.asks.count(endpoint.dialect, "redirect")
                    return redirect
                if forward.visitor_pass is not None and not isinstance(context.inner.credential, Pass):
                    # An app would lose its pass. The document carries it, and the app asks again.
                    return self._answer(context, self._pipeline.admission(context.inner, forward))
                # The pass is only renewed: the next page does it.
                to_visitor = _without_cookies(to_visitor, 0)
            elif endpoint.most_cookies is not None and cookies > endpoint.most_cookies:
                to_visitor = _without_cookies(to_visitor, endpoint.most_cookies)
            allowed = Allowed(endpoint, forward.outcome, _to_upstream(forward), to_visitor)
            if forward is context.inner.entered:
                context.allowed, context.forward = allowed, forward
        self._metrics.asks.count(endpoint.dialect, "allow")
        return allowed

    def _told(self, context: AskContext, answer: Answer) -> Answer:
        self._metrics.asks.count(context.endpoint.dialect, "answer")
        return answer

    def _defer(self, context: AskContext, verdict: Deferred) -> Deferred:
        hasten, park_s = verdict.hasten, context.endpoint.park_s

        def ask(then: Callable[[Verdict], None]) -> Callable[[], None] | None:
            ends: list[Callable[[], None]] = []

            def settle(later: Verdict) -> None:
                for end in ends:
                    end()
                then(self._render(context, later))

            hang_up = verdict.ask(settle)
            if hasten is not None:
                ends.append(self._later(park_s, lambda: hasten(self._clock())))
            if hang_up is None:
                return None

            def leave() -> None:
                for end in ends:
                    end()
                hang_up()

            return leave

        return Deferred(ask)

    def failed(self, head: RequestHead, code: int, retry_after_s: int | None = None, *, is_sent: bool = True) -> Answer:
        return self._pipeline.failed(head, code, retry_after_s, is_sent=is_sent)

    def refused(self, code: int, detail: str, *, wants_page: bool = False) -> Answer:
        return self._pipeline.refused(code, detail, wants_page=wants_page)

    def observe(
        self, context: RequestContext, forward: Forward, headers: Iterable[tuple[str, str]], now: float
    ) -> Headers:
        return self._pipeline.observe(cast(AskContext, context).inner, forward, headers, now)

    def set_upstream_down(self, is_down: bool, now: float) -> None:
        """The plugin listener has no upstream."""


_NO_COOKIES: Final = (
    "Your browser did not send back the cookie that holds your place. Allow cookies for this site, then open the page"
    " again."
)
_NO_TARGET: Final = (
    "the field X-Forwarded-Uri is missing: the load balancer must send the target that the visitor asked for"
)
_UNKNOWN: Final = "no endpoint of plugins.endpoints is at this path, and it is none of /_stanchion/*"


def _without_cookies(fields: Headers, most: int) -> Headers:
    """Return the fields with `most` cookies only: first those that set a value, then those that remove an old one."""
    cookies = [field for field in fields if field[0] == "Set-Cookie"]
    setting = [field for field in cookies if "; Max-Age=0;" not in field[1]]
    kept = (setting + [field for field in cookies if field not in setting])[:most]
    return tuple([field for field in fields if field[0] != "Set-Cookie" or field in kept])


def _to_upstream(forward: Forward) -> Headers:
    """Return the `X-Stanchion-*` fields. Not `traceparent`: the load balancer traces its own request."""
    fields = forward.request_headers or _OUTSIDE
    if len(fields) == len(STANCHION_FIELDS):
        return fields
    return tuple(field for field in fields if field[0] in STANCHION_FIELDS)
