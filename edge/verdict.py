"""What the pipeline decides, as values: answer now, or forward to the upstream.

    Answer    the edge speaks itself: the page, the status document, a refusal, a file of its own
    Forward   the request goes to the upstream, with what the upstream is told and what the visitor is given
    Asking    the verdict comes later, and the connection waits: other nodes have a say, or it is nearly their turn

No I/O happens in a decision; the shell matches on these in one place and does what they say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from waiting_room.ticket import Pass

__all__ = ["Answer", "Asking", "Forward", "Headers", "Verdict"]

Headers = tuple[tuple[str, str], ...]


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
    held: Pass | None
    """The pass it goes by, for the upstream's commands and the log; None outside of rooms."""
    outcome: str

    def __init__(
        self,
        room: str | None,
        request_headers: Headers,
        response_headers: Headers,
        held: Pass | None = None,
        outcome: str = "forwarded",
    ) -> None:
        self.room = room
        self.request_headers = request_headers
        self.response_headers = response_headers
        self.held = held
        self.outcome = outcome


@final
@dataclass(slots=True, init=False)
class Asking:
    """Whether the visitor is let in depends on what other nodes say (`edge/cluster/grants.py`), or on the next moment
    (`controller/held.py`)."""

    ask: "Callable[[Callable[[Verdict], None]], Callable[[], None] | None]"
    """ask(then): then(verdict) is called once, later. Returns what is to be called when the visitor has gone before;
    None: then is called all the same."""

    def __init__(self, ask: "Callable[[Callable[[Verdict], None]], Callable[[], None] | None]") -> None:
        self.ask = ask


Verdict = Answer | Forward | Asking
