"""What the waiting page offers a visitor to do: say that they are there, join again, leave the line, move the place.

Each is a form, so it works without scripts. The path is one of `edge/decision/actions.py`.
"""

from math import ceil
from typing import Final

from waiting_room.status import MISSED, State, Status
from waiting_room.template import Template, html
from waiting_room.texts import Texts

__all__ = ["has_acts", "pass_text", "turn_left_s", "with_turn"]

#: Moments are rounded to milliseconds: a minute must not be 1:01.
ROUNDED_S: Final = 0.01


def has_acts(view: str, status: Status) -> bool:
    """Return whether the visitor has a place that they can leave, or move to another device."""
    if status.first_seen is None or status.poll_after_s is None or status.confirm_by is not None:
        return False
    return view != "cookies" and status.state not in (State.ADMITTED, State.JOINING)


def turn_left_s(status: Status, now: float | None) -> int | None:
    """Return the seconds in which the visitor may say that they are there; None if it is not their turn."""
    if status.confirm_by is None or status.confirm_by == MISSED or now is None:
        return None
    return max(0, ceil(status.confirm_by - now - ROUNDED_S))


def pass_text(texts: Texts, pass_s: float) -> str:
    """Return how long a pass lasts. The wordings of times begin with a minute, so a shorter pass is not told."""
    return texts.get("labels", "pass", wait=texts.at_most(pass_s)) if pass_s >= texts.steps_s[0] else ""


def with_turn(page: Template, view: str, room: str, texts: Texts) -> Template:
    """Return the page with the button of the view. In the view "turn" it keeps a placeholder, `left`."""
    if view in ("turn", "missed"):
        button = _button("here", room, texts.get("labels", "enter"))
        if view == "missed":
            return page.fill({"turn": b"", "act": button})
        label = html(texts.get("labels", "time_left"))
        box = Template(
            [b'<div class="hero" id="left-box"><dt>%b</dt><dd id="left">' % label, b"</dd></div>\n"], ["left"]
        )
        return page.fill({"act": button}).insert("turn", box)
    act = _button("join", room, texts.get("labels", "join_again")) if view in ("left", "moved") else b""
    return page.fill({"turn": b"", "act": act})


def _button(action: str, room: str, label: str) -> bytes:
    return b'<form method="post" action="/_stanchion/%b?room=%b"><button class="button">%b</button></form>\n' % (
        action.encode(),
        html(room),
        html(label),
    )
