"""What the mode of a room means for its visitors; the table is in `edge/supervisor/room_control.py`."""

from edge.settings.room import RoomMode

__all__ = ["ModeRules"]


class ModeRules:
    """What a decision asks of a mode."""

    __slots__ = ("is_closed", "is_unusual", "takes_visitors")

    def __init__(self, mode: RoomMode) -> None:
        self.is_closed = mode == "closed"
        """Nobody is admitted, and those in line are told so."""
        self.takes_visitors = mode not in ("drain", "closed")
        """A first visitor gets a place."""
        self.is_unusual = mode in ("closed", "shadow")
        """The gate alone does not decide."""
