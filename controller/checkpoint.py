"""What a restarted worker needs to go on: a small mapping of finite floats.

    at          wall clock, seconds
    level       tokens in the bucket
    threshold   of the gate; open: 1 while nobody waits, and then the threshold does not count
    integral    of the law
    stretch     of the longest interval
    near_from, near   two first_seen, GONE_S and NEAR_S behind the front: the visitors between them were not admitted
                      since, and poll every few seconds
    near_count        how many visitors of the counted list were expected between the two
    returning   1 if the whole edge was away, so that the visitors have to come back first

A mapping without entries stands for a node that joins a running sale: an empty bucket, and nobody is called.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final

from controller.law.sample import OPEN, Thresholds

__all__ = ["Checkpoint"]

AWAY_S: Final = 3600.0  # a restart that took longer counts as this
GONE_S: Final = 2.0  # of the flow; more than the age of a checkpoint in the state folder
NEAR_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The gate's state at one time."""

    at: float
    level: float
    thresholds: Thresholds
    integral: float
    stretch: float
    near_from: float = -inf
    near: float = -inf
    near_count: float = 0.0
    is_returning: bool = False

    def mapping(self) -> dict[str, float]:
        """Return the checkpoint as it is stored."""
        threshold = self.thresholds.threshold
        return {
            "at": self.at,
            "level": self.level,
            "threshold": threshold if isfinite(threshold) else 0.0,
            "open": float(threshold == inf),
            "integral": self.integral,
            "stretch": self.stretch,
            "near_from": self.near_from if isfinite(self.near_from) else 0.0,
            "near": self.near if isfinite(self.near) else 0.0,
            "near_count": self.near_count,
        }

    def level_at(self, now: float, rate: float, depth: float) -> float:
        """Return the tokens at `now`: those of then, and what the time away is worth."""
        away = min(max(now - self.at, 0.0), AWAY_S)
        return min(max(self.level, 0.0) + away * rate, depth)


def read(saved: Mapping[str, float], now: float) -> Checkpoint:
    """Parse a stored checkpoint. Entries may be missing."""
    threshold = saved.get("threshold", -inf)
    return Checkpoint(
        at=saved.get("at", now),
        level=saved.get("level", 0.0),
        thresholds=OPEN if saved.get("open", 0.0) > 0.0 else Thresholds(threshold, threshold),
        integral=saved.get("integral", 0.0),
        stretch=max(1.0, saved.get("stretch", 1.0)),
        near_from=saved.get("near_from", -inf),
        near=saved.get("near", -inf),
        near_count=saved.get("near_count", 0.0),
        is_returning=saved.get("returning", 0.0) > 0.0,
    )
