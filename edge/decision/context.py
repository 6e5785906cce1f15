"""The decision's own request context: what a head means to the decision, whenever it arrives."""

from dataclasses import dataclass

from edge.decision.visits import VISIT
from edge.messages.context import RequestContext
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Forward, Headers
from edge.rooms.room import Room
from edge.shield.shield import Limits, Watched
from waiting_room.links import Claim
from waiting_room.placeholders import Coding
from waiting_room.places import NO_PLACE
from waiting_room.ticket import JoinToken, Pass, Rejected, Ticket

__all__ = ["Credential", "DecisionContext"]

Credential = Ticket | Pass | JoinToken


# Built once, by the classifier, and not changed afterwards, yet not `frozen`; `__init__` written out:
# docs/performance.md.
@dataclass(slots=True, init=False)
class DecisionContext(RequestContext):
    """What a head means to the decision."""

    answer: Answer | None
    """Set if there is nothing to decide: a refusal, or a file of the edge's own."""
    room: Room | None
    """The room that covers the request; None if no room does."""
    credential: Credential | Rejected | None
    """What the room's cookie holds: a credential, or why it is none. None without a cookie."""
    place: int
    """The ticket's place in line (`waiting_room.places.place_of`); NO_PLACE, behind everybody, without a ticket."""
    is_status_request: bool
    """The status address is requested: an admission is answered with a document, not forwarded."""
    solution: str
    """The solution of a join challenge, '' if there is none."""
    is_mismatch: bool
    """The pass is bound to another browser or network than the one that shows it."""
    entered: Forward | None
    """The verdict while the pass counts and is not renewed. None without a pass, and for polls."""
    first_seen_json: bytes
    """The ticket's `first_seen` as the status document shows it. Set for polls only."""
    limits: Limits
    """What each request with this head counts for."""
    premium_until: float
    """`limits` are those of a premium visitor until then; 0 if they are not. Wall clock, seconds."""
    later_limits: Limits
    """What requests count for from `premium_until` on."""
    watched: Watched | None
    """What the shield watches in requests with this head."""
    kind: int
    """Whether the request is a visit (`visits.py`). Another kind counts only with a pass or ticket."""
    cors: Headers
    """The fields that let a page of another origin read the edge's answers (`cors.py`)."""
    next_best: "DecisionContext | None"
    """The same request with the next best of several cookies of one name. None if there is one cookie, or none."""
    has_duplicates: bool
    """There are several cookies of one name. The one that counts is set again, and the others are removed. Or the
    ticket is that of another lane than the cookie's, and is set too."""
    link: tuple[str, str] | None
    """The kind and the token of the link in the address (`link_opening.py`); None if it holds none."""
    staff: Claim | None
    """The claim of a staff link that this browser opened."""
    bypass: str
    """Why the sender never waits, or may not have to (`bypass.py`); '' for everybody else."""
    is_exceptional: bool
    """`link`, `staff`, `bypass` or `claim_until` is set. Nearly all requests have none, which one look tells."""
    claim_until: float
    """Until when the claim counts that chose the lane (`lanes.py`): wall clock, seconds; 0 if none did."""
    has_form: bool
    """The target names a form that was kept while the visitor waited (`forms.py`)."""
    coding: Coding | None
    """The coding of a page for this client; None if it is not worked out. Heads of one template share it."""

    def __init__(
        self,
        head: RequestHead,
        answer: Answer | None = None,
        room: Room | None = None,
        credential: Credential | Rejected | None = None,
        place: int = NO_PLACE,
        wants_page: bool = False,
        is_status_request: bool = False,
        solution: str = "",
        is_mismatch: bool = False,
        entered: Forward | None = None,
        first_seen_json: bytes = b"",
        limits: Limits = (),
        premium_until: float = 0.0,
        later_limits: Limits = (),
        watched: Watched | None = None,
        kind: int = VISIT,
        cors: Headers = (),
        next_best: "DecisionContext | None" = None,
        has_duplicates: bool = False,
        has_form: bool = False,
    ) -> None:
        self.head = head
        self.wants_page = wants_page
        self.is_verified = isinstance(credential, (Ticket, Pass))
        self.answer = answer
        self.room = room
        self.credential = credential
        self.place = place
        self.is_status_request = is_status_request
        self.solution = solution
        self.is_mismatch = is_mismatch
        self.entered = entered
        self.first_seen_json = first_seen_json
        self.limits = limits
        self.premium_until = premium_until
        self.later_limits = later_limits
        self.watched = watched
        self.kind = kind
        self.cors = cors
        self.next_best = next_best
        self.has_duplicates = has_duplicates
        self.has_form, self.coding = has_form, None
        self.link, self.staff, self.bypass, self.claim_until, self.is_exceptional = None, None, "", 0.0, False
