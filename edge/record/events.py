"""The events of a room's record, and their bytes on disk.

    event = kind (1 byte), moment (ms after the base of its batch, 4), arrival (ms since 1970, 8), mark (4), value (4)

arrived   the visitor got a place in line. value: the code of their lane
admitted  the visitor was admitted. value: the code of their lane
seen      the visitor has not polled at this node for a while. moment: their last poll here
told      the visitor was told a wait. value: its median, seconds

A visitor is known by their arrival and a mark: 32 bits of a keyed digest of their place. The record holds no address,
no ticket and no cookie, and without the secret key nobody can tell which ticket a mark belongs to.

The code of a lane is 24 bits of the CRC of its name, because a reload may reorder the lanes. The general lane has 0, as
in records from before there were codes.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final
from zlib import crc32

from waiting_room.places import UNITS_PER_S

__all__ = [
    "ADMITTED",
    "ARRIVED",
    "SEEN",
    "TOLD",
    "Event",
    "event_bytes",
    "lane_code",
    "mark_key",
    "mark_of",
    "place_events",
    "read_events",
]

ARRIVED: Final = 1
ADMITTED: Final = 2
SEEN: Final = 3
TOLD: Final = 4

_EVENT: Final = struct.Struct("<BiqIf")
_MOST_MS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Event:
    """at_s: seconds since 1970. arrival_ms and mark: the visitor."""

    kind: int
    at_s: float
    arrival_ms: int
    mark: int
    value: float


def lane_code(lane: str) -> int:
    """Return the code of a lane in the record. lane: its name, '' for the general one."""
    return crc32(lane.encode()) % 0xFFFFFF + 1 if lane else 0


def mark_key(secret: bytes) -> bytes:
    """Return the key of the marks, derived from a secret key of the settings."""
    return blake2b(b"stanchion.record.v1", key=secret[:64], digest_size=32).digest()


def mark_of(place: int, key: bytes) -> int:
    """Return the mark of the visitor with this place."""
    return int.from_bytes(blake2b(place.to_bytes(8, "little"), key=key, digest_size=4).digest(), "little")


def place_events(noted: Iterable[tuple[int, int, float, float]], base_s: float, key: bytes) -> bytes:
    """Return the bytes of a batch. noted: kind, place, moment and value of each event. base_s: of the batch."""
    parts = []
    for kind, place, at_s, value in noted:
        parts.append(event_bytes(kind, at_s, base_s, place * 1000 // UNITS_PER_S, mark_of(place, key), value))
    return b"".join(parts)


def event_bytes(kind: int, at_s: float, base_s: float, arrival_ms: int, mark: int, value: float = 0.0) -> bytes:
    """Return one event of a batch. base_s: of the batch, seconds since 1970."""
    moment = min(max(round((at_s - base_s) * 1000.0), -_MOST_MS), _MOST_MS)
    return _EVENT.pack(kind, moment, arrival_ms, mark, value)


def read_events(batch: bytes, base_s: float) -> Iterator[Event]:
    """Yield the events of a batch; a part of an event at its end is left out."""
    whole = len(batch) - len(batch) % _EVENT.size
    for kind, moment, arrival_ms, mark, value in _EVENT.iter_unpack(batch[:whole]):
        yield Event(kind, base_s + moment / 1000.0, arrival_ms, mark, value)
