"""The committed figures: `python tests/bench/fairness_table.py [NAME ...]` writes docs/fairness.md.

Every scenario over seeds 0..4 (`million`: seed 0), two processes; then one sale for each policy. Figures are
kept in docs/fairness.json, so that naming scenarios renews only theirs.
"""

import json
import sys
from bisect import bisect_left, insort
from dataclasses import asdict
from multiprocessing import Pool
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from controller.simulation import ideal
from controller.simulation.crowd import COLLECTOR, FAST, HONEST, SLEEPER
from controller.simulation.measures import measure
from controller.simulation.policies import POLICIES
from controller.simulation.scenario import Cut, Kill, SetNodes, Stall
from controller.simulation.scenarios import SCENARIOS
from controller.simulation.told import told
from controller.simulation.world import Run, play, real_gate

DOCS = Path(__file__).parents[2] / "docs"
SEEDS = range(5)
AFTER_S = 15.0


def figures(job: tuple[str, str, int]) -> tuple[str, str, int, dict[str, Any]]:
    """One run, measured."""
    name, policy, seed = job
    scenario = SCENARIOS[name]
    start = perf_counter()
    run = play(scenario, seed, real_gate if policy == "stanchion" else POLICIES[policy])
    plan = ideal.fifo(run.people, scenario.plan())
    best = ideal.polled(run.people, plan, scenario.poll_min_s)
    gap = np.abs(best - plan)
    row = asdict(measure(run, plan))
    row["ideal_p99_s"] = float(np.nanpercentile(gap, 99))
    row["ideal_polls"] = float(np.mean(ideal.polls_needed(run.people, best, scenario.poll_max_s)))
    row |= asdict(told(run)) | {"seconds": perf_counter() - start} | extras(run, plan)
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


def jobs(names: list[str]) -> list[tuple[str, str, int]]:
    """What is to be run."""
    out = [(n, "stanchion", s) for n in names if n in SCENARIOS for s in (SEEDS if n != "million" else [0])]
    if not names or "policies" in names:
        out += [(n, p, 0) for n in ("flash-1", "flash", "churn") for p in POLICIES]
    return out


def main() -> None:
    """Run, keep, print."""
    names = sys.argv[1:] or [*SCENARIOS, "policies"]
    kept = DOCS / "fairness.json"
    DOCS.mkdir(exist_ok=True)
    table: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    with Pool(2, maxtasksperchild=4) as pool:
        for name, policy, seed, row in pool.imap_unordered(figures, jobs(names)):
            table[f"{name}/{policy}/{seed}"] = {k: round(v, 6) for k, v in row.items()}
            kept.write_text(json.dumps(dict(sorted(table.items())), indent=0) + "\n")
            print(
                f"{name:20}{policy:14}{seed}  use {100 * row['use']:6.2f} %  p99 {row['p99_s']:7.2f} s",
                flush=True,
            )
    write(table)


def write(table: dict[str, dict[str, Any]]) -> None:
    """The generated part of docs/fairness.md."""
    page = DOCS / "fairness.md"
    text = page.read_text() if page.exists() else "<!-- figures -->\n<!-- end -->\n"
    head, rest = text.split("<!-- figures -->\n", 1)
    tail = rest.split("<!-- end -->", 1)[1]
    page.write_text(f"{head}<!-- figures -->\n{render(table)}<!-- end -->{tail}")


def mean(table: dict[str, dict[str, Any]], name: str, policy: str) -> dict[str, float]:
    rows = [row for key, row in table.items() if key.startswith(f"{name}/{policy}/")]
    keys = {k for row in rows for k, value in row.items() if not np.isnan(value)}
    out = {k: float(np.nanmean([row.get(k, np.nan) for row in rows])) for k in keys}
    if rows:
        out["runs"] = len(rows)
        out["overshoot"] = max(row["overshoot"] for row in rows)
    return out


def render(table: dict[str, dict[str, Any]]) -> str:
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
        for policy in (*POLICIES, "stanchion"):
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
