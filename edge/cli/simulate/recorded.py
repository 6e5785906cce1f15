"""A real sale as a trace: the visitors of a room's record, and what the room had.

If a visitor left, they keep the patience that they had. All others never leave: nobody knows how much longer they would
have waited.
"""

from dataclasses import replace
from math import inf
from pathlib import Path

from controller.simulation.scenario import Scenario
from edge.cli.report.reading import History, read_record, segments_in
from edge.cli.simulate.trace import Trace
from edge.cli.simulate.trial import traced
from edge.record.store import MAGIC, rooms_in
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["is_record", "recorded"]


def is_record(path: Path) -> bool:
    """Return whether a path is a record: a folder, or one of its files."""
    if path.is_dir():
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def recorded(path: Path, room: str | None) -> Scenario:
    """Return the sale of a record, with the capacity, the polling and the nodes that it had last.

    room: None if the record holds one only. Raises ConfigurationError.
    """
    history = read_record(segments_in([path], name := _room(path, room)), name)
    begin = history.visitors[0].arrival_s
    visitors = history.visitors
    arrival = tuple(max(0.0, each.arrival_s - begin) for each in visitors)
    patience = tuple(
        max(0.0, each.seen_s - each.arrival_s) if each.has_left and each.seen_s is not None else inf
        for each in visitors
    )
    return _as_it_was(traced(Trace(arrival, patience), f"{path.name}, room {name}"), history)


def _room(path: Path, room: str | None) -> str:
    if room is not None:
        return room
    if path.is_file():
        return path.parent.name
    rooms = rooms_in(path) or ([path.name] if any(path.glob("*.rec")) else [])
    if len(rooms) == 1:
        return rooms[0]
    what = f"holds several rooms; choose one with --room: {', '.join(rooms)}" if rooms else "holds no record"
    raise ConfigurationError(str(path), [SettingFault("--trace", what)])


def _as_it_was(scenario: Scenario, history: History) -> Scenario:
    last = {each.machine: each.note.values for each in history.of_kind("state")}
    begun = [each.note.values for each in history.of_kind("begin")]
    capacity = sum(state["capacity"] for state in last.values())
    nodes = sum(len(state["nodes"]) for state in last.values())
    if not capacity or not begun:
        return scenario
    return replace(
        scenario,
        capacity=capacity,
        burst_s=max(state["burst_s"] for state in last.values()),
        nodes=max(1, nodes),
        joined=nodes > 1,
        poll_min_s=begun[-1]["poll_min_s"],
        poll_max_s=begun[-1]["poll_max_s"],
    )
