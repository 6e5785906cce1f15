"""The states of a visitor, and the words that tell why (`status.py`)."""

from enum import StrEnum
from typing import Final

__all__ = ["LEFT", "MISSED", "MOVED", "OVER", "State"]


class State(StrEnum):
    # Enum's own `__hash__` is written in Python, and states are looked up at every response.
    __hash__ = str.__hash__

    JOINING = "joining"
    WAITING = "waiting"
    ADMITTED = "admitted"
    EARLY = "early"
    SOLD_OUT = "sold_out"
    CLOSED = "closed"


#: `paused` of a closed room after the end of its sale.
OVER: Final = "over"
#: `paused` if the visitor has left the line, and if their place is on another device now.
LEFT: Final = "left"
MOVED: Final = "moved"


#: `Status.confirm_by` if the visitor did not say in time that they are there.
MISSED: Final = -1.0
