"""Measure the fairness of every scenario, or check that the committed figures still hold.

    python tests/bench/fairness_table.py [NAME ...]                      play, update docs/fairness.json and .md
    python tests/bench/fairness_table.py --check [--seed N] [NAME ...]   play one seed, compare with the .json file

Without names: every scenario with seeds 0 to 4 (`million` with seed 0 only), then the other policies with seed 0.
The name `policies` stands for the latter. The figures are kept in docs/fairness.json, so a run with names updates
only theirs. A check without names leaves out the three longest scenarios and the other policies. It compares every
figure except `seconds`, exactly as written (six decimals), and exits with 1 if one differs.
"""

import argparse
import json
import sys
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing import Pool
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from controller.simulation import ideal
from controller.simulation.crowd import COLLECTOR, FAST, HONEST, SLEEPER
from controller.simulation.estimates import estimate_errors
from controller.simulation.measures import measure
from controller.simulation.policies import BASELINES, POLICIES
from controller.simulation.run import Run
from controller.simulation.scenario import Cut, Kill, SetNodes, Stall
from controller.simulation.scenarios import SCENARIOS
from controller.simulation.world import play

DOCS = Path(__file__).parents[2] / "docs"
SEEDS = range(5)
AFTER_S = 15.0
FIGURES = DOCS / "fairness.json"
LONGEST = ("million", "many-joined", "many-strict-joined")

Row = dict[str, Any]


def figures(job: tuple[str, str, int]) -> tuple[str, str, int, Row]:
    """One run, measured."""
    name, policy, seed = job
    scenario = SCENARIOS[name]
    start = perf_counter()
    run = play(scenario, seed, POLICIES[policy])
    plan = ideal.fifo(run.people, scenario.plan())
    best = ideal.polled(run.people, plan, scenario.poll_min_s)
    gap = np.abs(best - plan)
    row = asdict(measure(run, plan))
    row["ideal_p99_s"] = float(np.nanpercentile(gap, 99))
    row["ideal_polls"] = float(np.mean(ideal.polls_needed(run.people, best, scenario.poll_max_s)))
    row |= asdict(estimate_errors(run)) | {"seconds": perf_counter() - start} | extras(run, plan)
    return name, policy, seed, row


def extras(run: Run, plan: Any) -> dict[str, float]:
    """What one scenario only is about."""
    gap = np.abs(run.admitted_s - plan)
    kind = run.people.kind
    out: dict[str, float] = {}
    moments = [e.at_s for e in run.scenario.events if isinstance(e, SetNodes | Kill | Stall | Cut)]
    if moments:
        calm = np.ones(len(plan), dtype=bool)
        for at in moments:
            calm &= ~((plan >= at) & (plan < at + AFTER_S))
        out["calm_median_s"] = float(np.nanmedian(gap[calm]))
        out["calm_p99_s"] = float(np.nanpercentile(gap[calm], 99))
        gap_then = np.abs(run.admitted_s - ideal.fifo(run.people, run.scenario.available()))
        out["calm_most_passed_by"] = float(np.max(passed_by(run)[calm]))
        out["calm_less_outage_median_s"] = float(np.nanmedian(gap_then[calm]))
        out["calm_less_outage_p99_s"] = float(np.nanpercentile(gap_then[calm], 99))
    if (kind == SLEEPER).any():
        awake = kind != SLEEPER
        out["others_median_s"] = float(np.nanmedian(gap[awake]))
        out["others_p99_s"] = float(np.nanpercentile(gap[awake], 99))
        gap_then = np.abs(run.admitted_s - ideal.fifo_awake(run.people, run.scenario.plan()))
        out["others_awake_median_s"] = float(np.nanmedian(gap_then[awake]))
        out["others_awake_p99_s"] = float(np.nanpercentile(gap_then[awake], 99))
        overdue = (kind == SLEEPER) & (run.people.sleep_from_s < plan) & (plan < run.people.sleep_to_s)
        polls = [run.polls_after_wake.get(int(v), 0) for v in np.flatnonzero(overdue)]
        out["overdue_polls_p99"] = float(np.percentile(polls, 99)) if polls else 0.0
        out["overdue_in_two"] = float(np.mean([p <= 2 for p in polls])) if polls else 1.0
    for code, label in ((FAST, "fast"), (COLLECTOR, "collector")):
        if (kind == code).any():
            signed = run.admitted_s - plan
            out[f"{label}_gain_s"] = float(np.nanmean(signed[kind == HONEST]) - np.nanmean(signed[kind == code]))
    if run.scenario.weights is not None:
        late = [run.admitted_s - plan]
        waits = (run.admitted_s - run.people.arrival_s) if run.scenario.sticky else late[0]
        cohort = [float(np.nanmean(waits[run.node == i])) for i in range(run.scenario.nodes)]
        out |= {f"node{i}_s": mean for i, mean in enumerate(cohort)}
    return out


