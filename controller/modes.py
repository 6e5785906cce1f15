"""Which line view a gate uses: one object a mode, chosen anew at every control step.

joined     while other nodes are heard (`Membership.view`)
alone      the line is this node's own: one node, or visitors that come back to it
sampled    several nodes share the line and do not hear each other (`controller/line/sampled`)
"""

from controller.fleet.membership import Membership
from controller.line.alone import OWN, AloneView
from controller.line.line import Line
from controller.line.sampled.view import SampledView
from controller.line.view import LineView

__all__ = ["Modes"]


class Modes:
    """The line views of one gate."""

    __slots__ = ("_alone", "_fleet", "_line", "_sampled")

    def __init__(self, line: Line, fleet: Membership) -> None:
        self._line, self._fleet = line, fleet
        self._alone = AloneView(line)
        self._sampled: SampledView | None = None  # it counts on for as long as the node is not joined

    def choose(self) -> LineView:
        """Return the view of the mode that the gate is in now."""
        if self._fleet.view is not None:
            self._sampled = None
            return self._fleet.view
        if self._line.traffic.share >= OWN:
            return self._alone
        if self._sampled is None:
            self._sampled = SampledView(self._line)
        return self._sampled

    def resample(self, old_nodes: int, nodes: int) -> None:
        """Use another number of nodes: this node sees another share of the line."""
        ratio = old_nodes / nodes
        self._line.resample(ratio, nodes)
        if self._sampled is not None:
            self._sampled.resample(ratio)
