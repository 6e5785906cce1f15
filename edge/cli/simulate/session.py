"""One run of `stanchion simulate`: options -> scenarios and policies -> trials -> a table, JSON or a report."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from controller.simulation.scenario import Scenario
from edge.cli.simulate.choice import choose_policies, choose_scenarios, listing, repeating_command
from edge.cli.simulate.progress import Progress
from edge.cli.simulate.report import report
from edge.cli.simulate.suggest import suggest
from edge.cli.simulate.table import as_json, table
from edge.cli.simulate.trial import Trial, try_out
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["run"]

FINE, FAILED = 0, 1


def run(options: argparse.Namespace) -> int:
    """Play what the options ask for and print it. Return the exit code. Raises ConfigurationError."""
    if options.list:
        print(listing())
        return FINE
    scenarios, policies = choose_scenarios(options), choose_policies(options.policy)
    if options.suggest is not None:
        return _suggest(scenarios, options)
    if options.report is not None:
        _check_place(options.report)
    try:
        trials = _play(scenarios, policies, options.seeds)
    except KeyboardInterrupt:
        print("\nstopped before the end: no figures", file=sys.stderr)
        return FAILED
    return _show(trials, options)


def _suggest(scenarios: Sequence[Scenario], options: argparse.Namespace) -> int:
    progress = Progress(sys.stderr, len(scenarios), time.monotonic)
    for scenario in scenarios:
        progress.begin(f"{scenario.name}, seeking a capacity")
        found = suggest(scenario, options.suggest, lambda _: progress.at(0.5))
        progress.end()
        progress.clear()
        if options.json:
            print(json.dumps({"scenario": scenario.name, **asdict(found)}))
        else:
            print(
                f"{scenario.name}: {found.capacity:g} admissions a second. Nine of ten of {found.visitors:,} visitors "
                f"then wait no longer than {found.p90_s:,.0f} s, if nobody leaves (asked for: {found.limit_s:g} s)."
            )
    return FINE


def _play(scenarios: Sequence[Scenario], policies: Sequence[str], seeds: int) -> list[Trial]:
    progress = Progress(sys.stderr, len(scenarios) * len(policies) * seeds, time.monotonic)
    try:
        return [try_out(scenario, policies, seeds, progress) for scenario in scenarios]
    finally:
        progress.clear()


def _show(trials: Sequence[Trial], options: argparse.Namespace) -> int:
    command, shown = repeating_command(options), f"stanchion {version('stanchion')}"
    if options.json:
        print(json.dumps(as_json(trials, version("stanchion"), command), indent=2, allow_nan=False))
    else:
        print("\n\n".join(table(trial) for trial in trials))
    if options.report is None:
        return FINE
    try:
        options.report.write_text(report(trials, shown, command), encoding="utf-8")
    except OSError as fault:
        print(f"{options.report}: cannot be written: {fault.strerror}", file=sys.stderr)
        return FAILED
    if not options.json:
        print(f"\nreport: {options.report}")
    return FINE


def _check_place(report: Path) -> None:
    """Refuse a report that cannot be written, before minutes are spent on it."""
    try:
        why = "is a folder" if report.is_dir() else ""
        why = why or ("" if report.parent.is_dir() else f"there is no folder {report.parent}")
    except OSError as fault:
        why = f"cannot be written: {fault.strerror}"
    if why:
        raise ConfigurationError("simulate", [SettingFault("--report", f"{report}: {why}")])
