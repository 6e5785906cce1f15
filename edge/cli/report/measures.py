"""Percentiles of times, and the order of admissions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.simulation.inversions import inversions

__all__ = ["Spread", "kendall", "kendall_of_lanes", "percentile", "spread"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of times, seconds."""

    count: int
    p50: float
    p90: float
    p99: float
    longest: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which this share of sorted values lies, interpolated as numpy does; 0 of nothing."""
    if not ordered:
        return 0.0
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def spread(times: Sequence[float]) -> Spread:
    ordered = sorted(times)
    p50, p90, p99, longest = (percentile(ordered, share) for share in (0.5, 0.9, 0.99, 1.0))
    return Spread(len(ordered), p50, p90, p99, longest)


def kendall(admitted_s: Sequence[float]) -> float:
    """Return the share of pairs in the wrong order. admitted_s: in the order of arrival."""
    return kendall_of_lanes([admitted_s])


def kendall_of_lanes(lanes: Iterable[Sequence[float]]) -> float:
    """Return the share of pairs of visitors of one lane that were admitted in the wrong order.

    lanes: of each lane the moments of the admissions, in the order of arrival.
    """
    wrong = pairs = 0
    for admitted_s in lanes:
        count = len(admitted_s)
        # The arrivals in the order of admission. Visitors of one moment are in order.
        wrong += inversions(sorted(range(count), key=admitted_s.__getitem__))
        pairs += count * (count - 1) // 2
    return wrong / pairs if pairs else 0.0
