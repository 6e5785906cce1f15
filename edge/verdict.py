"""What the pipeline decides, as values: answer now, or forward to the upstream.

    Answer    the edge speaks itself: the page, the status document, a refusal, a file of its own
    Forward   the request goes to the upstream, with what the upstream is told and what the visitor is given
    Asking    other nodes have a say: the verdict comes later, and the connection waits for it

No I/O happens in a decision; the shell matches on these in one place and does what they say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from waiting_room.ticket import Pass

__all__ = ["Answer", "Asking", "Forward", "Headers", "Verdict"]

Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)  # a value as the others, but one is made for every poll, and `frozen` doubles its price
class Answer:
    """A whole response of the edge's own. `Content-Length`, `Date` and `Connection` are the shell's to add."""

    status: int
    headers: Headers
    """The same object for answers that have the same fields, so that it is rendered once."""
    body: bytes
    outcome: str
    """Why, for metrics and the access log: 'waiting', 'refused', 'static', ..."""
    cookies: Headers = ()
    """This visitor's own `Set-Cookie` fields. All other fields are in `headers`, which many answers share."""


@final
@dataclass(slots=True)  # as above
class Forward:
    """Stream the request to the upstream and its answer back."""

    room: str | None
    """The room that was passed; None when no room covers the path."""
    request_headers: Headers
    """To add for the upstream, after everything of these names was stripped from what the client sent."""
    response_headers: Headers
    """To add for the visitor: the pass, `Stanchion-State`."""
    held: Pass | None = None
    """The pass it goes by, for the upstream's commands and the log; None outside of rooms."""
    outcome: str = "forwarded"


@final
@dataclass(slots=True)
class Asking:
    """Whether the visitor is let in depends on what other nodes say (`edge/cluster/grants.py`)."""

    ask: "Callable[[Callable[[Verdict], None]], None]"
    """ask(then): then(verdict) is called once, later."""


Verdict = Answer | Forward | Asking
