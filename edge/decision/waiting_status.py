"""What visitors are told of their place, as values; and small readings of what they ask."""

from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs

from controller import Wait
from edge.messages.head import RequestHead
from edge.rooms.room import Room
from waiting_room.status import State, Status
from waiting_room.ticket import Ticket

_WAITING: Final = State.WAITING  # a look-up in an Enum costs more than all else here
_SOLD_OUT: Final = State.SOLD_OUT

__all__ = ["came_from_itself", "room_named", "sold_out", "solution_in", "waiting"]


def waiting(room: Room, ticket: Ticket, verdict: Wait) -> Status:
    """Waiting for one's turn; while every unit is held, for one of them to come back. The place is the same."""
    shelf = room.stock
    is_paused = shelf.is_paused
    return Status(  # in the order of its fields: names would cost as much as all the rest of it
        _SOLD_OUT if is_paused else _WAITING,
        room.name,
        verdict.position,
        None if is_paused else verdict.eta_p50_s,
        None if is_paused else verdict.eta_p90_s,
        verdict.poll_after_s,
        ticket.first_seen,
        room.message,
        shelf.free,
        shelf.held,
    )


def sold_out(room: Room, ticket: Ticket) -> Status:
    """Sold out: for good when every unit is paid for, else the page goes on asking, calmly."""
    return Status(
        State.SOLD_OUT,
        room.name,
        first_seen=ticket.first_seen,
        poll_after_s=None if room.stock.is_over else room.settings.polling.max_seconds,
        message=room.message,
        stock=room.stock.free,
        held=room.stock.held,
    )


def came_from_itself(head: RequestHead) -> bool:
    """The page loaded again by itself (scripts off), yet without the cookie it was given: cookies are off.

    A link from the same page to itself looks the same, and a first visit that follows one finds its place explained a
    little early: harmless.
    """
    return bool(head.referer) and head.referer.partition("://")[2] == head.host + head.target


@lru_cache(maxsize=512)
def room_named(query: str) -> str:
    """The room that a query to the status address names."""
    return _named(query, "room")


def solution_in(query: str) -> str:
    """The solution of a challenge, '' when there is none. Each is another, so none is worth remembering."""
    return _named(query, "altcha") if "altcha=" in query else ""


def _named(query: str, name: str) -> str:
    return (parse_qs(query).get(name) or [""])[0]
