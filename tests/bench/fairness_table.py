"""Measure the fairness of every scenario, or check that the committed figures still hold.

    python tests/bench/fairness_table.py [NAME ...]                      play, update docs/fairness.json and .md
    python tests/bench/fairness_table.py --page                          write docs/fairness.md again, play nothing
    python tests/bench/fairness_table.py --check [--seed N] [NAME ...]   play one seed, compare with the .json file

Without names: every scenario with seeds 0 to 4 (of a million visitors with seed 0 only), then the other policies with
seed 0. The name `policies` stands for the latter. The figures are kept in docs/fairness.json, so a run with names
updates only theirs. A check without names leaves out the longest scenarios and the other policies. It compares every
figure except `seconds`, exactly as written (six decimals), and exits with 1 if one differs.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from controller.simulation.policies import BASELINES
from controller.simulation.scenarios import SCENARIOS
from tests.bench.fairness_figures import Row, figures
from tests.bench.fairness_page import POLICY_SCENARIOS, write_page

DOCS = Path(__file__).parents[2] / "docs"
FIGURES, PAGE = DOCS / "fairness.json", DOCS / "fairness.md"
SEEDS = range(5)
MILLIONS = ("million", "million-1", "million-joined-2")
LONGEST = (*MILLIONS, "many-joined", "many-strict-joined")


def jobs(names: list[str], seeds: Sequence[int] = SEEDS) -> list[tuple[str, str, int]]:
    """List the runs: (scenario, policy, seed)."""
    out = [(n, "stanchion", s) for n in names if n in SCENARIOS for s in ([0] if n in MILLIONS else seeds)]
    if "policies" in names:
        out += [(n, p, 0) for n in POLICY_SCENARIOS for p in BASELINES]
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
    write_page(PAGE, table)


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
    parser.add_argument("--page", action="store_true", help="write docs/fairness.md from docs/fairness.json and exit")
    parser.add_argument("--seed", type=int, default=0, help="seed of a check, 0 to 4 (default: 0)")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in (*SCENARIOS, "policies")]
    if unknown:
        parser.error(f"unknown scenario: {', '.join(unknown)}")
    if options.page:
        write_page(PAGE, read_figures())
    elif options.check:
        sys.exit(check(options.names or [n for n in SCENARIOS if n not in LONGEST], options.seed))
    else:
        update(options.names or [*SCENARIOS, "policies"])


if __name__ == "__main__":
    main()
