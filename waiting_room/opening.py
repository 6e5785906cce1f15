"""What the waiting page says about the opening of a sale: its time, the countdown, and what verifies the draw."""

import json
from math import ceil
from typing import Any, Final

from waiting_room.status import Status
from waiting_room.template import Template, hidden_unless, html
from waiting_room.texts import Texts
from waiting_room.views import OPENING

__all__ = ["opening_values", "seconds_left", "with_draw"]

COUNTDOWN_S: Final = 86_400
"""From this long before the opening on the page counts the seconds; `waiting.js` does the same."""


def seconds_left(status: Status, now: float | None) -> int | None:
    """Return the seconds until the opening, rounded up; None if the page does not count them."""
    if status.opens_at is None or now is None:
        return None
    left_s = ceil(status.opens_at - now)
    return max(0, left_s) if left_s < COUNTDOWN_S else None


def opening_values(view: str, status: Status, now: float | None, texts: Texts) -> dict[str, bytes]:
    """Return what the page says about the time of the opening. now: Unix time in seconds."""
    is_dated = view in OPENING and status.opens_at is not None
    return {
        "no_opens": hidden_unless(is_dated),
        "opens": b"" if status.opens_at is None else html(texts.day_and_clock(status.opens_at)),
        "no_countdown": hidden_unless(is_dated and seconds_left(status, now) is not None),
    }


def with_draw(page: Template, draw_json: str, texts: Texts) -> Template:
    """Return the page with what verifies the draw. It keeps a placeholder, `ticket`. Few rooms have a draw."""
    if not draw_json:
        return page.fill({"no_draw": hidden_unless(False), "draw": b""})
    draw: dict[str, Any] = json.loads(draw_json)
    values = {f"label_{key}": html(text) for key, text in texts.data["draw"].items()}
    values["commitment"] = html(draw["commitment"])
    values["seed"] = html(draw["seed"] or texts.get("draw", "seed_later"))
    box = Template.load("draw.html").fill(values)
    return page.fill({"no_draw": hidden_unless(True)}).insert("draw", box)
