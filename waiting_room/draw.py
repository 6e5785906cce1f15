"""The draw of a sale: a place for every visitor of the pre-queue, which anybody can verify and nobody can choose.

    seed        = HMAC-SHA256(key, room 0 sale 0 opens_at in ms)               32 bytes
    commitment  = SHA-256(seed)                                                published from the start
    u           = first 8 bytes of HMAC-SHA256(seed, ticket id) / 2^64         in [0, 1)
    place       = opens_at - WINDOW_S * u                                      larger u, nearer to the front

                 prequeue_at                                       opens_at
    arrival  ---------|--x----x-------x--x----------x--------------|----x---x---->
    place                                                    [ x x xx x]|   |          the last WINDOW_S are the draw's

The seed is published after the opening. A ticket that is taken later stands behind all drawn ones, in order of arrival.
`key` is derived from a secret of the edge, so all nodes agree without storing anything. The time of the opening is a
part of the seed: a seed that was published never counts for tickets that are taken afterwards, also if a sale of the
same name is held again or is moved to a later time.

WINDOW_S is short, so that in the pre-queue all places lie in the future: to the gate, an age below zero is that of a
visitor that has just come. A draw of n visitors shares n^2 / (4 * 2^30) places: 9 of 200,000.
"""

from hashlib import sha256
from hmac import new as hmac_new
from typing import Final

from waiting_room.places import UNITS_PER_S
from waiting_room.signature import derived

__all__ = ["WINDOW_S", "Draw", "commitment_of", "generation_of", "seed_of", "share_of"]

WINDOW_S: Final = 2
_WINDOW_BITS: Final = 31  # WINDOW_S * 2^30 places


def seed_of(secret: bytes, room: str, sale: str, opens_at: float) -> bytes:
    """Return the seed of a sale's draw. opens_at: Unix time in seconds."""
    named = f"{room}\0{sale}\0{round(opens_at * 1000)}"
    return hmac_new(derived(secret, b"stanchion.draw.v1"), named.encode(), sha256).digest()


def generation_of(secret: bytes) -> str:
    """Return a name for a secret, by which a sale remembers it. It tells nothing about the secret."""
    return hmac_new(derived(secret, b"stanchion.draw.v1"), b"generation", sha256).hexdigest()[:16]


def commitment_of(seed: bytes) -> str:
    return sha256(seed).hexdigest()


def share_of(seed: bytes, ticket_id: str) -> int:
    """Return u * 2^64 of a ticket, a whole number."""
    digest = hmac_new(seed, ticket_id.encode("utf-8", "surrogatepass"), sha256).digest()
    return int.from_bytes(digest[:8], "big")


class Draw:
    """The draw of one sale. seed: of `seed_of`. begins_at, opens_at: Unix time in seconds."""

    def __init__(self, seed: bytes, begins_at: float, opens_at: float) -> None:
        self._seed = seed
        self.begins_at = begins_at
        self.opens_at = opens_at
        ms = int(opens_at * 1000.0 + 0.5)
        self._last = ms // 1000 * UNITS_PER_S + ms % 1000 * UNITS_PER_S // 1000

    def place(self, ticket_id: str) -> int:
        """Return the place in line of a ticket from the pre-queue (`places.py`)."""
        return self._last - (share_of(self._seed, ticket_id) >> 64 - _WINDOW_BITS)
