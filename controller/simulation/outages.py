"""Outages of a whole fleet: when each node is held, and what the state file had when all nodes died.

A scenario without `Hold` and `Crash` draws no random number here.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

import numpy as np

from controller.door import Door
from controller.gate import Gate
from controller.simulation.policy import Unparked
from controller.simulation.scenario import Crash, Hold, Scenario

__all__ = ["Holds", "StateFile"]

#: Seconds between two writes of the state file, and the age of the reports that it is made of, at most.
SAVE_S: Final = 1.0


class Holds:
    """Which nodes are held, or cut off, when."""

    def __init__(self, scenario: Scenario, nodes: int, rng: np.random.Generator) -> None:
        self._spans = [
            [
                (e.at_s + from_s, e.at_s + e.seconds + to_s, e)
                for from_s, to_s in rng.uniform(0.0, e.spread_s, (nodes, 2))
            ]
            for e in scenario.events
            if isinstance(e, Hold)
        ]
        self._held: set[int] = set()

    def apply(self, doors: Sequence[Door | Unparked], now: float, clock_off_s: Sequence[float]) -> None:
        """Let nodes stand still, and go on, when they learn of it."""
        if not self._spans:
            return
        held = {i for spans in self._spans for i, (since, end, _) in enumerate(spans) if since <= now < end}
        for i in held ^ self._held:
            gate = doors[i].gate
            if isinstance(gate, Gate):
                gate.hold(i in held, now + clock_off_s[i], self._known_end(i, now))
        self._held = held

    def _known_end(self, node: int, now: float) -> float | None:
        """Return when a node goes on, if it knows."""
        ends = [spans[node][1] for spans in self._spans if spans[node][0] <= now < spans[node][1]]
        is_known = all(e.is_scheduled for spans in self._spans for since, end, e in spans[:1] if since <= now < end)
        return max(ends) if ends and is_known else None

    def is_cut_off(self, node: int, now: float) -> bool:
        """Return whether a node hears no other one."""
        return any(e.is_cut_off and e.at_s <= now < spans[node][1] for spans in self._spans for _, _, e in spans[:1])


class StateFile:
    """The checkpoints of all nodes, as of the last write."""

    def __init__(self, scenario: Scenario) -> None:
        self._next_s = 0.0 if any(isinstance(e, Crash) for e in scenario.events) else inf
        self._saved: dict[int, dict[str, float]] = {}
        self.down_until = -inf

    def keep(self, doors: Sequence[Door | Unparked], now: float, clock_off_s: Sequence[float]) -> None:
        """Write, if it is time."""
        if now >= self._next_s:
            self._next_s = now + SAVE_S
            self._saved = {i: door.gate.checkpoint(now + clock_off_s[i]) for i, door in enumerate(doors)}

    def of(self, node: int) -> dict[str, float]:
        """Return what a node resumes from."""
        return self._saved.get(node, {}) | {"level": 0.0, "returning": 1.0}