def passed_by(run: Run) -> Any:
    """How many younger ones were let in before each visitor."""
    out = np.zeros(len(run.people))
    inside: list[int] = []
    for visitor in np.argsort(run.admitted_s)[: np.count_nonzero(~np.isnan(run.admitted_s))].tolist():
        out[visitor] = len(inside) - bisect_left(inside, visitor)
        insort(inside, visitor)
    return out


def jobs(names: list[str], seeds: Sequence[int] = SEEDS) -> list[tuple[str, str, int]]:
    """List the runs: (scenario, policy, seed)."""
    out = [(n, "stanchion", s) for n in names if n in SCENARIOS for s in (seeds if n != "million" else [0])]
    if "policies" in names:
        out += [(n, p, 0) for n in ("flash-1", "flash", "churn") for p in BASELINES]
    return out


def rounded(row: Row) -> Row:
    """Round the figures of a run as docs/fairness.json keeps them."""
    return {k: round(v, 6) for k, v in row.items()}


def update(names: list[str]) -> None:
    """Play the scenarios, and write their figures into docs/fairness.json and docs/fairness.md."""
    table = read_figures()
    with Pool(2, maxtasksperchild=4) as pool:
        for name, policy, seed, row in pool.imap_unordered(figures, jobs(names)):
            table[f"{name}/{policy}/{seed}"] = rounded(row)
            FIGURES.write_text(json.dumps(dict(sorted(table.items())), indent=0) + "\n")
            print(
                f"{name:20}{policy:14}{seed}  use {100 * row['use']:6.2f} %  p99 {row['p99_s']:7.2f} s",
                flush=True,
            )
    write(table)


def check(names: list[str], seed: int) -> int:
    """Play the scenarios with one seed. Return 1 if a figure differs from docs/fairness.json, else 0."""
    table = read_figures()
    failed = 0
    with Pool(2, maxtasksperchild=4) as pool:
        for name, policy, played, row in pool.imap_unordered(figures, jobs(names, [seed])):
            key = f"{name}/{policy}/{played}"
            differing = differences(table.get(key, {}), rounded(row))
            failed += bool(differing)
            verdict = f"{len(differing)} figures differ" if differing else "same"
            print(f"{key:40} {row['seconds']:6.0f} s  {verdict}", *differing, sep="\n    ", flush=True)
    print(f"{failed} runs differ from {FIGURES.name}" if failed else f"all runs are as in {FIGURES.name}")
    return 1 if failed else 0


def differences(expected: Row, found: Row) -> list[str]:
    """Name each figure that is not what it was, with both values. `seconds` is left out: it is the time of the run."""
    names = sorted((expected.keys() | found.keys()) - {"seconds"})
    pairs = [(name, expected.get(name), found.get(name)) for name in names]
    return [f"{n}: {old} -> {new}" for n, old, new in pairs if old != new and not (is_nan(old) and is_nan(new))]


def is_nan(value: object) -> bool:
    return isinstance(value, float) and np.isnan(value)


