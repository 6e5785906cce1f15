"""Who of the newcomers will ever come back: the share of first requests that are followed by a second.

    p = (visits of the young - leases of proven young that came due) / first leases that came due

`young`: visitors no older than the longest interval, so that their first lease is among those that count. A lease comes due
here and the visit may happen on another node, but as many come from there as go there, so counts of the same node
compare. No visitor is told apart. Old counts are halved after every `MEMORY` first leases; a prior of `PRIOR`
visitors who all came back stands for what is known before the first lease comes due.
"""

MEMORY = 400.0
PRIOR = 4.0


class ShowUp:
    """Counts in, a probability out."""

    __slots__ = ("_fresh_due", "_proven_due", "_visits", "share")

    def __init__(self, share: float = 1.0) -> None:
        self._fresh_due = PRIOR
        self._proven_due = 0.0
        self._visits = PRIOR * share
        self.share = share

    def __repr__(self) -> str:
        return f"<ShowUp {self.share:.2f} of {self._fresh_due:.0f}>"

    @property
    def known(self) -> float:
        """First leases that the share rests on."""
        return self._fresh_due - PRIOR

    def visit(self) -> None:
        """A young visitor came back."""
        self._visits += 1.0

    def due(self, fresh: int, proven: int) -> None:
        """So many leases of the young came due."""
        self._fresh_due += fresh
        self._proven_due += proven

    def settle(self) -> float:
        """Fold the counts into the share; once a tick."""
        self.share = min(max((self._visits - self._proven_due) / self._fresh_due, 0.02), 1.0)
        if self._fresh_due > MEMORY:
            self._fresh_due *= 0.5
            self._proven_due *= 0.5
            self._visits *= 0.5
        return self.share
