"""What a request's head says, whenever it comes: the first half of a decision, which may be remembered."""

from dataclasses import dataclass
from math import inf

from edge.messages.context import RequestContext
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Forward
from edge.rooms.room import Room
from edge.shield.shield import Limits, Watched
from waiting_room.ticket import JoinToken, Pass, Rejected, Ticket

__all__ = ["DecisionContext"]


@dataclass(slots=True, init=False)  # never changed, yet not `frozen`; `__init__` by hand: docs/performance.md
class DecisionContext(RequestContext):
    """What a head means to the decision."""

    answer: Answer | None
    """Set when there is nothing to decide: a refusal, a file."""
    room: Room | None
    credential: Ticket | Pass | JoinToken | Rejected | None
    is_poll: bool
    """Asked at the status address: an admission is told, not forwarded."""
    limits: Limits
    """What each request with this head counts for."""
    premium_until: float
    """Until when these limits are a premium visitor's; 0: they are not. Wall clock, seconds."""
    watched: Watched | None
    """What robots are known by in it."""
    solution: str
    """Of a challenge (`edge/rooms/join_challenge.py`), '' when there is none."""
    binding_mismatch: bool
    """The pass was given to another browser or network, and is bound to it."""

    entered: Forward | None
    """What becomes of a request with this head while its pass counts and is not renewed."""
    place: float
    """Of the ticket: by what the gate knows its visitor (`Room.ask`); inf: there is none, behind everybody."""
    first_seen_json: bytes
    """Of the ticket: as documents tell it; worked out for the first of them."""

    def __init__(
        self,
        head: RequestHead,
        answer: Answer | None = None,
        room: Room | None = None,
        credential: Ticket | Pass | JoinToken | Rejected | None = None,
        wants_page: bool = False,
        is_poll: bool = False,
        limits: Limits = (),
        premium_until: float = 0.0,
        watched: Watched | None = None,
        solution: str = "",
        binding_mismatch: bool = False,
        entered: Forward | None = None,
    ) -> None:
        self.head = head
        self.wants_page = wants_page
        self.is_verified = isinstance(credential, (Ticket, Pass))
        self.answer = answer
        self.room = room
        self.credential = credential
        self.is_poll = is_poll
        self.limits = limits
        self.premium_until = premium_until
        self.watched = watched
        self.solution = solution
        self.binding_mismatch = binding_mismatch
        self.entered = entered
        self.place = inf
        self.first_seen_json = b""
