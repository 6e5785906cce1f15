"""A shop's own template of the waiting page: a whole HTML file with slots.

Rule: a slot is a section of our own page (`static/waiting.html`). So an own page has the same elements, with the same
ids and placeholders, and the script and the tests of our page hold for it. `edge/settings/page_template.py` checks a
file before it gets here.

    <html {{html}}>                   <html lang="en" dir="ltr">
    <main>{{line}}</main>     --->    <main><h1 id="headline">{{headline}}</h1>...</main>
"""

import re
from importlib.resources import files
from typing import Final

from waiting_room.template import Template, sections

__all__ = ["IDS", "LINE", "ONCE", "REQUIRED", "SHOP_NAME", "SLOT", "SLOTS", "own_template"]

SLOT: Final = re.compile(r"\{\{[ \t]*(\w+)[ \t]*\}\}")

_SECTIONS: Final = sections("waiting.html")
_WHOLE_LINE: Final = _SECTIONS["line"]

LINE: Final = tuple(name for name, text in _SECTIONS.items() if name != "line" and text in _WHOLE_LINE)
"""The slots of which `line` consists, in its order."""
REQUIRED: Final = ("html", "head", "body", "line", "end")
"""Without these the page does not work. The parts of `line` may stand in its place."""
ONCE: Final = (*REQUIRED, *LINE)
"""The slots with elements that the script finds by their ids, so no page has them twice."""
SHOP_NAME: Final = "shop_name"
"""The only slot that is a text. It may stand in the value of an attribute."""
SLOTS: Final = (*_SECTIONS, SHOP_NAME)

IDS: Final = frozenset(
    found
    for file in files("static").iterdir()
    if file.name.endswith(".html")
    for found in re.findall(r'\bid="([^"]+)"', file.read_text("utf-8"))
)
"""The ids of the page's elements, and of those that are inserted in some views."""

_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)


def own_template(text: str) -> Template:
    """Return the template of a shop's file. Comments are left out."""

    def filled(slot: re.Match[str]) -> str:
        return _SECTIONS.get(slot[1], f"{{{{{slot[1]}}}}}")

    return Template.cut(SLOT.sub(filled, _COMMENT.sub("", text)))
