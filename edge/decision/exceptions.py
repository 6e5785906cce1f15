"""Whether a request is an exception, found out once for a head: it has the claim of a staff link, comes from a sender
that never waits, or has a lane claim that ends. Nearly all requests are none (`DecisionContext.is_exceptional`)."""

from edge.decision.bypass import Bypass
from edge.decision.claims import STAFF_COOKIE, Claims
from edge.decision.context import DecisionContext
from edge.decision.visits import ACTION
from edge.messages.head import RequestHead
from waiting_room.links import BY_STAFF_LINK

__all__ = ["Exceptions"]


class Exceptions:
    """One node's. bypass: None if no sender may bypass the line."""

    def __init__(self, claims: Claims, bypass: Bypass | None) -> None:
        self._claims = claims
        self._bypass = bypass
        self._is_on = bypass is not None

    def may_hold(self, head: RequestHead) -> bool:
        """Return whether a head has to be looked at."""
        return self._is_on or STAFF_COOKIE in head.cookie

    def note(self, made: DecisionContext, claim_until: float, after: float) -> None:
        """Note in a context what makes its request an exception.

        claim_until: when the claim to its lane ends, 0 without one. after: claims that expire by then do not count.
        """
        room, head = made.room, made.head
        if room is None:
            return
        made.claim_until = claim_until
        if made.kind != ACTION:  # the edge answers those itself
            if STAFF_COOKIE in head.cookie:
                made.staff = self._claims.best(BY_STAFF_LINK, room, head, after)
            if self._bypass is not None:
                made.bypass = self._bypass.reason(head)
        made.is_exceptional = claim_until > 0.0 or made.staff is not None or made.bypass != ""
