"""The shop's own face on its waiting page: colours, logo, links, a line of text.

Rule: no style and no script stands in a page, so colours are a small style sheet among the files of the edge. From the
three colours of a shop the others are mixed, each with the contrast that WCAG 2.2 asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from waiting_room.assets import Assets
from waiting_room.template import html

__all__ = ["LEAST_CONTRAST", "Colors", "Face", "contrast"]

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
class Face:
    """What a shop adds to its page. links: texts and addresses.

    logo: the address of a picture, which takes the place of the title. Screen readers read the title."""

    colors: Colors | None = None
    logo: str | None = None
    links: Sequence[tuple[str, str]] = ()
    footer: str | None = None

    def values(self, assets: Assets, room: str, title: str | None) -> dict[str, bytes]:
        """Return the values of the template's placeholders. The style sheet becomes one of the files."""
        style = logo = own = b""
        if self.colors is not None:
            url = assets.add(f"face-{room}.css", self.colors.style_sheet().encode())
            style = b'<link rel="stylesheet" href="%b">\n' % html(url)
        if self.logo is not None:
            logo = b'<p class="logo"><img src="%b" alt="%b"></p>\n' % (html(self.logo), html(title or ""))
        links = b"".join(b'<a href="%b">%b</a>' % (html(url), html(text)) for text, url in self.links)
        if links:
            own += b'<nav class="own">%b</nav>\n' % links
        if self.footer:
            own += b'<p class="own">%b</p>\n' % html(self.footer)
        return {"face": style, "logo": logo, "own": own}


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
