"""The view of a node that sees the whole line by itself: the only node, or one that its visitors always come back to.

Its own leases are the line, so every count is exact, and it calls hardly anybody ahead: nearly all are parked here.
"""

from typing import Final

from controller.law.sample import LawTuning
from controller.line.line import Line
from controller.line.view import DOUBT_SHARE, LineView
from controller.settings import GateSettings

#: Of the appointments that are kept where they were given: from here on visitors count as this node's own. One node, or
#: clients that stick to theirs.
OWN: Final = 0.9

TUNING: Final = LawTuning(
    depth_s=0.05,  # nearly all called visitors are parked; the more are called, the less their order counts
    target_s=0.06,  # half of the tokens that arrive between two control steps
    reserve=0.5,
    error_limit_s=1.0,
    patience_s=0.0,
    counts_refusals=True,
)


class AloneView(LineView):
    """The whole line, by this node's own leases."""

    __slots__ = ()

    def __init__(self, line: Line) -> None:
        super().__init__(line, TUNING)

    def measure(self, s: GateSettings) -> float:
        self.sample = 1.0 / s.nodes
        self.sure_until = self.line.freshest
        return s.admissions_per_second

    def doubt(self, first_seen: float, eta_s: float) -> float:
        """A share of the ETA, one more poll, and the newcomers ahead that count as ghosts, in case they come."""
        doubt = DOUBT_SHARE * eta_s + self.doubt_s
        if first_seen > self.line.freshest:
            doubt += self.line.doubted(first_seen) / self.flow
        return doubt
