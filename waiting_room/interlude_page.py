"""The page between two requests: it says one thing, and has one link.

`again` loads itself by GET. It answers a form that another site sent to a room: a browser leaves out SameSite=Lax
cookies there, so such a request shows neither ticket nor pass. The page's own request shows them, because it comes from
this site. What the other site sent is not sent again: if it were, any site could send forms in the visitor's name.

`form_lost` says that a form which was sent while the visitor waited is not kept any more.
"""

from waiting_room.assets import Assets
from waiting_room.frame import page_frame
from waiting_room.template import Template, html
from waiting_room.texts import Texts

__all__ = ["InterludePage"]


class InterludePage:
    def __init__(self, assets: Assets, name: str, *, loads_itself: bool, texts: Texts | None = None) -> None:
        """name: of the texts in the language file."""
        words = texts or Texts.load()
        named = {key: html(words.get(name, key)) for key in ("title", "explanation", "label")}
        refresh = b'<meta http-equiv="refresh" content="0">\n' if loads_itself else b""
        self._template = Template.load("interlude.html").fill(named | page_frame(assets, words) | {"refresh": refresh})

    def render(self, href: str) -> bytes:
        """Return the page. href: where its link leads; '' is the page itself."""
        return self._template.join({"href": html(href)})
