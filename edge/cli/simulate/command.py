"""From the command line to scenarios, and from what they gave to a table, JSON or a report.

    --scenario | --trace     who comes
    --config, --nodes ...    to what
    --policy, --seeds        how it is played

numpy is needed to play, not to run the edge, so it is imported late and its absence is told.
"""

import argparse
import importlib.util
import json
import shlex
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli.simulate.arguments import ALL, MAX_NODES
from edge.cli.simulate.fleet import Fleet
from edge.cli.simulate.progress import Progress
from edge.cli.simulate.trace import read_trace
from edge.support.errors import ConfigurationError, SettingFault

if TYPE_CHECKING:
    from controller.simulation.scenario import Scenario
    from edge.cli.simulate.trial import Trial

__all__ = ["simulate"]

FINE, FAILED = 0, 1
NO_NUMPY = "stanchion simulate needs numpy, which the edge itself does not: pip install 'stanchion[simulate]'"


def simulate(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code. Raises ConfigurationError."""
    if importlib.util.find_spec("numpy") is None:
        print(NO_NUMPY, file=sys.stderr)
        return FAILED
    if options.list:
        print(_listed())
        return FINE
    scenarios, policies = _scenarios(options), _policies(options.policy)
    if options.report is not None:
        _check_place(options.report)
    try:
        trials = _play(scenarios, policies, options.seeds)
    except KeyboardInterrupt:
        print("\nstopped before the end: no figures", file=sys.stderr)
        return FAILED
    return _tell(trials, options)


def _play(scenarios: "list[Scenario]", policies: list[str], seeds: int) -> "list[Trial]":
    from edge.cli.simulate.trial import try_out

    progress = Progress(sys.stderr, len(scenarios) * len(policies) * seeds, time.monotonic)
    try:
        return [try_out(scenario, policies, seeds, progress) for scenario in scenarios]
    finally:
        progress.clear()


def _tell(trials: "list[Trial]", options: argparse.Namespace) -> int:
    from edge.cli.simulate.report import report
    from edge.cli.simulate.table import as_json, table

    command, shown = _command(options), f"stanchion {version('stanchion')}"
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


def _scenarios(options: argparse.Namespace) -> "list[Scenario]":
    from controller.simulation.scenarios import SCENARIOS
    from edge.cli.simulate.trial import checked, on_fleet, traced

    if options.room is not None and options.config is None:
        raise ConfigurationError("simulate", [SettingFault("--room", "names a room of --config, which is missing")])
    if options.trace is not None:
        chosen = [traced(read_trace(options.trace), options.trace.name)]
    else:
        every = [name for name, scenario in SCENARIOS.items() if scenario.kind == "measured"]
        names = _chosen("--scenario", options.scenario or ["flash"], list(SCENARIOS), every)
        chosen = [SCENARIOS[name] for name in names]
    if options.config is not None:
        fleet = Fleet.load(options.config, options.room)
        chosen = [on_fleet(scenario, fleet) for scenario in chosen]
    if options.nodes is not None:
        chosen = [replace(scenario, nodes=options.nodes) for scenario in chosen]
    if options.joined is not None:
        chosen = [replace(scenario, joined=options.joined) for scenario in chosen]
    crowded = next((scenario.nodes for scenario in chosen if scenario.nodes > MAX_NODES), None)
    if crowded is not None:
        told = f"the settings make {crowded} nodes; play with fewer, at most {MAX_NODES}"
        raise ConfigurationError("simulate", [SettingFault("--nodes", told)])
    return [checked(scenario) for scenario in chosen]


def _policies(named: list[str]) -> list[str]:
    from edge.cli.simulate.trial import POLICIES

    return _chosen("--policy", named, list(POLICIES), list(POLICIES))


def _chosen(option: str, named: list[str], known: list[str], every: list[str]) -> list[str]:
    names = [name for given in named for name in (every if given == ALL else [given])]
    faults = [
        SettingFault(option, f"none is called {name!r}; there are: {', '.join(known)}")
        for name in names
        if name not in known
    ]
    if faults:
        raise ConfigurationError("simulate", faults)
    return list(dict.fromkeys(names))


def _check_place(report: Path) -> None:
    """Told before minutes are spent."""
    try:
        why = "is a folder" if report.is_dir() else ""
        why = why or ("" if report.parent.is_dir() else f"there is no folder {report.parent}")
    except OSError as fault:
        why = f"cannot be written: {fault.strerror}"
    if why:
        raise ConfigurationError("simulate", [SettingFault("--report", f"{report}: {why}")])


def _listed() -> str:
    from controller.simulation.scenarios import SCENARIOS
    from edge.cli.simulate.trial import MEANINGS, POLICIES

    width = max(map(len, (*SCENARIOS, *POLICIES)))
    lines = ["scenarios:", *(f"  {s.name.ljust(width)}  {s.what}" for s in SCENARIOS.values()), "", "policies:"]
    for name, maker in POLICIES.items():
        told = MEANINGS.get(name) or (maker.__doc__ or "").partition("\n")[0]
        lines.append(f"  {name.ljust(width)}  {told}")
    return "\n".join(lines)


def _command(options: argparse.Namespace) -> str:
    """The command that gives the same figures again."""
    words = ["stanchion", "simulate"]
    if options.trace is not None:
        words += ["--trace", str(options.trace)]
    else:
        words += ["--scenario", *(options.scenario or ["flash"])]
    for name in ("config", "room", "nodes"):
        value = getattr(options, name)
        words += [] if value is None else [f"--{name}", str(value)]
    if options.joined is not None:
        words.append("--joined" if options.joined else "--no-joined")
    words += ["--policy", *options.policy, "--seeds", str(options.seeds)]
    return shlex.join(words)
