"""The report of the bench: medians of ratios within one run, and a description of the machine."""

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.load import Measured

OURS, REFERENCE = ("stanchion", "stanchion, compiled"), "nginx+lua"

Results = Mapping[str, Mapping[str, Sequence[Measured]]]


def write_report(
    machine: Mapping[str, str],
    results: Results,
    calm: Mapping[str, Measured],
    idle: Mapping[str, float],
    extra: Mapping[str, float],
) -> str:
    parts = [_machine(machine), _table(results), _cpu(results)]
    parts.append("\n".join(f"P99 of polls at half load, {name}: {one.p99_ms:.2f} ms ({one.rate:,.0f}/s)  "
                           for name, one in calm.items()))  # fmt: skip
    parts.append(
        "\n".join(f"memory of an idle connection, {name}: {size / 1024:.1f} KiB  " for name, size in idle.items())
    )
    parts.append("\n".join(f"{name}: {value:,.0f}  " for name, value in extra.items()))
    return "\n\n".join(parts) + "\n"


def ratio(results: Results, work: str, to: str = REFERENCE, of: str = OURS[0]) -> float | None:
    """Return the median over the rounds of the ratio of capacities, `of` to `to`."""
    ours, theirs = results[work].get(of), results[work].get(to)
    if not ours or not theirs:
        return None
    return statistics.median(a.capacity / b.capacity for a, b in zip(ours, theirs, strict=True) if b.capacity)


def _table(results: Results) -> str:
    peers = ("nginx+lua", "haproxy", "aiohttp")
    lines = [
        "| work | server | " + " | ".join(f"to {peer}" for peer in peers) + " | failed |",
        "|---|---|" + "---|" * (len(peers) + 1),
    ]
    for work, by_server in results.items():
        for ours in OURS:
            if ours in by_server:
                ratios = [ratio(results, work, peer, ours) for peer in peers]
                failed = sum(one.failed for one in by_server[ours])
                cells = ["-" if each is None else f"{each:.2f}" for each in ratios]
                lines.append(f"| {work} | {ours} | " + " | ".join(cells) + f" | {failed} |")
    return "\n".join(lines)


def _cpu(results: Results) -> str:
    lines = ["| work | server | us of CPU a request | requests/s | P99 ms |", "|---|---|---|---|---|"]
    for work, by_server in results.items():
        for name, measured in by_server.items():
            cost = statistics.median(1e6 / one.capacity for one in measured if one.capacity)
            rate = statistics.median(one.rate for one in measured)
            p99 = statistics.median(one.p99_ms for one in measured)
            lines.append(f"| {work} | {name} | {cost:.1f} | {rate:,.0f} | {p99:.1f} |")
    return "\n".join(lines)


def _machine(facts: Mapping[str, str]) -> str:
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    lines = [f"{name}: `{value}`  " for name, value in facts.items()]
    lines.append(f"machine: {model}, {os.cpu_count()} cores, Linux {platform.release()}  ")
    lines.append(f"load average when it ended: {os.getloadavg()[0]:.1f}  ")
    lines.append(f"when: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit.strip()}  ")
    return "\n".join(lines)
