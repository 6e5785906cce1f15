"""The faults of a shop's style sheet, by line. A few tokens of CSS are read (CSS Syntax, 4), not all of it.

    error                                     because
    @import                                   the file is joined to the edge's own rules
    url(https://elsewhere.example/a.png)      the page loads nothing from outside, unless `page.sources` allows it
    url(a.png)                                it would be looked for below /_stanchion/static/
    url(data:...)                             the page's policy allows no data in addresses
    an extra or a missing brace               the rules behind it would be lost

A contrast is checked if it can be known: one rule sets text and background, or the variables of the page do. The
elements of a rule, and what is behind them, are not known here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge.settings.outside import fault_in_address
from edge.settings.sources import SourceSettings
from waiting_room.face import LEAST_CONTRAST, contrast

__all__ = ["addresses_in_style_sheet", "faint_rules", "faults_in_style_sheet"]

_TOKEN: Final = re.compile(
    r"""(?P<comment>/\*.*?(?:\*/|\Z))
    |(?P<url>\burl\(\s*(?:"(?P<u1>[^"\n]*)"|'(?P<u2>[^'\n]*)'|(?P<u3>[^)"'\s]*))\s*\))
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<at>@[\w-]+)
    |(?P<brace>[{}])
    |(?P<set>\b(?:image-set|src)\()""",
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)
_HEX: Final = re.compile(r"#(?:[0-9a-f]{6}|[0-9a-f]{3})\b", re.IGNORECASE)
_NAMED: Final = {"white": "#ffffff", "black": "#000000"}


@dataclass(slots=True)
class _Rule:
    """A rule, or a block of rules. font: whether it describes a font."""

    line: int
    is_font: bool


def faults_in_style_sheet(text: str, sources: SourceSettings) -> list[tuple[int, str]]:
    """Return the line and the fault of everything that would not work."""
    found: list[tuple[int, str]] = []
    opened: list[_Rule] = []
    is_font = False
    for token in _TOKEN.finditer(text):
        line = text.count("\n", 0, token.start()) + 1
        kind = token.lastgroup
        if token["url"] is not None:
            address = token["u1"] or token["u2"] or token["u3"] or ""
            use = "fonts" if any(rule.is_font for rule in opened) else "images"
            if fault := fault_in_address(address, use, sources):
                found.append((line, fault))
        elif token["at"] is not None:
            is_font = token["at"].lower() == "@font-face"
            if token["at"].lower() == "@import":
                found.append((line, "@import cannot be used: put the rules of that file into this one"))
        elif token["brace"] == "{":
            opened.append(_Rule(line, is_font))
            is_font = False
        elif token["brace"] == "}":
            if opened:
                opened.pop()
            else:
                found.append((line, "this } closes no block, so a browser ignores what follows"))
        elif kind == "set":
            found.append((line, f"{token['set']}...) cannot be checked: use url(...)"))
    return found + [(rule.line, "this { is not closed, so a browser ignores what follows") for rule in opened]


def addresses_in_style_sheet(text: str) -> list[tuple[int, str]]:
    """Return the line of each address of this host that a browser may load."""
    found = [(token, token["u1"] or token["u2"] or token["u3"] or "") for token in _TOKEN.finditer(text)]
    return [(text.count("\n", 0, token.start()) + 1, address) for token, address in found if address.startswith("/")]


def faint_rules(text: str) -> list[tuple[int, str]]:
    """Return the line and the contrast of each rule that sets a text and a background which are hard to tell apart."""
    found = []
    for line, declarations in _declarations(text):
        if "--ink" in declarations or "--paper" in declarations:
            front, back = declarations.get("--ink", "#1b1c1a"), declarations.get("--paper", "#faf9f6")
        else:
            front = declarations.get("color", "")
            back = declarations.get("background-color", declarations.get("background", ""))
        colors = [_color(front), _color(back)]
        if colors[0] is None or colors[1] is None:
            continue
        ratio = contrast(colors[0], colors[1])
        if ratio < LEAST_CONTRAST:
            why = f"{colors[0]} on {colors[1]} has a contrast of {int(100 * ratio) / 100}:1"
            found.append((line, f"{why}, below the {LEAST_CONTRAST}:1 of WCAG 2.2 (1.4.3) for text"))
    return found


def _declarations(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the declarations of each innermost block by name, in lower case, and the line where the block begins."""
    plain = re.sub(r"/\*.*?\*/", lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.DOTALL)
    for block in re.finditer(r"\{([^{}]*)\}", plain):
        pairs = [each.partition(":") for each in block[1].split(";")]
        line = plain.count("\n", 0, block.start()) + 1
        yield line, {name.strip().lower(): value.strip().lower() for name, _, value in pairs if value}


def _color(value: str) -> str | None:
    """Return a colour as `#rrggbb`, or None if the value is not one opaque colour."""
    value = _NAMED.get(value, value)
    if not _HEX.fullmatch(value):
        return None
    return value if len(value) == 7 else "#" + "".join(2 * digit for digit in value[1:])
