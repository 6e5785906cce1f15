"""The figures as text and as JSON.

The table has one line for each policy with the median over the seeds, and below it the worst seed. The two ideals come
last. They are computed, not played, so some figures do not exist for them: there the table has a dash.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from controller.simulation.measures import Measures
from controller.simulation.scenario import Scenario
from edge.cli.simulate.trial import Trial, median, worst

__all__ = ["COLUMNS", "Column", "as_json", "conditions", "duration", "share", "table"]


def share(value: float) -> str:
    """Format a share: 0.9987 as '99.87 %', 0.00004 as '0.004 %'."""
    percent = value * 100.0
    if percent == 0.0 or percent >= 99.995:
        return f"{percent:.0f} %"
    if percent < 0.01:
        return f"{percent:.3f} %" if percent >= 0.0005 else "<0.001 %"
    return f"{percent:.1f} %" if 9.995 <= percent <= 99.0 else f"{percent:.2f} %"


def duration(value: float) -> str:
    """Format seconds, with two digits below 10 s and one below 100 s."""
    return f"{value:.2f} s" if value < 10.0 else f"{value:.1f} s" if value < 100.0 else f"{value:,.0f} s"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _each(value: float) -> str:
    return f"{value:.1f}"


@dataclass(frozen=True, slots=True)
class Column:
    """One measure: its title, format and explanation. for_ideal, for_polling_ideal: whether they have it."""

    field: str
    title: str
    show: Callable[[float], str]
    meaning: str
    for_ideal: bool
    for_polling_ideal: bool


_MEANINGS = {
    "use": "admissions made by the time the ideal line is empty, as a share of its own admissions by then; "
    "the rest of 100 % is capacity that stood idle while visitors waited",
    "median_s": "displacement: the time between a visitor's admission and their admission in the ideal line, early or "
    "late; half of the admitted visitors are closer than this",
    "p95_s": "the same for 95 of 100 visitors",
    "p99_s": "the same for 99 of 100 visitors",
    "kendall": "share of all pairs of visitors in which the later one was admitted first: 0 % is first come, first "
    "served, 50 % is a lottery",
    "overshoot": "most admissions above capacity and burst in a window of 0.1 to 20 s; above 0 the shop is at risk",
    "polls_each": "requests for each visitor, including the first",
    "polls_peak_per_s": "most requests in one second, from all visitors",
    "lost": "visitors that the ideal line would have admitted before their patience ended, and this line did not",
    "spread_s": "interquartile range of the waits of visitors that arrived in the same second; the ideal line has some "
    "too, because it admits them one by one",
}
#: The polling ideal is a bound: a token may wait for a visitor's next poll, and polls have no exact times.
_NOT_POLLED = ("overshoot", "polls_peak_per_s")
COLUMNS = tuple(
    Column(field, title, show, _MEANINGS[field], not field.startswith("polls"), field not in _NOT_POLLED)
    for field, title, show in (
        ("use", "use", share),
        ("median_s", "median", duration),
        ("p95_s", "P95", duration),
        ("p99_s", "P99", duration),
        ("kendall", "Kendall", share),
        ("overshoot", "overshoot", _count),
        ("polls_each", "polls each", _each),
        ("polls_peak_per_s", "peak polls/s", _count),
        ("lost", "lost", share),
        ("spread_s", "spread", duration),
    )
)


def conditions(scenario: Scenario) -> str:
    """Describe capacity, nodes and polling in one line."""
    nodes = f"{scenario.nodes} nodes, {'joined' if scenario.joined else 'sharing nothing'}"
    nodes = nodes if scenario.nodes > 1 else "1 node"
    budget = f", at most {scenario.poll_budget_per_s:g} polls/s" if scenario.poll_budget_per_s else ""
    return (
        f"{scenario.capacity:g} admissions/s, burst {scenario.burst_s:g} s; {nodes}; "
        f"polls every {scenario.poll_min_s:g} to {scenario.poll_max_s:g} s{budget}"
    )


def table(trial: Trial) -> str:
    """Format one trial as lines of text."""
    rows: list[tuple[str, Sequence[str]]] = [("", [column.title for column in COLUMNS])]
    several = len(trial.seeds) > 1
    for outcome in trial.outcomes:
        rows.append((outcome.policy, _cells(median(outcome.by_seed))))
        if several:
            rows.append(("  worst seed", _cells(worst(outcome.by_seed))))
    polling, central = median(trial.polling_ideal), median(trial.ideal)
    rows.append(("polling ideal", _cells(polling, [c.for_polling_ideal for c in COLUMNS])))
    rows.append(("ideal", _cells(central, [c.for_ideal for c in COLUMNS])))
    width = max(len(name) for name, _ in rows)
    widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(COLUMNS))]
    lines = [
        name.ljust(width) + "".join("  " + cell.rjust(w) for cell, w in zip(cells, widths, strict=True))
        for name, cells in rows
    ]
    seeds = f"median of seeds {trial.seeds[0]} to {trial.seeds[-1]}" if several else f"seed {trial.seeds[0]}"
    scenario = trial.scenario
    return "\n".join([f"{scenario.name}: {scenario.description}", f"{conditions(scenario)}; {seeds}", "", *lines])


def _cells(values: Mapping[str, float], has: Sequence[bool] | None = None) -> list[str]:
    shown = has or [True] * len(COLUMNS)
    return [c.show(values[c.field]) if is_shown else "-" for c, is_shown in zip(COLUMNS, shown, strict=True)]


def as_json(trials: Sequence[Trial], version: str, command: str) -> dict[str, Any]:
    """Return all figures, with the version and the command that give them again. Times are seconds, shares 0..1."""
    return {"version": version, "command": command, "scenarios": [_trial(trial) for trial in trials]}


def _trial(trial: Trial) -> dict[str, Any]:
    s = trial.scenario
    keys = (
        "name",
        "description",
        "capacity",
        "burst_s",
        "nodes",
        "joined",
        "poll_min_s",
        "poll_max_s",
        "poll_budget_per_s",
    )
    policies = [
        {"name": o.policy, "median": median(o.by_seed), "worst": worst(o.by_seed), "by_seed": _rows(trial, o.by_seed)}
        for o in trial.outcomes
    ]
    return {
        **{key: getattr(s, key) for key in keys},
        "seeds": list(trial.seeds),
        "policies": policies,
        "polling_ideal": _only(median(trial.polling_ideal), [c.for_polling_ideal for c in COLUMNS]),
        "ideal": _only(median(trial.ideal), [c.for_ideal for c in COLUMNS]),
    }


def _rows(trial: Trial, rows: Sequence[Measures]) -> list[dict[str, float]]:
    return [{"seed": seed, **asdict(row)} for seed, row in zip(trial.seeds, rows, strict=True)]


def _only(values: Mapping[str, float], has: Sequence[bool]) -> dict[str, float | None]:
    missing = {c.field for c, is_there in zip(COLUMNS, has, strict=True) if not is_there}
    return {key: None if key in missing else value for key, value in values.items()}
