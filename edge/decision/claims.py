"""The claims that a browser holds in cookies, and which of them counts: in this room, for this browser, not revoked.

    stanchion-claim             by the shop's word: to a lane of any room
    stanchion-claim-<room>      by an invite
    stanchion-staff-<room>      by a staff link

A claim counts for the browser family and the network that it was given to, as the room binds passes (`session.bind`),
and until it expires. So one copied claim is not a lane for everybody. Each room has cookies of its own, so neither the
shop's word nor a link to another room replaces the claim of a link.
"""

from collections.abc import Mapping, Set
from typing import Final

from edge.decision.cookies import Cookies
from edge.messages.head import RequestHead
from edge.messages.verdict import Headers
from edge.rooms.binding import Binding
from edge.rooms.room import Room
from waiting_room.links import BATCH_CHARACTERS, BY_SHOP, BY_STAFF_LINK, Claim, Links
from waiting_room.ticket import Pass

__all__ = ["CLAIM_COOKIE", "STAFF_COOKIE", "Claims", "cookie_of"]

#: How the names of the cookies begin. No room's cookie can have these names.
CLAIM_COOKIE: Final = "stanchion-claim"
STAFF_COOKIE: Final = "stanchion-staff"


def cookie_of(kind: str, room: str) -> str:
    """Return the name of the cookie for claims of this kind."""
    if kind == BY_SHOP:
        return CLAIM_COOKIE
    return f"{STAFF_COOKIE if kind == BY_STAFF_LINK else CLAIM_COOKIE}-{room}"


class Claims:
    """One node's. bindings: by room. revoked: the ids of links and batches that count no more."""

    def __init__(self, links: Links, cookies: Cookies, bindings: Mapping[str, Binding], revoked: Set[str]) -> None:
        self._links = links
        self._cookies = cookies
        self._bindings = bindings
        self._revoked = revoked

    def is_revoked(self, ident: str) -> bool:
        """Return whether a link, or its batch, counts no more."""
        return ident in self._revoked or ident[:BATCH_CHARACTERS] in self._revoked

    def best(self, kind: str, room: Room, head: RequestHead, after: float) -> Claim | None:
        """Return the claim of this kind that counts, of several the longest; None if there is none.

        after: claims that expire by then do not count. Wall clock, seconds; 0 for all of them.
        """
        best, of = None, "" if kind == BY_SHOP else room.name
        for claim in self._held(kind, room.name, head):
            if claim.room != of or claim.expires <= after or room.in_lane(claim.lane) is None:
                continue
            if self.is_revoked(claim.id) or (best is not None and claim.expires <= best.expires):
                continue
            if not self._bindings[room.name].is_mismatch(self._differing(claim, head)):
                best = claim
        return best

    def is_fresh(self, lane: str, head: RequestHead, until: float) -> bool:
        """Return whether the browser holds the shop's word for this lane, given to it where it is now, until then."""
        held = [claim for claim in self._held(BY_SHOP, "", head) if claim.lane == lane and claim.expires > until]
        return any(not self._differing(claim, head) for claim in held)

    def give(
        self, kind: str, room: str, lane: str, ident: str, expires: float, head: RequestHead, now: float
    ) -> Headers:
        """Return the cookie with a claim for this browser. room: '' by the shop's word. expires: wall clock."""
        claim = Claim(kind, room, lane, ident, expires, self._binding(room).binding_digest(ident, head))
        lifetime_s = max(1, int(expires - now))
        return self._cookies.write(cookie_of(kind, room), self._links.seal_claim(claim), lifetime_s, head)

    def take_back(self, head: RequestHead) -> Headers:
        """Return what removes the claim by the shop's word, if the browser has one."""
        return self._cookies.write(CLAIM_COOKIE, "", 0, head) if self._cookies.read(CLAIM_COOKIE, head) else ()

    def _held(self, kind: str, room: str, head: RequestHead) -> list[Claim]:
        found = [self._links.read_claim(value) for value in self._cookies.read(cookie_of(kind, room), head)]
        return [claim for claim in found if claim is not None and claim.kind == kind]

    def _binding(self, room: str) -> Binding:
        """Return what makes the digests of claims: for a claim to all rooms, which may differ, the first one's."""
        return self._bindings[room] if room else next(iter(self._bindings.values()))

    def _differing(self, claim: Claim, head: RequestHead) -> tuple[str, ...]:
        shown = Pass(claim.id, claim.room, 0.0, 0.0, claim.expires, claim.binding_digest)
        return self._binding(claim.room).differing(shown, head)
