"""What the simulator asks of a node: the gate, or a policy to compare it with.

`controller.gate.Gate` fulfils `Policy` as it is, and is polled through a `Door`. A policy for comparison derives from
`Baseline`, which neither takes part in a fleet nor shows a state: the methods for these do nothing. It is polled
through `Unparked`, a door that parks no polls.
"""

# ruff: noqa: ARG002, B027 (methods that do nothing have arguments all the same)

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Protocol

from controller.fleet.summary import Summary
from controller.settings import GateSettings
from controller.snapshot import GateSnapshot
from controller.verdicts import Verdict

__all__ = ["Baseline", "Policy", "PolicyMaker", "Unparked"]


class Policy(Protocol):
    """One node. `now` is the node's own wall clock in seconds."""

    def decide(self, first_seen: float, now: float, u: float, vacancies: int | None = None) -> Verdict: ...
    def tick(self, now: float) -> None: ...
    def reconfigure(self, settings: GateSettings, now: float) -> None: ...

    # The fleet, restarts, and pictures. None: the policy has nothing to say.
    def summary(self, node: str, beat: int, now: float) -> Summary | None: ...
    def observe(self, node: str, summaries: Iterable[Summary], now: float) -> None: ...
    def checkpoint(self, now: float) -> dict[str, float]: ...
    def snapshot(self, now: float) -> GateSnapshot | None: ...


class PolicyMaker(Protocol):
    """Makes the policy of one node. `resume`: a checkpoint, or {} for a node that joins a running sale."""

    def __call__(self, settings: GateSettings, now: float, resume: Mapping[str, float] | None = None) -> Policy: ...


class Baseline(ABC):
    """A policy without a fleet."""

    @abstractmethod
    def decide(self, first_seen: float, now: float, u: float, vacancies: int | None = None) -> Verdict:
        """Answer one poll."""

    @abstractmethod
    def tick(self, now: float) -> None:
        """Do one control step."""

    @abstractmethod
    def reconfigure(self, settings: GateSettings, now: float) -> None:
        """Use these settings from now on."""

    def summary(self, node: str, beat: int, now: float) -> Summary | None:
        return None

    def observe(self, node: str, summaries: Iterable[Summary], now: float) -> None:
        """A baseline hears of no other node."""

    def checkpoint(self, now: float) -> dict[str, float]:
        return {}

    def snapshot(self, now: float) -> GateSnapshot | None:
        return None


class Unparked:
    """The door of a policy that parks no polls. It has the methods of `controller.door.Door`."""

    parked_count = 0

    def __init__(self, gate: Policy) -> None:
        self.gate = gate

    def poll(self, place: float, now: float, u: float, *, may_park: bool = True) -> Verdict:
        return self.gate.decide(place, now, u)

    def tick(self, now: float) -> None:
        self.gate.tick(now)

    def answer_older(self, place: float, now: float) -> None:
        """No poll is parked."""

    def answer_all(self, now: float) -> None:
        """No poll is parked."""
