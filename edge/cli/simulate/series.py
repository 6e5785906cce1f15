"""Curves of a run: visitors waiting, admissions a second and waits, over time and by arrival."""

import numpy as np

from controller.simulation.crowd import Crowd, Floats
from edge.cli.simulate.trial import Outcome

__all__ = ["displacements", "fronts", "quantiles", "rate", "waiting"]


def quantiles(arrival: Floats, wait: Floats) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return the arrival and P5, P50 and P95 of the waits, for groups of equal size in order of arrival."""
    is_admitted = ~np.isnan(wait)
    if not is_admitted.any():
        return [], [], [], []
    groups = min(400, max(1, int(is_admitted.sum()) // 50))
    at, low, middle, high = [], [], [], []
    for when, waits in zip(
        np.array_split(arrival[is_admitted], groups), np.array_split(wait[is_admitted], groups), strict=True
    ):
        p5, p50, p95 = np.percentile(waits, [5, 50, 95])
        at.append(float(np.mean(when)))
        low.append(float(p5))
        middle.append(float(p50))
        high.append(float(p95))
    return at, low, middle, high


def waiting(people: Crowd, admitted_s: Floats, grid: Floats) -> Floats:
    """Count the visitors that wait at each moment of the grid."""
    left = np.sort(np.where(np.isnan(admitted_s), people.leave_s, admitted_s))
    arrived = np.searchsorted(people.arrival_s, grid, side="right")
    out: Floats = (arrived - np.searchsorted(left, grid, side="right")).astype(np.float64)
    return out


def rate(moments: Floats, end_s: float, width_s: float) -> tuple[list[float], list[float]]:
    """Return the middle and the rate of each bin of `width_s`."""
    edges = np.arange(0.0, end_s + width_s, width_s)
    counts, _ = np.histogram(moments[~np.isnan(moments)], edges)
    # The last bin is not full.
    counts = counts[: max(1, int(end_s / width_s))]
    return (edges[: len(counts)] + width_s / 2).tolist(), (counts / width_s).tolist()


def fronts(people: Crowd, ideal_s: Floats, grid: Floats) -> Floats:
    """Return the arrival of the visitor that the ideal line admitted last, at each moment of the grid.

    While nobody waits it is the moment itself.
    """
    inside = ~np.isnan(ideal_s)
    if not inside.any():
        return np.zeros_like(grid)
    order = np.argsort(ideal_s[inside], kind="stable")
    moments, arrivals = ideal_s[inside][order], people.arrival_s[inside][order]
    last = np.searchsorted(moments, grid, side="right") - 1
    in_line = waiting(people, ideal_s, grid)
    out: Floats = np.where((last < 0) | (in_line < 1.0), grid, arrivals[np.maximum(last, 0)])
    return out


def displacements(outcome: Outcome, ideal_s: Floats) -> Floats:
    """Return the sorted distances of admissions from the ideal line, seconds."""
    gap = np.abs(outcome.first.admitted_s - ideal_s)
    out: Floats = np.sort(gap[~np.isnan(gap)])
    return out
