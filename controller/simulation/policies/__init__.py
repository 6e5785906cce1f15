"""Every policy that a simulation can run, by name: the product's gate and the published baselines."""

from collections.abc import Mapping
from typing import Final

from controller.simulation.policies.baselines import BASELINES
from controller.simulation.policy import PolicyMaker
from controller.simulation.world import real_gate

__all__ = ["BASELINES", "OURS", "POLICIES"]

OURS: Final = "stanchion"
POLICIES: Mapping[str, PolicyMaker] = {OURS: real_gate, **BASELINES}
