"""The verdicts that forward a request: of an admitted visitor, and of a request that no room covers."""

from typing import Final

from edge.messages.verdict import Forward, Headers
from edge.rooms.room import Room
from waiting_room.status import State
from waiting_room.ticket import Pass

__all__ = ["STRAIGHT_ON", "forward_admitted", "forward_guest", "forward_unqueued"]

#: No room covers the path: the request is forwarded as it came.
STRAIGHT_ON: Final = Forward(None, (), ())


def forward_admitted(room: Room, shown: Pass, fresh: Pass | None = None, cookie: Headers = ()) -> Forward:
    """Forward the request of an admitted visitor. shown: the pass they came with. fresh, cookie: the pass to send."""
    to_upstream = (
        ("X-Stanchion-Room", room.name),
        ("X-Stanchion-Ticket", shown.id),
        ("X-Stanchion-Admitted-At", f"{shown.admitted_at:.3f}"),
    )
    to_visitor = (("Stanchion-State", State.ADMITTED.value), *cookie)
    visitor_pass = fresh or shown
    return Forward(room.name, to_upstream, to_visitor, visitor_pass, "admitted", room.health, room.settings.body_bytes)


def forward_guest(room: Room, ident: str, now: float) -> Forward:
    """Forward a request that makes no visitor. The shop sees an id of its own; the client gets no pass and no cookie.

    No command of the shop acts on it, because there is no session."""
    to_upstream = (
        ("X-Stanchion-Room", room.name),
        ("X-Stanchion-Ticket", ident),
        ("X-Stanchion-Admitted-At", f"{now:.3f}"),
    )
    return Forward(room.name, to_upstream, (), None, "guest", room.health, room.settings.body_bytes)


def forward_unqueued(room: Room, ident: str, outcome: str, now: float) -> Forward:
    """Forward the request of a sender that never waits. It counts as nobody: no admission, no active visitor.

    ident: what the shop sees in place of a ticket."""
    to_upstream = (
        ("X-Stanchion-Room", room.name),
        ("X-Stanchion-Ticket", ident),
        ("X-Stanchion-Admitted-At", f"{now:.3f}"),
    )
    return Forward(room.name, to_upstream, (), None, outcome, room.health, room.settings.body_bytes)
