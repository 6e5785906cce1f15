"""The join token of a visitor without a place in line."""

from dataclasses import dataclass

__all__ = ["JoinToken"]


@dataclass(slots=True, init=False)
class JoinToken:
    """For a visitor that must solve a join challenge, or wait, to get a place. The ticket will have the same id."""

    id: str
    room: str
    arrived: float

    def __init__(self, id: str, room: str, arrived: float) -> None:
        self.id = id
        self.room = room
        self.arrived = arrived
