"""The shop's own face on its waiting page: colours, font, logo, links, a line of text, a style sheet, a template.

Rule: no style and no script stands in a page, so colours are a small style sheet among the files of the edge. From the
three colours of a shop the others are mixed, each with the contrast that WCAG 2.2 asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from waiting_room.assets import Assets
from waiting_room.frame import CONTENT_SECURITY_POLICY, NO_SOURCES, Sources
from waiting_room.own_template import SHOP_NAME, own_template
from waiting_room.template import Template, hidden_unless, html

__all__ = ["LEAST_CONTRAST", "Colors", "Face", "Font", "contrast"]

LEAST_CONTRAST: Final = 4.5
"""Of text to its background (WCAG 2.2, 1.4.3)."""
DARK: Final = 0.18
"""A background with a smaller luminance is dark: the browser's own parts, such as scroll bars, are dark then too."""


@dataclass(frozen=True, slots=True)
class Colors:
    """Colours as `#rrggbb`."""

    accent: str
    background: str
    text: str

    def style_sheet(self) -> str:
        soft = mixed(self.text, self.background, 0.7)
        if contrast(soft, self.background) < LEAST_CONTRAST:
            soft = self.text
        scheme = "dark" if luminance(self.background) < DARK else "light"
        return (
            f":root{{color-scheme:{scheme};--paper:{self.background};--ink:{self.text};--accent:{self.accent};"
            f"--soft:{soft};--line:{mixed(self.text, self.background, 0.2)};"
            f"--note:{mixed(self.text, self.background, 0.06)}}}"
            "@media(prefers-contrast:more){:root{--soft:var(--ink);--line:var(--ink)}}"
        )


@dataclass(frozen=True, slots=True)
class Font:
    """families: as CSS lists them, behind the font of the file. file: its bytes, b"" if there is none."""

    families: str
    file: bytes = b""
    ending: str = ""
    """`woff2`, `woff`, `ttf` or `otf`."""
    is_variable: bool = False
    """Whether the file has all weights."""

    def style_sheet(self, url: str) -> str:
        """Return the rules. url: of the file."""
        if not self.file:
            return f"html{{font-family:{self.families}}}"
        weight = "font-weight:100 900;" if self.is_variable else ""
        kind = {"ttf": "truetype", "otf": "opentype"}.get(self.ending, self.ending)
        return (
            f'@font-face{{font-family:"shop";src:url("{url}") format("{kind}");{weight}font-display:swap}}'
            f'html{{font-family:"shop",{self.families}}}'
        )


@dataclass(frozen=True, slots=True)
class Face:
    """What a shop adds to its page. links: texts and addresses.

    logo: the address of a picture, which takes the place of the title. Screen readers read the title.
    style_sheet, template: the texts of the shop's files, '' if there is none. sources: what these may load."""

    colors: Colors | None = None
    logo: str | None = None
    links: Sequence[tuple[str, str]] = ()
    footer: str | None = None
    font: Font | None = None
    style_sheet: str = ""
    template: str = ""
    sources: Sources = NO_SOURCES

    @property
    def policy(self) -> str:
        """The content security policy of the page."""
        has_files = self.style_sheet or self.template or self.font
        return self.sources.policy() if has_files or self.sources != NO_SOURCES else CONTENT_SECURITY_POLICY

    def page(self) -> Template:
        """Return the template of the page."""
        return own_template(self.template) if self.template else Template.load("waiting.html")

    def values(self, assets: Assets, room: str, title: str | None) -> dict[str, bytes]:
        """Return the values of the template's placeholders. Style sheet and font become files of the edge."""
        logo = links = footer = b""
        if self.logo is not None:
            logo = b'<p class="logo"><img src="%b" alt="%b"></p>\n' % (html(self.logo), html(title or ""))
        linked = b"".join(b'<a href="%b">%b</a>' % (html(url), html(text)) for text, url in self.links)
        if linked:
            links = b'<nav class="own">%b</nav>\n' % linked
        if self.footer:
            footer = b'<p class="own">%b</p>\n' % html(self.footer)
        return {
            "face": self._tags(assets, room),
            "logo": logo,
            "links": links,
            "footer": footer,
            "shop": html(title or ""),
            SHOP_NAME: html(title or ""),
            "no_shop": hidden_unless(bool(title) and not self.logo),
            "title_tail": html(f" – {title}" if title else ""),
        }

    def _tags(self, assets: Assets, room: str) -> bytes:
        """Return the tags in the head. The browser loads the font together with the style sheet, not after it."""
        sheet, tags = "", b""
        if self.font is not None:
            url = assets.add(f"font-{room}.{self.font.ending}", self.font.file) if self.font.file else ""
            if url:
                kind = b"font/" + self.font.ending.encode()
                tags = b'<link rel="preload" href="%b" as="font" type="%b" crossorigin>\n' % (html(url), kind)
            sheet = self.font.style_sheet(url)
        if self.colors is not None:
            sheet = self.colors.style_sheet() + sheet
        if self.style_sheet:
            sheet += "\n" + self.style_sheet
        if not sheet:
            return tags
        return tags + b'<link rel="stylesheet" href="%b">\n' % html(assets.add(f"face-{room}.css", sheet.encode()))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    """Return the relative luminance of a colour, 0 to 1 (WCAG 2.2)."""
    red, green, blue = (_linear(part / 255) for part in _parts(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def mixed(one: str, other: str, share: float) -> str:
    """Return a colour between two. share: of the first, 0 to 1."""
    parts = [round(share * a + (1 - share) * b) for a, b in zip(_parts(one), _parts(other), strict=True)]
    return "#" + "".join(f"{part:02x}" for part in parts)


def _parts(color: str) -> list[int]:
    return [int(color[at : at + 2], 16) for at in (1, 3, 5)]


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)
