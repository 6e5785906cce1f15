"""The report on a simulated sale: one self-contained HTML page with its tables and pictures."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from controller.simulation.crowd import Floats
from controller.simulation.world import Run
from edge.report.svg import Points, chart

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}"
    "svg{width:100%;font:11px system-ui,sans-serif;fill:currentColor}.t{font-weight:600;font-size:13px}"
    ".g{stroke:currentColor;opacity:.15}.s{fill:none;stroke-width:1.5}"
    "table{border-collapse:collapse}td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #8884}"
    "td:first-child,th:first-child{text-align:left}"
)


def page(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], pictures: Iterable[str]) -> str:
    """The whole document."""
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{escape(title)}</h1><table><tr>{head}</tr>{body}</table>{''.join(pictures)}</html>\n"
    )


def pictures(runs: Mapping[str, Run], plan: Floats) -> list[str]:
    """Policies side by side, then the nodes of the last one."""
    last = list(runs.values())[-1]
    people = last.people
    crowd = {name: _waiting(run) for name, run in runs.items()}
    admitted = {name: _steps(run.admitted_s) for name, run in runs.items()} | {"ideal": _steps(plan)}
    gap = {name: _shares(np.abs(run.admitted_s - plan)) for name, run in runs.items()}
    wait = {n: _by_arrival(people.arrival_s, run.admitted_s - people.arrival_s) for n, run in runs.items()}
    polls = {n: [(float(t), float(c)) for t, c in enumerate(run.polls_by_second)] for n, run in runs.items()}
    return [
        chart("Waiting", "seconds", "visitors", crowd),
        chart("Admitted", "seconds", "visitors", admitted),
        chart("Lag of each node", "seconds", "seconds", _states(last, "lag_s")),
        chart("Threshold of each node", "seconds", "first arrival, s", _states(last, "threshold")),
        chart("Displacement from the central line", "seconds off", "share of visitors", gap),
        chart("Wait by time of arrival", "arrival, s", "wait, s", wait),
        chart("Polls a second", "seconds", "polls", polls),
    ]


def _steps(times: Floats) -> Points:
    """Cumulative count, thinned to some hundred points."""
    sorted_times = np.sort(times[~np.isnan(times)])
    every = max(1, len(sorted_times) // 400)
    return [(float(t), float(i * every + 1)) for i, t in enumerate(sorted_times[::every])]


def _waiting(run: Run) -> Points:
    arrival = np.sort(run.people.arrival_s)
    end = np.sort(np.fmin(run.admitted_s, run.people.leave_s))
    until = float(np.max(end[np.isfinite(end)], initial=1.0))
    grid = np.linspace(0.0, until, 400)
    inside = np.searchsorted(arrival, grid, "right") - np.searchsorted(end, grid, "right")
    return [(float(t), float(n)) for t, n in zip(grid, inside, strict=True)]


def _shares(gap: Floats) -> Points:
    values = np.sort(gap[~np.isnan(gap)])
    if not len(values):
        return []
    marks = np.linspace(0.0, 0.995, 200)
    return [(float(v), float(m)) for v, m in zip(np.quantile(values, marks), marks, strict=True)]


def _by_arrival(arrival: Floats, wait: Floats) -> Points:
    seconds = np.floor(arrival)
    known = ~np.isnan(wait)
    return [
        (float(s), float(np.median(wait[known & (seconds == s)]))) for s in np.unique(seconds[known])[:2000]
    ]


def _states(run: Run, field: str) -> dict[str, Points]:
    nodes = sorted({s.node for s in run.states})
    return {
        f"node {n}": [(s.at_s, float(getattr(s, field))) for s in run.states if s.node == n] for n in nodes
    }
