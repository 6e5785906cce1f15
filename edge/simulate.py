"""`stanchion simulate`: a flash sale on a virtual clock, against the very gate that `stanchion run` uses.

    stanchion simulate [--scenario NAME | --trace FILE] [--config FILE] [--seeds N] [--policies] [--json]
                       [--report OUT.html]

The settings of a room come through `load_rooms`, so that this module does not know the configuration's form.
Exit codes: 0 fine, 1 numpy is missing, 2 bad usage, trace or configuration.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from controller import GateSettings, SettingsError

if TYPE_CHECKING:
    from controller.simulation.measures import Measures
    from controller.simulation.scenario import Scenario
    from controller.simulation.world import Run

RoomLoader = Callable[[str], Mapping[str, GateSettings]]
COLUMNS = ("policy", "seed", "use", "median", "P95", "P99", "Kendall", "over", "polls", "peak/s", "lost")


def main(
    argv: Sequence[str] | None = None, load_rooms: RoomLoader | None = None, out: TextIO | None = None
) -> int:
    """The command; `load_rooms` turns a configuration file into the gate's settings of each room."""
    out = sys.stdout if out is None else out
    options = _parser().parse_args(argv)
    try:
        import numpy as np  # the one place that needs it; the edge at run time does not
    except ModuleNotFoundError:
        print("stanchion simulate needs numpy: pip install numpy", file=sys.stderr)
        return 1
    del np
    try:
        scenario = _scenario(options, load_rooms)
    except (OSError, ValueError, SettingsError) as fault:
        print(f"stanchion simulate: {fault}", file=sys.stderr)
        return 2
    _play(scenario, options, out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stanchion simulate", description=(__doc__ or "").splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--scenario", default="flash", help="one of the named sales (default: flash)")
    what.add_argument("--trace", metavar="FILE", help="a CSV of arrivals: seconds[,patience]")
    parser.add_argument("--config", metavar="FILE", help="take capacity and polling from this configuration")
    parser.add_argument("--room", help="which room of it (default: the first)")
    parser.add_argument("--seeds", type=_positive, default=1, metavar="N", help="runs with seeds 0..N-1")
    parser.add_argument("--policies", action="store_true", help="also what others do, side by side")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--report", metavar="FILE", help="a self-contained HTML page with pictures")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _scenario(options: argparse.Namespace, load_rooms: RoomLoader | None) -> "Scenario":
    from controller.simulation.scenario import Scenario
    from controller.simulation.scenarios import SCENARIOS
    from controller.simulation.trace import parse

    if options.trace:
        with Path(options.trace).open(encoding="utf-8") as lines:
            scenario = Scenario("trace", options.trace, parse(lines), nodes=1)
    elif options.scenario in SCENARIOS:
        scenario = SCENARIOS[options.scenario]
    else:
        raise ValueError(f"no scenario {options.scenario!r}; there are {', '.join(SCENARIOS)}")
    if not options.config:
        return scenario
    if load_rooms is None:
        raise ValueError("--config is not available here")
    rooms = load_rooms(options.config)
    name = str(options.room or next(iter(rooms), ""))
    if name not in rooms:
        raise ValueError(f"no room {name!r} in {options.config}; there are {', '.join(rooms) or 'none'}")
    return _with_room(scenario, rooms[name])


def _with_room(scenario: "Scenario", room: GateSettings) -> "Scenario":
    if room.room_rate <= 0.0:
        raise ValueError("the room is held (capacity 0): nothing to simulate")
    return replace(
        scenario,
        capacity=room.room_rate,
        burst_s=room.burst_seconds,
        nodes=room.nodes,
        poll_min_s=room.poll_min_s,
        poll_max_s=room.poll_max_s,
        bucket_floor=room.bucket_floor,
    )


def _play(scenario: "Scenario", options: argparse.Namespace, out: TextIO) -> None:
    from controller.simulation import ideal
    from controller.simulation.measures import measure
    from controller.simulation.policies import POLICIES
    from controller.simulation.told import told
    from controller.simulation.world import PolicyMaker, play, real_gate

    makers: dict[str, PolicyMaker] = {**POLICIES} if options.policies else {}
    makers["stanchion"] = real_gate
    rows: list[list[str]] = []
    figures: list[dict[str, object]] = []
    runs: dict[str, Run] = {}
    for seed in range(options.seeds):
        for name, maker in makers.items():
            run = play(scenario, seed, maker, _progress(f"{scenario.name} {name} seed {seed}"))
            central = ideal.fifo(run.people, scenario.plan())
            got = measure(run, central)
            rows.append(_row(name, seed, got))
            figures.append({"policy": name, "seed": seed, **asdict(got), **asdict(told(run))})
            if seed == 0:
                runs[name] = run
    people = next(iter(runs.values())).people
    best = ideal.polled(people, ideal.fifo(people, scenario.plan()), scenario.poll_min_s)
    polls = float(ideal.polls_needed(people, best, scenario.poll_max_s).mean())
    rows.append(["polling ideal", "", "100 %", "0.00 s", *[""] * 4, f"{polls:.2f}", "", ""])
    if options.json:
        document = {"scenario": scenario.name, "runs": figures, "polling_ideal": {"polls_each": polls}}
        print(json.dumps(document, indent=2, allow_nan=True), file=out)
    else:
        _print_table(rows, out)
    if options.report:
        _write_report(scenario, rows, runs, options.report)


def _write_report(scenario: "Scenario", rows: list[list[str]], runs: "dict[str, Run]", path: str) -> None:
    from controller.simulation import ideal
    from edge.report.sale import page, pictures

    central = ideal.fifo(next(iter(runs.values())).people, scenario.plan())
    title = f"Stanchion: {scenario.name}, {scenario.what}"
    Path(path).write_text(page(title, COLUMNS, rows, pictures(runs, central)), encoding="utf-8")


def _row(policy: str, seed: int, m: "Measures") -> list[str]:
    return [
        policy,
        str(seed),
        f"{100 * m.use:.2f} %",
        f"{m.median_s:.2f} s",
        f"{m.p95_s:.2f} s",
        f"{m.p99_s:.2f} s",
        f"{100 * m.kendall:.3f} %",
        f"{m.overshoot:.0f}",
        f"{m.polls_each:.2f}",
        f"{m.polls_peak_per_s:.0f}",
        f"{100 * m.lost:.2f} %",
    ]


def _print_table(rows: list[list[str]], out: TextIO) -> None:
    widths = [max(len(row[i]) for row in [list(COLUMNS), *rows]) for i in range(len(COLUMNS))]
    for row in [list(COLUMNS), *rows]:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([first.strip().ljust(widths[0]), *others]), file=out)


def _progress(what: str) -> Callable[[float], None] | None:
    """One line on the terminal that is written over; nothing when nobody looks."""
    if not sys.stderr.isatty():
        return None

    def show(now: float) -> None:
        marks = int(now / 15.0) % 30
        bar = "#" * marks + "." * (30 - marks)
        print(f"\r{what} [{bar}] {now:5.0f} s of the sale", end="", file=sys.stderr, flush=True)

    return show
