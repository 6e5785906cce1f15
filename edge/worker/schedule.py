"""Which rooms take part in a control step or a report, so that hundreds of quiet rooms cost hardly anything."""

from collections.abc import Sequence
from math import inf

from edge.rooms.room import Room

__all__ = ["QUIET_AT_ONCE", "due_at"]

#: At most this many quiet rooms take part in one step or report.
QUIET_AT_ONCE = 32


def due_at(rooms: Sequence[Room], step: int, now: float = -inf) -> list[Room]:
    """Return every room that is not quiet or has a sale that turns now, and another part of the others at each step."""
    parts = -(-len(rooms) // QUIET_AT_ONCE)
    return [
        room
        for at, room in enumerate(rooms)
        if (at + step) % parts == 0
        or not room.gate.is_quiet
        or (room.sale is not None and now >= room.sale.phase.until)
    ]
