"""Reads a room's record, of one or several machines, into what the report counts with.

A visitor has one arrival and one mark in all files. Their admission is the first that any node noted. Their last poll
is the latest that any node saw.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.record.events import ADMITTED, ARRIVED, TOLD, Event, read_events
from edge.record.store import Batch, Note, read_segment, rooms_in, segments_of
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["History", "MachineNote", "Visitor", "read_record", "segments_in"]

#: A report covers this time before the record's end unless it is asked for another.
DEFAULT_SPAN_S = 24 * 3600.0


@dataclass(slots=True)
class Visitor:
    """arrival_s: the place, seconds since 1970. came_s: the arrival, from which the place differs after a draw.

    admitted_s, seen_s: None if unknown. node: of the admission, '' if none. came_to: the node of the arrival. lane: the
    code of the lane of the admission, else of the arrival.
    """

    arrival_s: float
    admitted_s: float | None = None
    seen_s: float | None = None
    node: str = ""
    came_to: str = ""
    came_s: float | None = None
    lane: int = 0

    @property
    def has_left(self) -> bool:
        """Whether the visitor stopped polling and was not admitted."""
        return self.admitted_s is None and self.seen_s is not None


@dataclass(frozen=True, slots=True)
class MachineNote:
    """A note of one machine's supervisor."""

    machine: str
    note: Note


@dataclass(slots=True)
class History:
    """What a room's record says of a time. visitors: in the order of arrival. told: pairs of a visitor and of when they
    were told which wait, seconds. notes: in the order of time."""

    room: str
    since_s: float
    until_s: float
    visitors: list[Visitor] = field(default_factory=list)
    told: list[tuple[Visitor, float, float]] = field(default_factory=list)
    notes: list[MachineNote] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[MachineNote]:
        """Return the notes of one kind."""
        return [each for each in self.notes if each.note.kind == kind]


def segments_in(places: Sequence[Path], room: str) -> list[Path]:
    """Return the segments that the paths name: folders of a record, a room's folder, or files.

    Raises ConfigurationError that says what is there instead.
    """
    found: list[Path] = []
    faults = []
    for place in places:
        if place.is_file():
            here = [place]
        else:
            here = segments_of(place, room) or (sorted(place.glob("*.rec")) if place.name == room else [])
        if not here:
            rooms = rooms_in(place) if place.is_dir() else []
            has = (
                f"it has: {', '.join(rooms)}"
                if rooms
                else "it holds no record"
                if place.is_dir()
                else "it is not there"
            )
            faults.append(SettingFault(str(place), f"has no record of the room {room!r}; {has}"))
        found += here
    if faults:
        raise ConfigurationError("record", faults)
    return found


def read_record(
    segments: Sequence[Path], room: str, since_s: float | None = None, until_s: float | None = None
) -> History:
    """Read segments. since_s, until_s: seconds since 1970; by default the last day of the record.

    Raises ConfigurationError if a file cannot be read or nothing is in the time.
    """
    visitors: dict[tuple[int, int], Visitor] = {}
    told: list[tuple[Visitor, float, float]] = []
    notes: list[MachineNote] = []
    last_s = 0.0
    for machine, frame in _frames(segments):
        if isinstance(frame, Note):
            notes.append(MachineNote(machine, frame))
            last_s = max(last_s, frame.at_s)
            continue
        last_s = max(last_s, frame.base_s)
        for event in read_events(frame.content, frame.base_s):
            visitor = visitors.get((event.arrival_ms, event.mark))
            if visitor is None:
                visitor = visitors[event.arrival_ms, event.mark] = Visitor(event.arrival_ms / 1000.0)
            _take(visitor, event, f"{machine}/{frame.node}", told)
    until = last_s if until_s is None else until_s
    since = until - DEFAULT_SPAN_S if since_s is None else since_s
    history = History(room, since, until)
    history.visitors = sorted(
        (each for each in visitors.values() if since <= each.arrival_s <= until), key=lambda each: each.arrival_s
    )
    history.told = [each for each in told if since <= each[1] <= until]
    # What was in force when the time began was noted before.
    history.notes = sorted((each for each in notes if each.note.at_s <= until), key=lambda each: each.note.at_s)
    if not history.visitors:
        raise ConfigurationError("record", [SettingFault(room, "nobody came in this time")])
    return history


def _take(visitor: Visitor, event: Event, node: str, told: list[tuple[Visitor, float, float]]) -> None:
    if event.kind == TOLD:
        told.append((visitor, event.at_s, event.value))
    elif event.kind == ARRIVED:
        visitor.came_to, visitor.came_s = node, event.at_s
        if visitor.admitted_s is None:
            visitor.lane = int(event.value)
    elif event.kind == ADMITTED:
        if visitor.admitted_s is None or event.at_s < visitor.admitted_s:
            visitor.admitted_s, visitor.node, visitor.lane = event.at_s, node, int(event.value)
    elif visitor.seen_s is None or event.at_s > visitor.seen_s:
        visitor.seen_s = event.at_s


def _frames(segments: Sequence[Path]) -> Iterator[tuple[str, Batch | Note]]:
    for path in segments:
        machine = path.stem.partition("-")[2] or path.stem
        try:
            for frame in read_segment(path):
                yield machine, frame
        except FileNotFoundError:
            continue  # the edge removed its oldest segment meanwhile
        except (OSError, ValueError) as fault:
            raise ConfigurationError("record", [SettingFault(str(path), f"cannot be read: {fault}")]) from None
