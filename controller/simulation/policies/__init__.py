"""What others do, driven through the same door: `decide`, `tick`, `reconfigure`."""

from controller.simulation.policies.baselines import POLICIES

__all__ = ["POLICIES"]
