"""What all pictures of a report have in common: their parts, colours and resolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.cli.simulate.trial import POLICIES, Trial

__all__ = ["IDEAL", "POINTS", "Panel", "Picture", "bin_s", "end_s", "ink", "legend"]

#: Points of a curve.
POINTS: Final = 300
STEPS_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
#: Ink and name of the ideal line.
IDEAL: Final = ("ideal", "the ideal line")


@dataclass(frozen=True, slots=True)
class Panel:
    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One or more charts with their explanation. legend: pairs of ink and name.

    shows, perfect, reading: what the charts show, what they would show in a perfect line, and how to read them.
    """

    title: str
    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, str], ...]
    shows: str
    perfect: str
    reading: str
    is_paired: bool = False


def ink(policy: str) -> str:
    """Return the class that colours a policy, the same in all pictures."""
    return f"p{list(POLICIES).index(policy)}"


def legend(trial: Trial, with_ideal: bool = True) -> tuple[tuple[str, str], ...]:
    named = tuple((ink(o.policy), o.policy) for o in trial.outcomes)
    return (*named, IDEAL) if with_ideal else named


def end_s(trial: Trial) -> float:
    """Return the end of the slowest line, or of the arrivals."""
    ends = [float(np.nanmax(o.first.admitted_s, initial=1.0)) for o in trial.outcomes]
    return max(*ends, float(trial.outcomes[0].first.people.arrival_s[-1]), 1.0)


def bin_s(end: float, most: int, steps: Sequence[int] = STEPS_S) -> float:
    """Return a round width of bins, so that there are at most `most` of them."""
    return float(next((s for s in steps if end / s <= most), end / most))
