"""Which lane of a room a request belongs to, whenever it arrives.

    a pass                    the lane that its visitor was admitted from
    a ticket of a named lane  that lane
    else, the first of        a field of a trusted proxy        rooms[].lanes[].header
                              a claim in a cookie               by an invite, or by the shop's word
    else                      the general lane

A visitor with a ticket of the general lane who gets a claim later changes lanes, and keeps the time of their arrival.
A claim by an invite or by the shop's word counts for the browser family and the network that it was given to, as the
room binds passes (`session.bind`), and until it expires. So one copied claim is not a lane for everybody.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from math import inf
from typing import Final

from edge.decision.context import Credential
from edge.decision.cookies import Cookies
from edge.messages.head import RequestHead
from edge.messages.verdict import Headers
from edge.rooms.binding import Binding
from edge.rooms.room import Room
from waiting_room.links import BATCH_CHARACTERS, BY_INVITE, BY_SHOP, Claim, Links
from waiting_room.ticket import Pass, Rejected, Ticket

__all__ = ["CLAIM_COOKIE", "STAFF_COOKIE", "ChosenLane", "LaneChoice", "without_claim"]

#: No room's cookie can have these names.
CLAIM_COOKIE: Final = "stanchion-claim"
STAFF_COOKIE: Final = "stanchion-staff"
#: Seconds that the shop's word lasts. The shop renews it by saying so again.
SHOP_CLAIM_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class ChosenLane:
    """shown: what the visitor shows, their ticket for this lane if they had one of another (is_moved). until: when the
    claim that led here expires, infinite without one."""

    room: Room
    shown: Credential | Rejected | None
    is_moved: bool = False
    until: float = inf


class LaneChoice:
    """One node's. bindings: by room. revoked: the ids of links that count no more."""

    def __init__(
        self, links: Links, cookies: Cookies, bindings: Mapping[str, Binding], revoked: Set[str] = frozenset()
    ) -> None:
        self._links = links
        self._cookies = cookies
        self._bindings = bindings
        self._revoked = revoked

    def choose(self, room: Room, credential: Credential | Rejected | None, head: RequestHead) -> ChosenLane:
        """Return the lane of a room with lanes. room: its general lane."""
        held = credential.lane if isinstance(credential, (Ticket, Pass)) else ""
        found = room.in_lane(held) if held else None
        if found is not None or isinstance(credential, Pass):
            return ChosenLane(found or room, credential)
        named = self._by_header(room, head)
        if named is not None:
            return _entering(named, credential, inf)
        claim = self._claim(room, head)
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

    def _claim(self, room: Room, head: RequestHead) -> Claim | None:
        """Return the claim to a lane of this room that lasts longest."""
        best: Claim | None = None
        for value in self._cookies.read(CLAIM_COOKIE, head):
            claim = self._links.read_claim(value)
            if claim is None or claim.kind not in (BY_INVITE, BY_SHOP) or self._is_revoked(claim):
                continue
            if claim.room not in ("", room.name) or not self._is_bound_to(claim, room, head):
                continue
            if best is None or claim.expires > best.expires:
                best = claim
        return best

    def _is_revoked(self, claim: Claim) -> bool:
        return claim.id in self._revoked or claim.id[:BATCH_CHARACTERS] in self._revoked

    def _is_bound_to(self, claim: Claim, room: Room, head: RequestHead) -> bool:
        binding = self._bindings[room.name]
        shown = Pass(claim.id, claim.room, 0.0, 0.0, claim.expires, claim.binding_digest)
        return not binding.is_mismatch(binding.differing(shown, head))

    def cookie(self, claim: Claim, head: RequestHead, now: float) -> Headers:
        """Return the cookie that holds a claim."""
        lifetime_s = max(1, int(claim.expires - now))
        return self._cookies.write(CLAIM_COOKIE, self._links.seal_claim(claim), lifetime_s, head)

    def forget(self, head: RequestHead) -> Headers:
        """Return what removes the cookie of a claim, if the browser has one."""
        return self._cookies.write(CLAIM_COOKIE, "", 0, head) if CLAIM_COOKIE in head.cookie else ()

    def by_shop(self, lane: str, head: RequestHead, ident: str, now: float) -> Headers:
        """Return the cookie for a visitor whom the shop has put into a lane; nothing while theirs is fresh."""
        binding = next(iter(self._bindings.values()), None)
        if binding is None:
            return ()
        for value in self._cookies.read(CLAIM_COOKIE, head):
            shown = self._links.read_claim(value)
            if shown is not None and shown.lane == lane and shown.kind == BY_SHOP:
                is_fresh = shown.expires - now > SHOP_CLAIM_S / 2
                if is_fresh and not any(
                    each.differing(Pass(shown.id, "", 0.0, 0.0, shown.expires, shown.binding_digest), head)
                    for each in self._bindings.values()
                ):
                    return ()
        claim = Claim(BY_SHOP, "", lane, ident, now + SHOP_CLAIM_S, binding.binding_digest(ident, head))
        return self.cookie(claim, head, now)


def _entering(room: Room, shown: Credential | Rejected | None, until: float) -> ChosenLane:
    if isinstance(shown, Ticket) and shown.lane != room.lane:
        return ChosenLane(room, shown.in_lane(room.lane), True, until)
    return ChosenLane(room, shown, False, until)


def without_claim(head: RequestHead) -> RequestHead:
    """Return a head as it would be without the cookie of a claim, which has expired."""
    cookie = "; ".join([each for each in head.cookie.split("; ") if CLAIM_COOKIE not in each.partition("=")[0]])
    return RequestHead(
        head.method, head.target, head.host, head.scheme, head.client_ip, cookie, head.accept, head.fetch_mode,
        head.referer, head.if_none_match, head.accept_encoding, head.user_agent, head.accept_language,
        head.forwarded_host, head.metadata,
    )  # fmt: skip
