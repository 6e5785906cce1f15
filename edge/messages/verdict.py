"""What the decision answers to a request, as values.

    Answer     the edge answers itself: the waiting page, the status document, a refusal, a file of its own
    Forward    the request goes to the upstream, with fields to add for the upstream and for the visitor
    Deferred   the verdict comes later and the connection waits: other nodes are asked, or the poll is parked
    TakeForm   the request's body is read first: the edge keeps the form of a waiting visitor

A decision does no I/O. Each way that the line can be attached renders these values: the proxy carries them out
(`edge/proxy/client.py`), a plugin endpoint tells them to a load balancer in its dialect (`edge/plugins/asking.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from mypy_extensions import mypyc_attr

from waiting_room.ticket import Pass

__all__ = [
    "Answer",
    "Deferred",
    "Fields",
    "Forward",
    "Headers",
    "Replay",
    "SentForm",
    "TakeForm",
    "UpstreamObserver",
    "Verdict",
]

Headers = tuple[tuple[str, str], ...]


@mypyc_attr(allow_interpreted_subclasses=True)
class UpstreamObserver(ABC):
    """Hears how the upstream responds. Times are monotonic seconds; `key` identifies the exchange."""

    @abstractmethod
    def asked(self, key: object, now: float) -> None:
        """Take note that an exchange asks for a connection to the upstream."""

    @abstractmethod
    def answered(self, key: object, now: float, *, is_failure: bool) -> None:
        """Take note that the head of a response has arrived, or that none will."""

    @abstractmethod
    def ended(self, key: object) -> None:
        """Take note that the exchange is over, with or without a response."""


# Not changed after they are built, yet not `frozen`, because one is built for every poll: docs/performance.md.
@dataclass(slots=True, init=False)
class Answer:
    """A whole response of the edge's own. The proxy adds `Content-Length`, `Date` and `Connection`."""

    status: int
    headers: Headers
    """Answers with the same fields share one object, so that it is rendered once."""
    body: bytes
    outcome: str
    """The word for metrics and the access log: 'waiting', 'refused', 'static', ..."""
    cookies: Headers
    """This visitor's own `Set-Cookie` fields. All other fields are in `headers`, which many answers share."""

    def __init__(self, status: int, headers: Headers, body: bytes, outcome: str, cookies: Headers = ()) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.outcome = outcome
        self.cookies = cookies


#: Fields of a head, as bytes.
Fields = tuple[tuple[bytes, bytes], ...]


@final
@dataclass(frozen=True, slots=True)
class Replay:
    """The request that goes to the upstream in place of the visitor's own: a form that was kept, or another target."""

    method: str
    target: str
    fields: Fields
    """They replace the visitor's own fields that describe a body or a page."""
    body: bytes
    put_back: Callable[[], None]
    """Called if not a byte of the request was sent: the form may be sent later."""


@final
@dataclass(frozen=True, slots=True)
class SentForm:
    """A form as a visitor has sent it: its body, and the fields that belong to it."""

    fields: Fields
    body: bytes


@final
@dataclass(frozen=True, slots=True)
class TakeForm:
    """Read the request's body before the answer. most: the longest body in bytes."""

    most: int
    then: "Callable[[SentForm | None], Answer]"
    """Returns the answer. None: the body is too long and was not read."""


@final
@dataclass(slots=True, init=False)
class Forward:
    """Stream the request to the upstream and the response back."""

    room: str | None
    """The room that the visitor is in, or None if no room covers the path."""
    request_headers: Headers
    """Fields to add for the upstream. The client's own fields of these names are removed first."""
    response_headers: Headers
    """Fields to add for the visitor: the pass, `Stanchion-State`."""
    visitor_pass: Pass | None
    """The pass under which the request is forwarded, or None outside of rooms. The upstream's commands act on it."""
    outcome: str
    observer: UpstreamObserver | None
    """Hears how the upstream responds. None if nobody needs to know."""
    max_body_bytes: int | None
    """The longest request body. None if the edge's general limit applies."""
    replay: Replay | None
    """The request to send in place of the visitor's own; nearly always None."""

    def __init__(
        self,
        room: str | None,
        request_headers: Headers,
        response_headers: Headers,
        visitor_pass: Pass | None = None,
        outcome: str = "forwarded",
        observer: UpstreamObserver | None = None,
        max_body_bytes: int | None = None,
        replay: Replay | None = None,
    ) -> None:
        self.room = room
        self.request_headers = request_headers
        self.response_headers = response_headers
        self.visitor_pass = visitor_pass
        self.outcome = outcome
        self.observer = observer
        self.max_body_bytes = max_body_bytes
        self.replay = replay


@final
@dataclass(slots=True, init=False)
class Deferred:
    """The verdict depends on other nodes (`edge/rooms/redemption.py`) or on the next moments of a parked poll
    (`controller/polling/parked_polls.py`)."""

    ask: "Callable[[Callable[[Verdict], None]], Callable[[], None] | None]"
    """ask(then) starts the wait; then(verdict) is called once, later.

    It returns a function to call if the visitor leaves before. If it returns None, `then` is called in any case.
    """
    hasten: "Callable[[float], None] | None"
    """hasten(now) ends the wait early with the verdict of that moment. None if the wait cannot be shortened. To be
    called after `ask`; it does nothing if the wait is over."""

    def __init__(
        self,
        ask: "Callable[[Callable[[Verdict], None]], Callable[[], None] | None]",
        hasten: "Callable[[float], None] | None" = None,
    ) -> None:
        self.ask = ask
        self.hasten = hasten


Verdict = Answer | Forward | Deferred | TakeForm
