"""The files of a record: segments that are only appended to. The oldest are removed when the record gets too large.

    <folder>/<room>/<start, ms since 1970>-<machine>.rec

    segment = MAGIC, then frames         frame = kind (1 byte), length (4 bytes), zlib-compressed content
    kind 1: the events of one worker     content = base (8 bytes, seconds since 1970), node (2 bytes), events
    kind 2: a note                       content = JSON: `t` seconds since 1970, `k` what it is, and its values

If a crash cut the last frame of a file, the file is read up to that frame. Several machines, one after the other or at
the same time, may write into one folder, because a file's name holds the machine.
"""

import json
import struct
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

__all__ = ["MAGIC", "Batch", "Note", "Store", "batch_frame", "note_frame", "read_segment", "rooms_in", "segments_of"]

MAGIC: Final = b"stanchion record 1\n"
EVENTS: Final = 1
NOTE: Final = 2
_FRAME: Final = struct.Struct("<BI")
_BATCH: Final = struct.Struct("<dH")
_MOST_FRAME: Final = 64 * 1024 * 1024
#: A segment is closed when it has this part of the record's size, so that little is removed at once.
SEGMENT_SHARE: Final = 16
SUFFIX: Final = ".rec"


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one worker. content: for `read_events`. node: its number on the machine."""

    base_s: float
    node: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """What the supervisor noted."""

    at_s: float
    kind: str
    values: Mapping[str, Any]


def batch_frame(base_s: float, node: int, events: bytes) -> bytes:
    """Return the frame of a worker's events."""
    return _frame(EVENTS, _BATCH.pack(base_s, node) + events)


def note_frame(at_s: float, kind: str, values: Mapping[str, Any]) -> bytes:
    """Return the frame of a note. values: JSON values."""
    return _frame(NOTE, json.dumps({"t": round(at_s, 3), "k": kind, **values}, separators=(",", ":")).encode())


def _frame(kind: int, content: bytes) -> bytes:
    packed = zlib.compress(content, 1)
    return _FRAME.pack(kind, len(packed)) + packed


class Store:
    """Writes the record of one machine. machine: part of the file names. most_bytes: of all rooms together."""

    def __init__(self, folder: Path, machine: str, most_bytes: int) -> None:
        self._folder = folder
        self._machine = machine
        self.most_bytes = most_bytes
        self._open: dict[str, tuple[Path, BinaryIO]] = {}
        self._sizes = {path: path.stat().st_size for path in folder.glob(f"*/*{SUFFIX}")}

    def __repr__(self) -> str:
        return f"<Store {self._folder}, {self.size:,} of {self.most_bytes:,} bytes>"

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(self._sizes.values())

    def append(self, room: str, frames: Sequence[bytes]) -> None:
        """Append frames to a room's newest segment. Raises OSError."""
        path, file = self._open.get(room) or self._begin(room)
        try:
            file.write(b"".join(frames))
            file.flush()
        except OSError:
            self.close(room)
            raise
        self._sizes[path] = file.tell()
        if self._sizes[path] * SEGMENT_SHARE > self.most_bytes:
            self.close(room)
        while self.size > self.most_bytes and len(self._sizes) > 1:
            self._remove_oldest()

    def close(self, room: str | None = None) -> None:
        """Close the segment of a room, or of all rooms."""
        for name in list(self._open) if room is None else [room]:
            opened = self._open.pop(name, None)
            if opened is not None:
                opened[1].close()

    def _begin(self, room: str) -> tuple[Path, BinaryIO]:
        folder = self._folder / room
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{time.time_ns() // 1_000_000:013d}-{self._machine}{SUFFIX}"
        file = path.open("ab")
        if not file.tell():
            file.write(MAGIC)
        self._open[room] = path, file
        return path, file

    def _remove_oldest(self) -> None:
        oldest = min(self._sizes, key=lambda path: path.name)
        for room, (path, _) in list(self._open.items()):
            if path == oldest:
                self.close(room)
        oldest.unlink(missing_ok=True)
        del self._sizes[oldest]


def rooms_in(folder: Path) -> list[str]:
    """Return the rooms that have a record in a folder."""
    return sorted({path.parent.name for path in folder.glob(f"*/*{SUFFIX}")})


def segments_of(folder: Path, room: str) -> list[Path]:
    """Return the segments of a room, oldest first."""
    return sorted((folder / room).glob(f"*{SUFFIX}"), key=lambda path: path.name)


def read_segment(path: Path) -> Iterator[Batch | Note]:
    """Yield the frames of a segment up to the first that is cut or damaged.

    Raises OSError, and ValueError if the file is no segment.
    """
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise ValueError(f"{path} is not a segment of a record")
    at = len(MAGIC)
    while at + _FRAME.size <= len(content):
        kind, length = _FRAME.unpack_from(content, at)
        packed = content[at + _FRAME.size : at + _FRAME.size + length]
        at += _FRAME.size + length
        if length > _MOST_FRAME or len(packed) < length:
            return
        try:
            read = _read(kind, zlib.decompress(packed))
        except (zlib.error, ValueError, struct.error, KeyError):
            return
        if read is not None:
            yield read


def _read(kind: int, content: bytes) -> Batch | Note | None:
    """Return the content of a frame; None for a kind that a later version may write."""
    if kind == EVENTS:
        base_s, node = _BATCH.unpack_from(content)
        return Batch(base_s, node, content[_BATCH.size :])
    if kind == NOTE:
        values = json.loads(content)
        return Note(float(values.pop("t")), str(values.pop("k")), values)
    return None
