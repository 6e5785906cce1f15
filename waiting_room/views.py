"""Which view of the waiting page shows a state. The script knows the same views (`viewOf` in `static/waiting.js`)."""

from typing import Final

from waiting_room.status import LEFT, MISSED, MOVED, OVER, State, Status

__all__ = ["OPENING", "PLACE_ONLY", "SHOP_LINK", "view_of"]

#: The views of a line that stands still, by `Status.paused`; all other reasons have the view "paused". A silent node is
#: heard again, or forgotten, within seconds: no visitor has to read about it.
PAUSED_VIEWS: Final = {"upstream": "shop_down", "nodes": "waiting"}
#: Views that show the place and no wait.
PLACE_ONLY: Final = ("all_held", "shop_down", "paused", "prequeue", "draw")
#: Views from which nothing goes on: they have a link to the shop.
SHOP_LINK: Final = ("sale_over", "sold_out_final", "closed_final", "left", "moved")
#: Views that show when the sale opens.
OPENING: Final = ("early", "prequeue", "draw")
#: The views of a closed room, by `Status.paused`.
_ENDED: Final = {OVER: "sale_over", LEFT: "left", MOVED: "moved"}
#: The `value` of an enumeration is computed by interpreted code, so it is read once.
_VIEWS: Final = {state: state.value for state in State}


def view_of(status: Status) -> str:
    """Return the view that shows this state. Final, temporary, and "not all units are paid" have different views."""
    state = status.state
    if status.confirm_by is not None:
        return "missed" if status.confirm_by == MISSED else "turn"
    if state is State.EARLY and status.first_seen is not None:
        return "draw" if status.draw else "prequeue"
    if state is State.CLOSED and status.paused is not None:
        return _ENDED.get(status.paused, "closed_final")
    if state is State.SOLD_OUT or state is State.CLOSED:
        if status.poll_after_s is None:
            return f"{state.value}_final"
        if state is State.SOLD_OUT and status.held:
            return "all_held"
    if status.paused is not None and state is State.WAITING:
        return PAUSED_VIEWS.get(status.paused, "paused")
    return _VIEWS[state]
