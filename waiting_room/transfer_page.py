"""The pages by which a visitor leaves the line, or moves their place to another device: the link as text and QR code,
and what it opens.

They are made when they are asked for, and never reload themselves. The QR code is always dark on white with a white
margin of four modules, whatever the scheme (ISO/IEC 18004, 6.3.8): many cameras read no inverted code.
"""

from urllib.parse import quote

import segno

from waiting_room.assets import Assets
from waiting_room.frame import page_frame
from waiting_room.template import Template, html
from waiting_room.texts import Texts

__all__ = ["TransferPages"]


class TransferPages:
    """In one language."""

    def __init__(self, assets: Assets, texts: Texts) -> None:
        self._texts = texts
        self._template = Template.load("transfer.html").fill(page_frame(assets, texts))

    def link(self, url: str, back: str) -> bytes:
        """Return the page with the link. back: the path of the page that waits."""
        texts = self._texts
        code = segno.make(url, error="l", micro=False).svg_inline(
            border=4,
            dark="#000",
            light="#fff",
            omitsize=True,
            svgclass="qr",
            lineclass=None,
            title=texts.get("move", "code"),
        )
        address = html(url)
        link = b'%b\n<p class="own"><a href="%b">%b</a></p>' % (code.encode(), address, address)
        button = b'<a class="button" href="%b">%b</a>' % (html(back), html(texts.get("languages", "back")))
        return self._page(texts.get("labels", "move"), texts.get("move", "explanation"), link, button)

    def sure(self, room: str, back: str) -> bytes:
        """Return the page on which a visitor leaves the line. back: the path of the page that waits."""
        texts, target = self._texts, f"/_stanchion/leave?room={room}&sure=1&back={quote(back, safe='/')}"
        leave = html(texts.get("labels", "leave"))
        form = b'<form method="post" action="%b"><button class="button">%b</button></form>' % (html(target), leave)
        link = b'<a href="%b">%b</a>' % (html(back), html(texts.get("languages", "back")))
        return self._page(texts.get("labels", "leave"), texts.get("labels", "leave_sure"), form, link)

    def take(self, target: str) -> bytes:
        """Return the page on which a visitor moves their place to this device. target: of the link."""
        texts = self._texts
        button = b'<form method="post" action="%b"><button class="button">%b</button></form>' % (
            html(target),
            html(texts.get("move", "take")),
        )
        return self._page(texts.get("move", "take_title"), texts.get("move", "take_explanation"), b"", button)

    def used(self) -> bytes:
        """Return the page of a link that works no longer."""
        texts = self._texts
        button = b'<a class="button" href="/">%b</a>' % html(texts.get("labels", "home"))
        return self._page(texts.get("move", "used_title"), texts.get("move", "used_explanation"), b"", button)

    def _page(self, title: str, explanation: str, content: bytes, button: bytes) -> bytes:
        return self._template.join(
            {"title": html(title), "explanation": html(explanation), "content": content, "button": button}
        )
