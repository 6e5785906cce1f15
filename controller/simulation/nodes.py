"""The nodes that a simulation is made of: the product's own gate, and the door at which visitors poll a node."""

from collections.abc import Mapping

from controller.door import Door
from controller.gate import Gate
from controller.settings import GateSettings
from controller.simulation.policy import Policy, Unparked

__all__ = ["door_of", "real_gate"]


def real_gate(settings: GateSettings, now: float, resume: Mapping[str, float] | None = None) -> Policy:
    """Make the product's own policy: the class that the edge imports."""
    return Gate(settings, now, resume)


def door_of(node: Policy) -> Door | Unparked:
    """Return the door at which visitors poll this node."""
    return Door(node) if isinstance(node, Gate) else Unparked(node)
