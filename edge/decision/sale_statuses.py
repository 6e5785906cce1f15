"""The statuses of visitors of a room that sells nothing at the moment: not open yet, over, sold out."""

from typing import Final

from edge.rooms.room import Room
from waiting_room.status import OVER, State, Status
from waiting_room.ticket import Ticket

__all__ = ["not_on_sale", "sold_out"]

#: A page that waits for a pre-queue to begin looks again after this long at most, because a sale may be moved.
LOOK_AGAIN_S: Final = 60.0

_CLOSED: Final = State.CLOSED
_EARLY: Final = State.EARLY


def not_on_sale(room: Room, now: float, u: float) -> Status | None:
    """Return the status before the pre-queue of a sale and after the last sale; None if no sale closes the room.

    u: uniform in [0, 1), so that the pages that wait for a pre-queue do not all come at once.
    """
    sale = room.sale
    if sale is None or not sale.is_shut:
        return None
    phase = sale.phase
    if phase.name == "over":
        return Status(_CLOSED, room.name, message=room.message, paused=OVER)
    spread_s = room.settings.polling.max_seconds
    after_s = min(max(0.0, phase.until - now), LOOK_AGAIN_S) + u * spread_s
    state = _CLOSED if sale.is_suspended else _EARLY
    return Status(
        state, room.name, poll_after_s=after_s, message=room.message, opens_at=sale.opens_at, draw=sale.draw_json
    )


def sold_out(room: Room, ticket: Ticket) -> Status:
    """Return the status in a sold-out room: for good if every unit is paid for, otherwise polls go on, slowly."""
    return Status(
        State.SOLD_OUT,
        room.name,
        first_seen=ticket.first_seen,
        poll_after_s=None if room.stock.is_over else room.settings.polling.max_seconds,
        message=room.message,
        stock=room.stock.free,
        held=room.stock.held,
    )
