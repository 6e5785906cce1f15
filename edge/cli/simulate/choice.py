"""What the options of `stanchion simulate` choose.

--scenario | --trace     the crowd
--config, --nodes ...    the capacity and the nodes
--policy                 the policies that are compared
"""

import argparse
import shlex
from dataclasses import replace

from controller.simulation.policies import POLICIES
from controller.simulation.scenario import Scenario
from controller.simulation.scenarios import SCENARIOS
from edge.cli.simulate.arguments import ALL, MAX_NODES
from edge.cli.simulate.fleet import Fleet
from edge.cli.simulate.recorded import is_record, recorded
from edge.cli.simulate.suggest import with_capacity
from edge.cli.simulate.trace import read_trace
from edge.cli.simulate.trial import MEANINGS, checked, on_fleet, traced
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["choose_policies", "choose_scenarios", "listing", "repeating_command"]


def choose_scenarios(options: argparse.Namespace) -> list[Scenario]:
    """Return the scenarios, changed as the options ask. Raises ConfigurationError."""
    has_record = options.trace is not None and is_record(options.trace)
    if options.room is not None and options.config is None and not has_record:
        fault = SettingFault("--room", "needs --config or a record: it names one of their rooms")
        raise ConfigurationError("simulate", [fault])
    if has_record:
        chosen = [recorded(options.trace, options.room)]
    elif options.trace is not None:
        chosen = [traced(read_trace(options.trace), options.trace.name)]
    else:
        every = [name for name, scenario in SCENARIOS.items() if scenario.kind == "measured"]
        names = _chosen("--scenario", options.scenario or ["flash"], list(SCENARIOS), every)
        chosen = [SCENARIOS[name] for name in names]
    if options.config is not None:
        fleet = Fleet.load(options.config, options.room)
        chosen = [on_fleet(scenario, fleet) for scenario in chosen]
    if options.capacity is not None:
        chosen = [with_capacity(scenario, options.capacity) for scenario in chosen]
    if options.nodes is not None:
        chosen = [replace(scenario, nodes=options.nodes) for scenario in chosen]
    if options.joined is not None:
        chosen = [replace(scenario, joined=options.joined) for scenario in chosen]
    too_many = next((scenario.nodes for scenario in chosen if scenario.nodes > MAX_NODES), None)
    if too_many is not None:
        message = f"the settings make {too_many} nodes; the simulator plays at most {MAX_NODES}"
        raise ConfigurationError("simulate", [SettingFault("--nodes", message)])
    return [checked(scenario) for scenario in chosen]


def choose_policies(named: list[str]) -> list[str]:
    """Return the names of the policies to play. Raises ConfigurationError."""
    return _chosen("--policy", named, list(POLICIES), list(POLICIES))


def _chosen(option: str, named: list[str], known: list[str], every: list[str]) -> list[str]:
    names = [name for given in named for name in (every if given == ALL else [given])]
    faults = [
        SettingFault(option, f"there is no {name!r}; choose from: {', '.join(known)}")
        for name in names
        if name not in known
    ]
    if faults:
        raise ConfigurationError("simulate", faults)
    return list(dict.fromkeys(names))


def listing() -> str:
    """List every scenario and policy with its description."""
    width = max(map(len, (*SCENARIOS, *POLICIES)))
    lines = ["scenarios:", *(f"  {s.name.ljust(width)}  {s.description}" for s in SCENARIOS.values()), "", "policies:"]
    for name, maker in POLICIES.items():
        meaning = MEANINGS.get(name) or (maker.__doc__ or "").partition("\n")[0]
        lines.append(f"  {name.ljust(width)}  {meaning}")
    return "\n".join(lines)


def repeating_command(options: argparse.Namespace) -> str:
    """Return the command line that gives the same figures again."""
    words = ["stanchion", "simulate"]
    if options.trace is not None:
        words += ["--trace", str(options.trace)]
    else:
        words += ["--scenario", *(options.scenario or ["flash"])]
    for name in ("config", "room", "capacity", "nodes"):
        value = getattr(options, name)
        words += [] if value is None else [f"--{name}", str(value)]
    if options.joined is not None:
        words.append("--joined" if options.joined else "--no-joined")
    words += ["--policy", *options.policy, "--seeds", str(options.seeds)]
    return shlex.join(words)
