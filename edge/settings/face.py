"""The settings of the shop's face on its waiting page, and what is wrong with its colours."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from edge.settings.fonts import ENDINGS
from edge.settings.values import Section, Text
from waiting_room.face import LEAST_CONTRAST, Colors, contrast

__all__ = [
    "ColorSettings",
    "FileName",
    "FontText",
    "LinkSettings",
    "PageAddress",
    "colors_of",
    "faint_colors",
    "is_font_file",
]

#: A file beside the settings file, or its absolute path.
FileName = Annotated[Text, Field(min_length=1, max_length=1000)]


def is_font_file(text: str) -> bool:
    return text.lower().endswith(tuple(f".{ending}" for ending in ENDINGS))


def _font(text: str) -> str:
    """Accept the path of a file, or families as CSS lists them: `Inter, "Segoe UI", sans-serif` (CSS Fonts 4, 2.1)."""
    if is_font_file(text):
        return text
    for family in text.split(","):
        if not re.fullmatch(
            r"""\s*("[^"\\<>{};\n]+"|'[^'\\<>{};\n]+'|-?[A-Za-z_][\w-]*(\s+-?[A-Za-z_][\w-]*)*)\s*""", family
        ):
            raise ValueError(
                "must be a font file (woff2, woff, ttf, otf) or a list of families: 'Georgia, \"Courier New\", serif'"
                f" (with quotes around a name in which a word begins with a digit), got {text!r}"
            )
    return text


FontText = Annotated[Text, Field(min_length=1, max_length=1000), AfterValidator(_font)]

Color = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]


class ColorSettings(Section):
    accent: Color | None = None
    background: Color | None = None
    text: Color | None = None


#: A path of the shop's host, or an address of another one.
PageAddress = Annotated[Text, Field(max_length=500, pattern=r"^(https?://[^\s/?#]+[^\s]*|/([^\s/\\][^\s]*)?)$")]


class LinkSettings(Section):
    text: Annotated[Text, Field(min_length=1, max_length=60)]
    url: Annotated[
        Text, Field(max_length=500, pattern=r"^(https?://[^\s/?#]+[^\s]*|/([^\s/\\][^\s]*)?|mailto:[^\s]+)$")
    ]


def colors_of(settings: ColorSettings) -> Colors | None:
    """Return the colours of the page, those of the light scheme where the shop names none. None: it names none."""
    if settings.accent is None and settings.background is None and settings.text is None:
        return None
    return Colors(settings.accent or "#1d5c49", settings.background or "#faf9f6", settings.text or "#1b1c1a")


def faint_colors(settings: ColorSettings) -> list[tuple[str, str]]:
    """Return the key and the fault of each colour with a contrast to the background that is too low to read."""
    colors = colors_of(settings)
    if colors is None:
        return []
    found = []
    for key, color, use in (("text", colors.text, "text"), ("accent", colors.accent, "links, buttons and the bar")):
        ratio = contrast(color, colors.background)
        if ratio < LEAST_CONTRAST:
            why = f"{color} on {colors.background} has a contrast of {int(100 * ratio) / 100}:1, below the"
            found.append((key, f"{why} {LEAST_CONTRAST}:1 of WCAG 2.2 (1.4.3) for {use}"))
    return found
