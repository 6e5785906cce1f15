"""What the gate says to one poll: come in, come back later, or go home. Values, never exceptions.

A verdict is matched in one place (`match verdict: case Admit(): ...`, ending in `assert_never`).
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Admit:
    """The visitor goes to the upstream now; a place in the bucket has been spent.

    waited_s: from first arrival to now, never negative.
    empty_line: nobody was known to wait here at that moment.
    older_waiting: visitors on this node's list who arrived earlier and wait on: those this admission
        overtakes.
    """

    waited_s: float
    empty_line: bool
    older_waiting: int


# Never changed, but one is made for every poll, and `frozen` triples its price. So does, compiled, an `__init__` that
# dataclasses write: it stays in the interpreter.
@dataclass(slots=True, init=False)
class Wait:
    """The visitor comes back in `poll_after_s` seconds.

    position: estimated place in the whole line over all nodes, 1 = next; None while it cannot be told.
    eta_p50_s, eta_p90_s: seconds until admission, median and 90th percentile; None while the capacity is 0.
    """

    poll_after_s: float
    position: int | None
    eta_p50_s: float | None
    eta_p90_s: float | None

    def __init__(
        self, poll_after_s: float, position: int | None, eta_p50_s: float | None, eta_p90_s: float | None
    ) -> None:
        self.poll_after_s = poll_after_s
        self.position = position
        self.eta_p50_s = eta_p50_s
        self.eta_p90_s = eta_p90_s


@dataclass(frozen=True, slots=True)
class Closed:
    """Nobody gets in any more."""

    reason: Literal["closed", "sold_out"]


Verdict: TypeAlias = Admit | Wait | Closed
