"""The share of newcomers that poll a second time. The others are ghosts.

    p = (visits of the young - leases of proven young that came due) / first leases that came due

`young`: visitors no older than the longest interval, so that their first lease is among those that count. `proven`:
visitors that have polled a second time. A lease comes due here and the visit may happen on another node, but as many
come from there as go there, so counts of the same node compare. No visitor is told apart. Old counts are halved after
every `MEMORY` first leases. A prior of `PRIOR` visitors that all came back stands for what is known before the first
lease comes due.
"""

from typing import Final

MEMORY: Final = 800.0
PRIOR: Final = 4.0


class ReturnRate:
    """Counts polls and leases; `share` is the probability."""

    __slots__ = ("_fresh_due", "_is_sampled", "_proven_due", "_visits", "share")

    def __init__(self, is_sampled: bool) -> None:
        self._is_sampled = is_sampled
        self._fresh_due = PRIOR
        self._proven_due = 0.0
        self._visits = PRIOR
        self.share = 1.0

    def __repr__(self) -> str:
        return f"<ReturnRate {self.share:.2f} of {self._fresh_due:.0f}>"

    @property
    def evidence(self) -> float:
        """How many first leases the share rests on."""
        return self._fresh_due - PRIOR

    def visit(self) -> None:
        """Count a poll of a young visitor that is not new."""
        self._visits += 1.0

    def due(self, fresh: int, proven: int) -> None:
        """Count leases of young visitors that came due."""
        self._fresh_due += fresh
        self._proven_due += proven

    def settle(self) -> float:
        """Fold the counts into the share. Call it once a control step."""
        came = self._visits - self._proven_due
        if self._is_sampled:  # visits and leases are of different visitors: give newcomers one standard deviation
            came += (self._visits + self._proven_due) ** 0.5
        self.share = min(max(came / self._fresh_due, 0.02), 1.0)
        if self._fresh_due > MEMORY:
            self._fresh_due *= 0.5
            self._proven_due *= 0.5
            self._visits *= 0.5
        return self.share
