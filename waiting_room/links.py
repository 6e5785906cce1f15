"""Invites, staff links, and the claims that they leave in a browser: signed texts that anybody can read.

    link     i1 . checkout . members . <id> . 1 . 1763719260 . <signature>        in an address, as ?stanchion_invite=
             |    |          |         |      |   expires, whole seconds
             |    |          |         |      uses: how many browsers may open it; 0: any number
             |    |          |         96 random bits, base64url, the first half of them the same in a batch: an
             |    |          |         operator revokes a link or a batch by it
             |    |          the lane, '' of a staff link
             |    room
             kind and version: i1 an invite, s1 a staff link (?stanchion_staff=)

    claim    c1 . i . checkout . members . <id> . 1763719260 . <binding digest> . <signature>          in a cookie
                  |   |                                        of browser family and network, as in a pass
                  |   room; '' in a claim by the shop's word: any room with such a lane
                  the kind: i by an invite, s by a staff link, w by the shop's word

Nothing raises: a text that is not authentic is None. Nothing reads a clock: `expires` is for the caller to compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from waiting_room.signature import Signatures

__all__ = [
    "BATCH_CHARACTERS",
    "BY_INVITE",
    "BY_SHOP",
    "BY_STAFF_LINK",
    "LINK_CHARACTERS",
    "Claim",
    "Link",
    "Links",
]

BY_INVITE: Final = "i"
BY_STAFF_LINK: Final = "s"
BY_SHOP: Final = "w"
#: Characters of the id of a link, and those of them that all links of a batch have in common.
LINK_CHARACTERS: Final = 16
BATCH_CHARACTERS: Final = 8
#: Longer texts are not read.
MAX_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Link:
    """An invite or a staff link. expires: Unix time in seconds. uses: browsers that may open it; 0: any number."""

    kind: str
    room: str
    lane: str
    id: str
    uses: int
    expires: float


@dataclass(frozen=True, slots=True)
class Claim:
    """What a browser holds after it opened a link, or after the shop's word. expires: Unix time in seconds."""

    kind: str
    room: str
    lane: str
    id: str
    expires: float
    binding_digest: str = ""


class Links:
    """Signs and opens links and claims. keys: secrets, newest first. The first one signs, all verify."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._links = Signatures(keys, b"stanchion.link.v1")
        self._claims = Signatures(keys, b"stanchion.claim.v1")

    def seal(self, link: Link) -> str:
        """Return the text of a link."""
        text = f"{link.kind}1.{link.room}.{link.lane}.{link.id}.{link.uses}.{int(link.expires)}"
        return self._links.sign(text.encode()).decode()

    def read(self, text: str, kind: str) -> Link | None:
        """Return the link of this kind in a text, expired or not; None if there is none."""
        fields = _fields(self._links, text)
        if len(fields) != 6 or fields[0] != f"{kind}1":
            return None
        _, room, lane, ident, uses, expires = fields
        return Link(kind, room, lane, ident, int(uses), float(int(expires)))

    def seal_claim(self, claim: Claim) -> str:
        """Return the value of the cookie."""
        text = f"c1.{claim.kind}.{claim.room}.{claim.lane}.{claim.id}.{int(claim.expires)}.{claim.binding_digest}"
        return self._claims.sign(text.encode()).decode()

    def read_claim(self, value: str) -> Claim | None:
        """Return the claim in a cookie's value, expired or not; None if there is none."""
        fields = _fields(self._claims, value)
        if len(fields) != 7 or fields[0] != "c1":
            return None
        _, kind, room, lane, ident, expires, digest = fields
        return Claim(kind, room, lane, ident, float(int(expires)), digest)


def _fields(signatures: Signatures, text: str) -> list[str]:
    """Return the fields of a signed text; none if it is not authentic."""
    if len(text) > MAX_BYTES or not text.isascii():
        return []
    payload = signatures.unsign(text.encode())
    return [] if payload is None else payload.decode("ascii").split(".")