def read_figures() -> dict[str, Row]:
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {}


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description="Measure the fairness of the scenarios, or check the figures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios, or 'policies'; without: all")
    parser.add_argument("--check", action="store_true", help="compare with docs/fairness.json instead of updating it")
    parser.add_argument("--seed", type=int, default=0, help="seed of a check, 0 to 4 (default: 0)")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in (*SCENARIOS, "policies")]
    if unknown:
        parser.error(f"unknown scenario: {', '.join(unknown)}")
    if options.check:
        sys.exit(check(options.names or [n for n in SCENARIOS if n not in LONGEST], options.seed))
    update(options.names or [*SCENARIOS, "policies"])


def write(table: dict[str, Row]) -> None:
    """The generated part of docs/fairness.md."""
    page = DOCS / "fairness.md"
    text = page.read_text() if page.exists() else "<!-- figures -->\n<!-- end -->\n"
    head, rest = text.split("<!-- figures -->\n", 1)
    tail = rest.split("<!-- end -->", 1)[1]
    page.write_text(f"{head}<!-- figures -->\n{render(table)}<!-- end -->{tail}")


def mean(table: dict[str, Row], name: str, policy: str) -> dict[str, float]:
    rows = [row for key, row in table.items() if key.startswith(f"{name}/{policy}/")]
    keys = {k for row in rows for k, value in row.items() if not np.isnan(value)}
    out = {k: float(np.nanmean([row.get(k, np.nan) for row in rows])) for k in keys}
    if rows:
        out["runs"] = len(rows)
        out["overshoot"] = max(row["overshoot"] for row in rows)
    return out


def render(table: dict[str, Row]) -> str:
    """Markdown tables."""
    lines = [
        "| scenario | use | median | P95 | P99 | Kendall | over | polls each | peak/s | lost | spread |"
        " polling ideal P99, polls | place off: shown, told | P90 holds | grown: shown, told | slower |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    notes: list[str] = []
    for name, scenario in SCENARIOS.items():
        r = mean(table, name, "stanchion")
        if not r:
            continue
        lines.append(
            f"| {name} | {100 * r['use']:.2f} % | {r['median_s']:.2f} s | {r['p95_s']:.2f} s"
            f" | {r['p99_s']:.2f} s"
            f" | {100 * r['kendall']:.3f} % | {r['overshoot']:.2g} | {r['polls_each']:.2f}"
            f" | {r['polls_peak_per_s']:.0f} | {100 * r['lost']:.2f} % | {r['spread_s']:.1f} s"
            f" | {r['ideal_p99_s']:.2f} s, {r['ideal_polls']:.2f} | {100 * r['position_error']:.1f} %,"
            f" {100 * r['told_error']:.1f} % | {100 * r['covered']:.1f} % | {100 * r['grown']:.1f} %,"
            f" {100 * r['told_grown']:.1f} % | {100 * r['slower']:.1f} % |"
        )
        extra = [
            f"{k} {v:.2f}" for k, v in r.items() if k.startswith(("calm", "others", "overdue", "fast", "coll", "node"))
        ]
        notes.append(f"- `{name}`: {scenario.what}. {', '.join(sorted(extra))}".rstrip(" ."))
    lines += [
        "",
        *notes,
        "",
        "| policy | scenario | use | median | P99 | Kendall | polls each |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ("flash-1", "flash", "churn"):
        for policy in (*BASELINES, "stanchion"):
            r = mean(table, name, policy)
            if r:
                lines.append(
                    f"| {policy} | {name} | {100 * r['use']:.1f} % | {r['median_s']:.2f} s"
                    f" | {r['p99_s']:.1f} s | {100 * r['kendall']:.2f} % | {r['polls_each']:.1f} |"
                )
        r = mean(table, name, "stanchion")
        if r:
            polls = f"{r['ideal_polls']:.1f}"
            lines.append(f"| polling ideal | {name} | 100 % | 0.00 s | {r['ideal_p99_s']:.1f} s | 0 % | {polls} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
