"""A recorded sale: the arrival of each visitor, and how long they were ready to wait.

    seconds,patience        the header is optional; with it the columns may stand in either order
    0.0,                    an empty patience: this visitor never leaves
    0.4,95.5                this visitor gives up 95.5 s after arriving
    1760090400.25,30        seconds on any clock, such as Unix time: the first arrival is the zero of the trace

Lines may come in any order. A line that cannot be read is a fault with its line number. A trace with a fault is not
played.
"""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["MAX_ARRIVALS", "MAX_FAULTS", "MAX_SPAN_S", "Trace", "parse_trace", "read_trace"]

#: More would take hours. The largest public flash sales had about a million visitors in line at once.
MAX_ARRIVALS = 5_000_000
#: Two days. The virtual clock steps through all of it.
MAX_SPAN_S = 172_800.0
#: The year 5138 in Unix time: a larger number is probably milliseconds.
MAX_SECONDS = 1e11
#: A file with this many faults is probably no trace: the rest is not read.
MAX_FAULTS = 20
COLUMNS = ("seconds", "patience")


@dataclass(frozen=True, slots=True)
class Trace:
    """Visitors in the order of the file. arrival_s: the first is 0. patience_s: inf for a visitor that never leaves."""

    arrival_s: tuple[float, ...]
    patience_s: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.arrival_s)


def read_trace(path: Path) -> Trace:
    """Read a trace from a file. Raises ConfigurationError with all faults, each with its line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return parse_trace(lines, str(path))
    except OSError as fault:
        raise ConfigurationError(str(path), [SettingFault("", f"cannot be read: {fault.strerror}")]) from None
    except UnicodeDecodeError as fault:
        raise ConfigurationError(str(path), [SettingFault("", f"is not UTF-8 text: {fault.reason}")]) from None


def parse_trace(lines: Iterable[str], source: str = "trace") -> Trace:
    """Read a trace from lines of CSV. source: its name in faults. Raises ConfigurationError."""
    arrivals: list[float] = []
    patiences: list[float] = []
    faults: list[SettingFault] = []
    columns: tuple[str, ...] | None = None
    for line, row in _rows(lines, faults):
        if columns is None:
            columns, is_header = _columns(row)
            if is_header:
                unknown = _header_fault(columns)
                if unknown:
                    raise ConfigurationError(source, [SettingFault(f"line {line}", unknown)])
                continue
        read = _visitor(row, columns)
        if isinstance(read, str):
            faults.append(SettingFault(f"line {line}", read))
        else:
            arrivals.append(read[0])
            patiences.append(read[1])
        if len(faults) >= MAX_FAULTS or len(arrivals) > MAX_ARRIVALS:
            break
    if len(faults) >= MAX_FAULTS:
        faults.append(SettingFault("", f"stopped reading after {MAX_FAULTS} faults"))
    if len(arrivals) > MAX_ARRIVALS:
        faults.append(SettingFault("", f"holds more than {MAX_ARRIVALS:,} arrivals"))
    if not arrivals and not faults:
        faults.append(SettingFault("", "holds no arrivals"))
    if arrivals and not faults and max(arrivals) - min(arrivals) > MAX_SPAN_S:
        span = max(arrivals) - min(arrivals)
        faults.append(
            SettingFault("", f"spans {span:,.0f} s, more than {MAX_SPAN_S:,.0f} (are the seconds milliseconds?)")
        )
    if faults:
        raise ConfigurationError(source, faults)
    first = min(arrivals)
    return Trace(tuple(at - first for at in arrivals), tuple(patiences))


def _rows(lines: Iterable[str], faults: list[SettingFault]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with the number of its last line."""
    reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as fault:
        faults.append(SettingFault(f"line {reader.line_num}", f"is not CSV: {fault}"))


def _columns(row: list[str]) -> tuple[tuple[str, ...], bool]:
    """Return the columns that the first row names, and whether it is a header."""
    names = tuple(cell.lower() for cell in row)
    if set(names) & set(COLUMNS):
        return names, True
    return COLUMNS, False


def _header_fault(names: tuple[str, ...]) -> str | None:
    for name in names:
        if name not in COLUMNS:
            return f"unknown column {name!r}; the columns are seconds and patience"
    if len(set(names)) < len(names):
        return "names a column twice"
    return None if "seconds" in names else "has no column 'seconds'"


def _visitor(row: list[str], columns: tuple[str, ...]) -> tuple[float, float] | str:
    """Return arrival and patience, or a description of the fault."""
    if len(row) > len(columns):
        return f"has {len(row)} columns, expected {' and '.join(columns)}"
    cells = dict(zip(columns, row, strict=False))
    arrival = _number(cells.get("seconds", ""), MAX_SECONDS)
    if isinstance(arrival, str):
        return f"seconds: {arrival}"
    if not cells.get("patience"):
        return arrival, math.inf
    patience = _number(cells["patience"], MAX_SECONDS)
    if isinstance(patience, str):
        return f"patience: {patience} (leave it empty for a visitor that never leaves)"
    return arrival, patience


def _number(text: str, most: float) -> float | str:
    shown = text if len(text) <= 40 else text[:37] + "..."
    try:
        value = float(text)
    except ValueError:
        return f"must be a number of seconds, got {shown!r}"
    if not math.isfinite(value) or value < 0.0:
        return f"must be finite and >= 0, got {shown!r}"
    return value if value <= most else f"must be <= {most:g}, got {shown!r} (are these milliseconds?)"
