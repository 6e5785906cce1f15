"""From what happened to the points of a curve: how many wait, come in, and how long, over time and by arrival."""

import numpy as np

from controller.simulation.crowd import Crowd, Floats
from edge.cli.simulate.trial import Outcome

__all__ = ["displacements", "heads", "quantiles", "rate", "waiting"]


def quantiles(arrival: Floats, wait: Floats) -> tuple[list[float], list[float], list[float], list[float]]:
    """Groups of equally many visitors in order of arrival: when, and P5, P50 and P95 of their waits."""
    known = ~np.isnan(wait)
    if not known.any():
        return [], [], [], []
    groups = min(400, max(1, int(known.sum()) // 50))
    at, low, middle, high = [], [], [], []
    for when, waits in zip(np.array_split(arrival[known], groups), np.array_split(wait[known], groups), strict=True):
        p5, p50, p95 = np.percentile(waits, [5, 50, 95])
        at.append(float(np.mean(when)))
        low.append(float(p5))
        middle.append(float(p50))
        high.append(float(p95))
    return at, low, middle, high


def waiting(people: Crowd, admitted_s: Floats, grid: Floats) -> Floats:
    gone = np.sort(np.where(np.isnan(admitted_s), people.leave_s, admitted_s))
    come = np.searchsorted(people.arrival_s, grid, side="right")
    out: Floats = (come - np.searchsorted(gone, grid, side="right")).astype(np.float64)
    return out


def rate(moments: Floats, end_s: float, width_s: float) -> tuple[list[float], list[float]]:
    edges = np.arange(0.0, end_s + width_s, width_s)
    counts, _ = np.histogram(moments[~np.isnan(moments)], edges)
    counts = counts[: max(1, int(end_s / width_s))]  # the last bin is not full
    return (edges[: len(counts)] + width_s / 2).tolist(), (counts / width_s).tolist()


def heads(people: Crowd, ideal_s: Floats, grid: Floats) -> Floats:
    """Arrival of the visitor whom the ideal line let in last at each moment; the moment itself while nobody waits."""
    inside = ~np.isnan(ideal_s)
    if not inside.any():
        return np.zeros_like(grid)
    order = np.argsort(ideal_s[inside], kind="stable")
    moments, arrivals = ideal_s[inside][order], people.arrival_s[inside][order]
    last = np.searchsorted(moments, grid, side="right") - 1
    standing = waiting(people, ideal_s, grid)
    out: Floats = np.where((last < 0) | (standing < 1.0), grid, arrivals[np.maximum(last, 0)])
    return out


def displacements(outcome: Outcome, ideal_s: Floats) -> Floats:
    gap = np.abs(outcome.first.admitted_s - ideal_s)
    out: Floats = np.sort(gap[~np.isnan(gap)])
    return out
