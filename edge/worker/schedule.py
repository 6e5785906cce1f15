"""Whose turn it is when a worker goes through its rooms: hundreds in which nothing happens cost hardly anything."""

from collections.abc import Sequence

from edge.rooms.room import Room

__all__ = ["QUIET_AT_ONCE", "due_at"]

#: So many rooms in which nothing happens take part in a step or report, in turn: hundreds cost hardly more than these.
QUIET_AT_ONCE = 32


def due_at(rooms: Sequence[Room], step: int) -> list[Room]:
    """Whose turn it is: all rooms in which something happens, and of the quiet ones another part at each step."""
    parts = -(-len(rooms) // QUIET_AT_ONCE)
    return [room for at, room in enumerate(rooms) if (at + step) % parts == 0 or not room.gate.is_quiet]
