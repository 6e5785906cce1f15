"""The picture of the thresholds: how far each node's threshold has moved, against the ideal line."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controller.simulation.crowd import Floats
from controller.simulation.run import Run
from edge.cli.chart import Line, chart, linear, time_axis
from edge.cli.simulate.picture import IDEAL, POINTS, Panel, Picture
from edge.cli.simulate.series import fronts, waiting
from edge.cli.simulate.trial import Trial

__all__ = ["threshold_picture"]


def threshold_picture(trial: Trial) -> Picture | None:
    """Draw the thresholds of the first policy with nodes that record them, or return None if there is none."""
    outcome = next((o for o in trial.outcomes if o.first.states), None)
    if outcome is None:
        return None
    run = outcome.first
    nodes = sorted({state.node for state in run.states})
    end = float(np.nanmax(run.admitted_s, initial=1.0))
    grid = np.linspace(0.0, end, POINTS)
    ideal = fronts(run.people, trial.first_ideal_s, grid)
    is_busy = waiting(run.people, trial.first_ideal_s, grid) > 0.0
    thresholds = [_of_node(run, node, end) for node in nodes]
    moved = [Line(t, y, f"p{i % 8}", f"node {n}") for i, (n, (t, y)) in enumerate(zip(nodes, thresholds, strict=True))]
    first_ones = f" (the first {len(nodes)})" if run.scenario.nodes > len(nodes) else ""
    return Picture(
        "How far the door is open",
        _panels(moved, grid, ideal, is_busy, end),
        (*((line.ink, line.name) for line in moved), IDEAL),
        f"Each node{first_ones} moves one number, its threshold: visitors that arrived before it may be admitted. The "
        "lag is now minus the threshold. The dashed line is the arrival of the visitor that the ideal line admits at "
        "this moment.",
        "All nodes on the dashed line, or slightly ahead of it: visitors are called a moment before their turn, to be "
        "there in time.",
        "If nodes differ, they admit visitors of different arrival at the same moment. That is the unfairness between "
        "nodes. The last chart magnifies it, for the time in which somebody waits in the ideal line.",
    )


def _panels(
    moved: Sequence[Line], grid: Floats, ideal: Floats, is_busy: NDArray[np.bool_], end: float
) -> tuple[Panel, ...]:
    """Draw the lag, the threshold, and the threshold minus the front of the ideal line."""
    best = Line(grid.tolist(), ideal.tolist(), *IDEAL)
    best_lag = Line(grid.tolist(), (grid - ideal).tolist(), *IDEAL)
    lagging = [Line(line.x, _minus(line.x, line.y), line.ink, line.name) for line in moved]
    ahead = [Line(line.x, _ahead(line, grid, ideal, is_busy), line.ink, line.name) for line in moved]
    x = time_axis("after the opening", end)
    top = max((max(line.y, default=0.0) for line in [*lagging, best_lag]), default=1.0)
    high = max((max(line.y, default=0.0) for line in [*moved, best]), default=1.0)
    gaps = np.array([0.0, *(abs(gap) for line in ahead for gap in line.y if gap == gap)])
    most = max(0.1, float(np.percentile(gaps, 95)) * 1.2)
    level = Line([0.0, end], [0.0, 0.0], *IDEAL)
    magnified = linear("threshold ahead of the ideal line (s of arrival)", most, -most, 6)
    return (
        Panel(
            "Lag: the age of the youngest visitors that may be admitted now",
            chart("Lag of each node", x, linear("lag (s)", top), [*lagging, best_lag]),
        ),
        Panel(
            "Threshold: the arrival up to which visitors may be admitted",
            chart("Threshold of each node", x, linear("arrival (s after the opening)", high), [*moved, best]),
        ),
        Panel(
            "The same threshold, magnified: how far it is ahead of the ideal line",
            chart("Threshold of each node against the ideal line", x, magnified, [*ahead, level]),
        ),
    )


def _of_node(run: Run, node: int, end_s: float) -> tuple[list[float], list[float]]:
    rows = [
        (s.at_s, s.threshold) for s in run.states if s.node == node and s.at_s <= end_s and np.isfinite(s.threshold)
    ]
    rows = rows[:: max(1, len(rows) // POINTS)]
    return [t for t, _ in rows], [y for _, y in rows]


def _minus(t: Sequence[float], y: Sequence[float]) -> list[float]:
    return [max(0.0, a - b) for a, b in zip(t, y, strict=True)]


def _ahead(threshold: Line, grid: Floats, ideal: Floats, is_busy: NDArray[np.bool_]) -> list[float]:
    """Return the seconds of arrivals by which a node is ahead of the ideal line, while somebody waits there."""
    gaps = np.asarray(threshold.y) - np.interp(threshold.x, grid, ideal)
    out: list[float] = np.where(np.interp(threshold.x, grid, is_busy) > 0.5, gaps, np.nan).tolist()
    return out
