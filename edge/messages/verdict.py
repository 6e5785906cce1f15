"""What the pipeline decides, as values: answer now, or forward to the upstream.

    Answer    the edge speaks itself: the page, the status document, a refusal, a file of its own
    Forward   the request goes to the upstream, with what the upstream is told and what the visitor is given
    Deferred    the verdict comes later, and the connection waits: other nodes have a say, or it is nearly their turn

No I/O happens in a decision; the shell matches on these in one place and does what they say.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from waiting_room.ticket import Pass

__all__ = ["Answer", "Deferred", "Forward", "Headers", "UpstreamObserver", "Verdict"]

Headers = tuple[tuple[str, str], ...]


class UpstreamObserver(ABC):
    """Is told how the upstream answers. Times are monotonic seconds; `key` is the exchange, whatever it is."""

    @abstractmethod
    def asked(self, key: object, now: float) -> None:
        """A connection to the upstream is wanted."""

    @abstractmethod
    def answered(self, key: object, now: float, *, is_failure: bool) -> None:
        """The head of a response has arrived, or it is certain that none will."""

    @abstractmethod
    def ended(self, key: object) -> None:
        """The exchange is over, answered or not."""


@dataclass(slots=True, init=False)  # never changed, but made for every poll: docs/performance.md
class Answer:
    """A whole response of the edge's own. `Content-Length`, `Date` and `Connection` are the shell's to add."""

    status: int
    headers: Headers
    """The same object for answers that have the same fields, so that it is rendered once."""
    body: bytes
    outcome: str
    """Why, for metrics and the access log: 'waiting', 'refused', 'static', ..."""
    cookies: Headers
    """This visitor's own `Set-Cookie` fields. All other fields are in `headers`, which many answers share."""

    def __init__(self, status: int, headers: Headers, body: bytes, outcome: str, cookies: Headers = ()) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.outcome = outcome
        self.cookies = cookies


@final
@dataclass(slots=True, init=False)  # as above
class Forward:
    """Stream the request to the upstream and its answer back."""

    room: str | None
    """The room that was passed; None when no room covers the path."""
    request_headers: Headers
    """To add for the upstream, after everything of these names was stripped from what the client sent."""
    response_headers: Headers
    """To add for the visitor: the pass, `Stanchion-State`."""
    visitor_pass: Pass | None
    """The pass it goes by, for the upstream's commands and the log; None outside of rooms."""
    outcome: str
    observer: UpstreamObserver | None
    """Is told how the upstream answers; None if nobody needs to know."""
    max_body_bytes: int | None
    """The longest request body; None if the edge's general limit holds."""

    def __init__(
        self,
        room: str | None,
        request_headers: Headers,
        response_headers: Headers,
        visitor_pass: Pass | None = None,
        outcome: str = "forwarded",
        observer: UpstreamObserver | None = None,
        max_body_bytes: int | None = None,
    ) -> None:
        self.room = room
        self.request_headers = request_headers
        self.response_headers = response_headers
        self.visitor_pass = visitor_pass
        self.outcome = outcome
        self.observer = observer
        self.max_body_bytes = max_body_bytes


@final
@dataclass(slots=True, init=False)
class Deferred:
    """Whether the visitor is let in depends on what other nodes say (`edge/rooms/redemption.py`), or on the next moment
    (`controller/polling/parked_polls.py`)."""

    ask: "Callable[[Callable[[Verdict], None]], Callable[[], None] | None]"
    """ask(then): then(verdict) is called once, later. Returns what is to be called when the visitor has gone before;
    None: then is called all the same."""

    def __init__(self, ask: "Callable[[Callable[[Verdict], None]], Callable[[], None] | None]") -> None:
        self.ask = ask


Verdict = Answer | Forward | Deferred
