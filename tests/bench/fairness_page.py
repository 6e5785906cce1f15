"""The tables of docs/fairness.md, made of the figures in docs/fairness.json.

A cell is the mean over the seeds, of the overshoot the largest.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from controller.simulation.policies import BASELINES
from controller.simulation.scenarios import SCENARIOS
from tests.bench.fairness_figures import Row

__all__ = ["write_page"]

SUMMARY = "<!-- summary -->\n", "<!-- end of summary -->"
FIGURES = "<!-- figures -->\n", "<!-- end -->"
OURS = "stanchion"

Cell = tuple[str, Callable[[Row], str]]


def _percent(key: str, digits: int = 2) -> Callable[[Row], str]:
    return lambda r: f"{100 * r[key]:.{digits}f} %"


def _seconds(key: str, digits: int = 2) -> Callable[[Row], str]:
    return lambda r: f"{r[key]:.{digits}f} s"


def _plain(key: str, form: str = ".2f") -> Callable[[Row], str]:
    return lambda r: f"{r[key]:{form}}"


LINE: Sequence[Cell] = (
    ("use", _percent("use")),
    ("median", _seconds("median_s")),
    ("P95", _seconds("p95_s")),
    ("P99", _seconds("p99_s")),
    ("Kendall", _percent("kendall", 3)),
    ("over", _plain("overshoot", ".2g")),
    ("lost", _percent("lost")),
    ("spread", _seconds("spread_s", 1)),
)
POLLS: Sequence[Cell] = (
    ("polls each", _plain("polls_each")),
    ("peak/s", _plain("polls_peak_per_s", ".0f")),
    ("polling ideal: P99", _seconds("ideal_p99_s")),
    ("polling ideal: polls", _plain("ideal_polls")),
    ("position error: page", _percent("position_error", 1)),
    ("position error: responses", _percent("told_error", 1)),
    ("P90 holds", _percent("covered", 1)),
    ("grown: page", _percent("grown", 1)),
    ("grown: responses", _percent("told_grown", 1)),
    ("slower", _percent("slower", 1)),
)
OUTAGES: Sequence[Cell] = (
    ("calm: median", _seconds("calm_median_s")),
    ("calm: P99", _seconds("calm_p99_s")),
    ("less outage: median", _seconds("calm_less_outage_median_s")),
    ("less outage: P99", _seconds("calm_less_outage_p99_s")),
    ("most passed by", _plain("calm_most_passed_by")),
)
STANDSTILLS: Sequence[Cell] = (
    ("admitted meanwhile", _plain("still_admitted", ".1f")),
    ("first after the end", _seconds("still_first_s")),
    ("80 % of the rate after", _seconds("still_full_s")),
    ("most in a second, of capacity and burst", _percent("still_most", 0)),
    ("Kendall", _percent("kendall", 3)),
)
SLEEPERS: Sequence[Cell] = (
    ("others: median", _seconds("others_median_s")),
    ("others: P99", _seconds("others_p99_s")),
    ("others, awake ideal: median", _seconds("others_awake_median_s")),
    ("others, awake ideal: P99", _seconds("others_awake_p99_s")),
    ("overdue: admitted in two polls", _plain("overdue_in_two")),
    ("overdue: polls, P99", _plain("overdue_polls_p99")),
)
BOTS: Sequence[Cell] = (
    ("gain of fast clients", _seconds("fast_gain_s")),
    ("gain of collectors", _seconds("collector_gain_s")),
)
TRAFFIC: Sequence[Cell] = tuple((f"node {i}", _seconds(f"node{i}_s")) for i in range(4))
POLICY_SCENARIOS = ("flash-1", "flash", "churn")
#: Title, scenario and policy.
SUMMARY_ROWS = (
    ("one node", "flash-1", OURS),
    ("four joined nodes", "flash-joined", OURS),
    ("four nodes that share nothing", "flash", OURS),
    ("one node with a leaky bucket and no line, for comparison", "flash-1", "bucket"),
)


def write_page(page: Path, table: Mapping[str, Row]) -> None:
    """Write the tables between the markers of the page."""
    text = _placed(page.read_text(), SUMMARY, _summary(table))
    page.write_text(_placed(text, FIGURES, _tables(table)))


def _placed(text: str, markers: tuple[str, str], generated: str) -> str:
    begin, end = markers
    before, rest = text.split(begin, 1)
    return f"{before}{begin}{generated}{end}{rest.split(end, 1)[1]}"


def _summary(table: Mapping[str, Row]) -> str:
    lines = [
        "| flash sale: 20,000 visitors, 50 admissions/s | half of the visitors within | 99 of 100 within"
        " | pairs in the wrong order | capacity used |",
        "|---|---|---|---|---|",
    ]
    for title, name, policy in SUMMARY_ROWS:
        r = _mean(table, name, policy)
        if r:
            kendall = f"{100 * r['kendall']:.3f} %" if r["kendall"] >= 1e-5 else "below 0.001 %"
            cells = (title, f"{r['median_s']:.2f} s", f"{r['p99_s']:.2f} s", kendall, f"{100 * r['use']:.2f} %")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _tables(table: Mapping[str, Row]) -> str:
    rows = {name: row for name in SCENARIOS if (row := _mean(table, name, OURS))}
    parts = [
        "### The line\n",
        *_table(rows, LINE),
        "\n### Polls and estimates\n",
        *_table(rows, POLLS),
        "\n### Outages, sleepers, bots and uneven traffic\n",
        *_table({n: r for n, r in rows.items() if "calm_median_s" in r}, OUTAGES),
        "",
        *_table({n: r for n, r in rows.items() if "still_admitted" in r}, STANDSTILLS),
        "",
        *_table({n: r for n, r in rows.items() if "others_median_s" in r}, SLEEPERS),
        "",
        *_table({n: r for n, r in rows.items() if "fast_gain_s" in r}, BOTS),
        "",
        *_table({n: r for n, r in rows.items() if "node0_s" in r}, TRAFFIC),
        "\n### Other policies\n",
        *_policies(table),
        "\n### The scenarios\n",
        *(f"- `{name}`: {SCENARIOS[name].description}" for name in rows),
    ]
    return "\n".join(parts) + "\n"


def _table(rows: Mapping[str, Row], cells: Sequence[Cell]) -> list[str]:
    head = [f"| scenario | {' | '.join(title for title, _ in cells)} |", f"|---|{'---|' * len(cells)}"]
    return [*head, *(f"| {name} | {' | '.join(show(row) for _, show in cells)} |" for name, row in rows.items())]


def _policies(table: Mapping[str, Row]) -> list[str]:
    lines = ["| policy | scenario | use | median | P99 | Kendall | polls each |", "|---|---|---|---|---|---|---|"]
    for name in POLICY_SCENARIOS:
        for policy in (*BASELINES, OURS):
            r = _mean(table, name, policy)
            if r:
                lines.append(
                    f"| {policy} | {name} | {100 * r['use']:.1f} % | {r['median_s']:.2f} s"
                    f" | {r['p99_s']:.1f} s | {100 * r['kendall']:.2f} % | {r['polls_each']:.1f} |"
                )
        r = _mean(table, name, OURS)
        if r:
            polls = f"{r['ideal_polls']:.1f}"
            lines.append(f"| polling ideal | {name} | 100 % | 0.00 s | {r['ideal_p99_s']:.1f} s | 0 % | {polls} |")
    return lines


def _mean(table: Mapping[str, Row], name: str, policy: str) -> Row:
    rows = [row for key, row in table.items() if key.startswith(f"{name}/{policy}/")]
    keys = {k for row in rows for k, value in row.items() if not np.isnan(value)}
    out: Row = {k: float(np.nanmean([row.get(k, np.nan) for row in rows])) for k in keys}
    if rows:
        out["overshoot"] = max(row["overshoot"] for row in rows)
    return out
