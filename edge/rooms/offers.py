"""Offers: turns that visitors have to take by a click, and the tokens that are kept for the open ones.

    the gate admits -> an offer, and a token is taken -> a click in time   the token is used
                                                     '-> no click          the token goes back, for the next visitor

If a whole token were kept for each offer until its time is over, offers without a click would block the room's
capacity until then. So only the part is kept that is expected to be used: for an offer of age a

    G(a) = the share of offers without a click at age a that get one later
         = 1 - product over the bins behind a of (1 - h)          h = clicks in a bin / offers that reached it
    kept = sum of G(a) over all open offers

(Kaplan and Meier, 1958.) The rest goes back to the bucket at once, for the next visitor. If more visitors click than
expected, the missing tokens are taken from the bucket as soon as they are there. So in the long run every token is used
by a click, whatever the visitors do, and clicks have the rate of the capacity: tokens taken = clicks + kept.

The bins are narrow for young offers, where most clicks are, and wide for old ones. An offer is looked at when it leaves
a bin, so each costs BINS looks. Nobody has clicked late before the first offers are old: until then a bin has the share
of the one before it. Every worker counts its own offers; a click may come to any of them (`confirmation.py`).
"""

from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["Offers"]

BINS: Final = 24
#: With more looks than this a bin forgets half of what it has seen, so that it follows its visitors.
REMEMBERED: Final = 2000.0
#: The share of clicks in the first bin before anything is known, and how many looks it is worth.
FIRST_SHARE: Final = 0.5
PRIOR: Final = 2.0
#: At most this many visitors are called for one token.
MOST_CALLED: Final = 20.0


class Offers:
    """One room's at one worker. within_s: the time for a click. is_taken(id): whether the click has come."""

    def __init__(self, within_s: float, is_taken: Callable[[str], bool]) -> None:
        self.within_s = within_s
        self._is_taken = is_taken
        self._edges_s = [within_s * ((k + 1) / BINS) ** 2 for k in range(BINS)]
        self._open: list[deque[tuple[str, float]]] = [deque() for _ in range(BINS)]
        self._looks = [0.0] * BINS
        self._clicks = [0.0] * BINS
        self.kept = 0.0
        """Tokens that are taken from the bucket for open offers."""
        self.taken = 0
        self.missed = 0

    def __len__(self) -> int:
        return sum(len(each) for each in self._open)

    def __repr__(self) -> str:
        return f"<Offers {len(self)} open, {self.kept:.1f} tokens kept, {self.taken} taken, {self.missed} missed>"

    def add(self, ident: str, now: float) -> None:
        """Take note of an offer, for which a token was taken."""
        self._open[0].append((ident, now))
        self.kept += 1.0

    def called_per_token(self) -> float:
        """Return how many visitors are called for one token: the inverse of the share that is expected to click."""
        return min(MOST_CALLED, 1.0 / max(self._shares()[0], 1.0 / MOST_CALLED))

    def step(self, now: float) -> float:
        """Look at the offers that are due. Return the surplus of kept tokens; below 0 if tokens are missing."""
        for k in range(BINS):
            self._look(k, now)
        shares = self._shares()
        wanted = 0.0
        for k in range(BINS):
            wanted += len(self._open[k]) * shares[k]
        return self.kept - wanted

    def _look(self, k: int, now: float) -> None:
        offers, edge_s = self._open[k], self._edges_s[k]
        while offers and not 0.0 <= now - offers[0][1] < edge_s:
            ident, at = offers.popleft()
            self._looks[k] += 1.0
            if self._is_taken(ident):
                self._clicks[k] += 1.0
                self.taken += 1
                self.kept -= 1.0
            elif k + 1 < BINS:
                self._open[k + 1].append((ident, at))
            else:
                self.missed += 1
            if self._looks[k] > REMEMBERED:
                self._looks[k] *= 0.5
                self._clicks[k] *= 0.5

    def _shares(self) -> list[float]:
        """Return G for each bin."""
        share, hazards = FIRST_SHARE, []
        for k in range(BINS):
            share = (self._clicks[k] + PRIOR * share) / (self._looks[k] + PRIOR)
            hazards.append(share)
        left, shares = 1.0, [0.0] * BINS
        for k in range(BINS - 1, -1, -1):
            left *= 1.0 - hazards[k]
            shares[k] = 1.0 - left
        return shares
