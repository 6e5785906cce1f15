"""Places in line: exact integers that no two visitors share.

    place = first_seen * 2^30 (a whole number of milliseconds, rounded down) + slot          units of 2^-30 s since 1970
    slot  = the first 20 bits of the ticket's id                                             0 .. 2^20 - 1

There are 2^20 slots in a millisecond, which has 1,073,741 units. All nodes compute the same place from a ticket, now
and after a restart. A double of Unix time has 4,194 values in a millisecond: of 60 newcomers in one, two would often
share a place.

The process that makes an id chooses its first bits, the rest is random (`TicketIds`):

    maker     8 bits of the process: the workers of a machine have different ones
    number   12 bits, counted within a millisecond from a random start: 4,096 tickets of a process in a millisecond

So no two tickets of a machine share a place. Of two processes on different machines one pair in 256 is the same maker;
two of their tickets share a place if also their numbers meet in the same millisecond.
"""

from collections.abc import Callable
from typing import Final
from zlib import crc32

from waiting_room.ident import ID_BYTES, ID_CHARACTERS, slot_bits
from waiting_room.ticket import Ticket

__all__ = ["NO_PLACE", "UNITS_PER_S", "TicketIds", "first_id", "next_id", "place_of"]

UNIT_BITS: Final = 30
UNITS_PER_S: Final = 1 << UNIT_BITS
SLOT_BITS: Final = 20
NUMBER_BITS: Final = 12
NUMBERS: Final = 1 << NUMBER_BITS
MAKERS: Final = 1 << (SLOT_BITS - NUMBER_BITS)
#: Behind every place.
NO_PLACE: Final = (1 << 62) - 1


def place_of(ticket: Ticket) -> int:
    """Return a ticket's place in line: the first arrival, and within its millisecond an order drawn from the id."""
    ms = int(ticket.first_seen * 1000.0 + 0.5)
    seconds = ms // 1000
    return (seconds << UNIT_BITS) + ((ms - seconds * 1000 << UNIT_BITS) // 1000) + _slot_of(ticket.id)


def first_id(ident: str) -> str:
    """Return the id that the ticket had before its place moved to another device. The place follows from it."""
    return ident[:ID_CHARACTERS] if ident[ID_CHARACTERS:].isdigit() else ident


def next_id(ident: str) -> str:
    """Return the id of the ticket after its place has moved once more."""
    first = first_id(ident)
    return f"{first}{int(ident[len(first) :] or 0) + 1}"


def _slot_of(ident: str) -> int:
    if len(ident) == ID_CHARACTERS:
        return slot_bits(ident)
    if ident[ID_CHARACTERS:].isdigit():
        return slot_bits(ident[:ID_CHARACTERS])
    return crc32(ident.encode()) >> 32 - SLOT_BITS  # not an id of ours


class TicketIds:
    """Makes the bytes of ids for the tickets of one process.

    entropy(n): n random bytes. maker: a number of this process; the workers of a machine have consecutive ones.
    """

    __slots__ = ("_entropy", "_maker", "_ms", "_number")

    def __init__(self, entropy: Callable[[int], bytes], maker: int) -> None:
        self._entropy = entropy
        self._maker = maker % MAKERS << NUMBER_BITS
        self._ms = -1
        self._number = 0

    def new(self, now: float) -> bytes:
        """Return the bytes of a new id for a ticket that is made at `now` (seconds, Unix time)."""
        made = self._entropy(ID_BYTES)
        ms = int(now * 1000.0 + 0.5)  # as in the ticket
        if ms == self._ms:
            self._number = (self._number + 1) % NUMBERS
        else:
            self._ms = ms
            self._number = int.from_bytes(made[:2], "big") % NUMBERS
        slot = self._maker + self._number
        return (slot << 4 | made[2] & 15).to_bytes(3, "big") + made[3:]
