"""What the gate answers to one poll. Verdicts are values, never exceptions.

A verdict is matched in one place (`match verdict: case Admit(): ...`, ending in `assert_never`).
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Admit:
    """The visitor goes to the upstream now. A token has been taken from the bucket."""


# A `Wait` is never changed after it was made. It is not declared frozen, because one is made for every poll and
# `frozen` triples its price. The `__init__` is written out, because one that `dataclass` generates is not compiled.
@dataclass(slots=True, init=False)
class Wait:
    """The visitor polls again in `poll_after_s` seconds.

    position: estimated position in the whole line over all nodes, 1 = next. None while it cannot be told.
    eta_p50_s, eta_p90_s: seconds until admission, median and 90th percentile. None while the line stands still.
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
class Park:
    """The visitor is near the front: their poll may be parked. A `Door` answers it in place of a `Wait`.

    wait: the verdict if the poll is not parked.
    since: when the poll arrived. The parking time counts from it.
    """

    wait: Wait
    since: float


#: What a `Gate` answers.
Verdict: TypeAlias = Admit | Wait
