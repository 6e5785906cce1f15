"""The record of one simulated sale."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.simulation.crowd import Crowd, Floats
from controller.simulation.scenario import Scenario

__all__ = ["NodeState", "Run", "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """The position and the ETA that one response gave to a waiting visitor."""

    visitor: int
    at_s: float
    position: int | None
    eta_p50_s: float | None
    eta_p90_s: float | None


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node at one second."""

    at_s: float
    node: int
    lag_s: float
    threshold: float
    level: float
    waiting: int


@dataclass(slots=True)
class Run:
    """One row a visitor in the arrays, in the order of the crowd.

    admitted_s: nan for visitors that were not admitted. node: where the visitor was admitted, -1 if nowhere.
    polls_after_wake: requests of a visitor after they slept.
    """

    scenario: Scenario
    people: Crowd
    admitted_s: Floats
    node: NDArray[np.int16]
    polls: NDArray[np.int32]
    polls_by_second: NDArray[np.int64]
    samples: list[Sample] = field(default_factory=list)
    states: list[NodeState] = field(default_factory=list)
    polls_after_wake: dict[int, int] = field(default_factory=dict)
