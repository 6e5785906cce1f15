"""Which lane of a room a request belongs to, whenever it arrives.

    a pass                    the lane that its visitor was admitted from
    a ticket of a named lane  that lane
    else, the first of        a field of a trusted proxy        rooms[].lanes[].header
                              a claim by an invite              to this room (`claims.py`)
                              a claim by the shop's word        `Stanchion-Lane`
    else                      the general lane

A visitor of the general lane that gets a claim later changes lanes, and keeps the time of their arrival.
"""

from dataclasses import dataclass
from typing import Final

from edge.decision.claims import CLAIM_COOKIE, Claims
from edge.decision.context import Credential
from edge.messages.head import RequestHead
from edge.messages.verdict import Headers
from edge.rooms.room import Room
from waiting_room.links import BY_INVITE, BY_SHOP
from waiting_room.ticket import Pass, Rejected, Ticket

__all__ = ["ChosenLane", "LaneChoice"]

#: Seconds that the shop's word lasts. The shop renews it by saying so again.
SHOP_CLAIM_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class ChosenLane:
    """shown: what the visitor shows, their ticket for this lane if they had one of another (is_moved). until: when the
    claim that led here expires, 0 without one."""

    room: Room
    shown: Credential | Rejected | None
    is_moved: bool = False
    until: float = 0.0


class LaneChoice:
    """One node's."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    def choose(
        self, room: Room, credential: Credential | Rejected | None, head: RequestHead, after: float
    ) -> ChosenLane:
        """Return the lane of a room with lanes. room: its general lane. after: claims that expire by then do not count;
        wall clock, seconds, 0 for all of them."""
        held = credential.lane if isinstance(credential, (Ticket, Pass)) else ""
        found = room.in_lane(held) if held else None
        if found is not None or isinstance(credential, Pass):
            return ChosenLane(found or room, credential)
        named = self._by_header(room, head)
        if named is not None:
            return _entering(named, credential, 0.0)
        if CLAIM_COOKIE not in head.cookie:
            return ChosenLane(room, credential)
        claim = self._claims.best(BY_INVITE, room, head, after) or self._claims.best(BY_SHOP, room, head, after)
        entered = None if claim is None else room.in_lane(claim.lane)
        if claim is None or entered is None:
            return ChosenLane(room, credential)
        return _entering(entered, credential, claim.expires)

    def _by_header(self, room: Room, head: RequestHead) -> Room | None:
        metadata = head.metadata
        if not metadata.is_from_proxy:
            return None
        said = dict(metadata.named)
        for lane in room.settings.lanes:
            if lane.header is not None and said.get(lane.header.name.lower()) in lane.header.values:
                return room.in_lane(lane.name)
        return None

    def forget(self, head: RequestHead) -> Headers:
        """Return what removes the claim by the shop's word, if the browser has one."""
        return self._claims.take_back(head)

    def by_shop(self, lane: str, head: RequestHead, ident: str, now: float) -> Headers:
        """Return the cookie of a lane claim that the shop has given; nothing while the visitor's own is fresh."""
        if self._claims.is_fresh(lane, head, now + SHOP_CLAIM_S / 2):
            return ()
        return self._claims.give(BY_SHOP, "", lane, ident, now + SHOP_CLAIM_S, head, now)


def _entering(room: Room, shown: Credential | Rejected | None, until: float) -> ChosenLane:
    if isinstance(shown, Ticket) and shown.lane != room.lane:
        return ChosenLane(room, shown.in_lane(room.lane), True, until)
    return ChosenLane(room, shown, False, until)
