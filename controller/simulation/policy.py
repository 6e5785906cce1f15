"""What the simulator asks of a node: the gate, or a policy to compare it with.

`controller.gate.Gate` fulfils `Policy` as it is. A policy for comparison derives from `Baseline`, which neither parks
polls, nor takes part in a fleet, nor shows a state: the methods for these do nothing.
"""

# ruff: noqa: ARG002, B027 (methods that do nothing have arguments all the same)

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from math import inf
from typing import Protocol

from controller.fleet.summary import Summary
from controller.settings import GateSettings
from controller.snapshot import GateSnapshot
from controller.verdicts import Verdict, Wait

__all__ = ["Baseline", "Policy", "PolicyMaker"]


class Policy(Protocol):
    """One node. `now` is the node's own wall clock in seconds."""

    @property
    def threshold(self) -> float: ...

    def decide(self, first_seen: float, now: float, u: float, vacancies: int | None = None) -> Verdict: ...
    def tick(self, now: float) -> None: ...
    def reconfigure(self, settings: GateSettings, now: float) -> None: ...

    # Parked polls.
    def may_park(self, first_seen: float, verdict: Wait, is_page: bool = False) -> bool: ...
    def park(self, first_seen: float, now: float) -> float: ...
    def would_admit(self, first_seen: float, now: float) -> bool: ...
    def settle(
        self, first_seen: float, now: float, u: float, held_s: float, vacancies: int | None = None
    ) -> Verdict: ...

    # The fleet, restarts, and pictures. None: the policy has nothing to say.
    def summary(self, node: str, beat: int, now: float) -> Summary | None: ...
    def observe(self, node: str, summaries: Iterable[Summary], now: float) -> None: ...
    def checkpoint(self, now: float) -> dict[str, float]: ...
    def snapshot(self, now: float) -> GateSnapshot | None: ...


class PolicyMaker(Protocol):
    """Makes the policy of one node. `resume`: a checkpoint, or {} for a node that joins a running sale."""

    def __call__(self, settings: GateSettings, now: float, resume: Mapping[str, float] | None = None) -> Policy: ...


class Baseline(ABC):
    """A policy without parked polls and without a fleet."""

    threshold: float = inf

    @abstractmethod
    def decide(self, first_seen: float, now: float, u: float, vacancies: int | None = None) -> Verdict:
        """Answer one poll."""

    @abstractmethod
    def tick(self, now: float) -> None:
        """Do one control step."""

    @abstractmethod
    def reconfigure(self, settings: GateSettings, now: float) -> None:
        """Use these settings from now on."""

    def may_park(self, first_seen: float, verdict: Wait, is_page: bool = False) -> bool:
        return False

    def park(self, first_seen: float, now: float) -> float:
        return now

    def would_admit(self, first_seen: float, now: float) -> bool:
        return False

    def settle(self, first_seen: float, now: float, u: float, held_s: float, vacancies: int | None = None) -> Verdict:
        return self.decide(first_seen, now, u, vacancies)

    def summary(self, node: str, beat: int, now: float) -> Summary | None:
        return None

    def observe(self, node: str, summaries: Iterable[Summary], now: float) -> None:
        """A baseline hears of no other node."""

    def checkpoint(self, now: float) -> dict[str, float]:
        return {}

    def snapshot(self, now: float) -> GateSnapshot | None:
        return None
