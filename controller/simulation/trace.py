"""A shop's own sale as a crowd: a CSV of arrivals, one visitor a line.

    seconds[,patience]      header optional; patience in seconds, empty = never leaves, 0 = a ghost

Seconds may start anywhere: the first arrival becomes 0.
"""

from collections.abc import Iterable

import numpy as np

from controller.simulation.crowd import Crowd, Maker, crowd


class TraceError(ValueError):
    """A line that is no arrival; says which and why."""


def parse(lines: Iterable[str]) -> Maker:
    """The crowd in these lines; `TraceError` names every faulty line, up to ten."""
    arrivals: list[float] = []
    patience: list[float] = []
    faults: list[str] = []
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if not cells[0] or cells[0].startswith("#") or (number == 1 and not _is_number(cells[0])):
            continue
        leaves = cells[1] if len(cells) > 1 and cells[1] else "inf"
        if not _is_number(cells[0]) or not _is_number(leaves) or float(leaves) < 0.0:
            faults.append(f"line {number}: want seconds[,patience], got {line.strip()!r}")
            continue
        arrivals.append(float(cells[0]))
        patience.append(float(leaves))
    if not arrivals and not faults:
        faults.append("no arrivals")
    if faults:
        raise TraceError("; ".join(faults[:10]))
    times = np.array(arrivals) - min(arrivals)
    stays = np.array(patience)

    def people(rng: np.random.Generator) -> Crowd:
        del rng
        return crowd(times, stays)

    return people


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False
