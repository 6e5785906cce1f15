"""A file of `static/` cut at its `{{placeholders}}`, and the escaping of the values.

Rule: a value is escaped when it is inserted and never parsed again, so no message can open a tag or a placeholder.

A file may name its sections, `{{#next}}<p id="next">{{next}}</p>{{/next}}`. They are the slots of a shop's own template
(`own_template.py`). In the file's own page the marks are left out.
"""

import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Final

__all__ = ["Template", "data", "hidden_unless", "html", "sections"]

_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")
_BEGIN: Final = re.compile(r"\{\{#(\w+)\}\}\n?")
#: A mark on a line of its own leaves no empty line.
_MARK: Final = re.compile(r"\{\{[#/]\w+\}\}\n?")


class Template:
    """Fixed bytes and named placeholders in turn: `fixed[0] placeholders[0] fixed[1] ... fixed[n]`."""

    __slots__ = ("fixed", "placeholders")

    def __init__(self, fixed: list[bytes], placeholders: list[str]) -> None:
        self.fixed = fixed
        self.placeholders = placeholders

    @classmethod
    def load(cls, name: str) -> "Template":
        """Cut a file of the package `static` at its placeholders."""
        return cls.cut(_MARK.sub("", _read(name)))

    @classmethod
    def cut(cls, text: str) -> "Template":
        """Cut a text at its placeholders."""
        parts = _PLACEHOLDER.split(text)
        return cls([part.encode() for part in parts[::2]], parts[1::2])

    def fill(self, values: Mapping[str, bytes]) -> "Template":
        """Return a template in which some placeholders are replaced by fixed values."""
        fixed, remaining = [self.fixed[0]], []
        for name, after in zip(self.placeholders, self.fixed[1:], strict=True):
            if name in values:
                fixed[-1] += values[name] + after
            else:
                remaining.append(name)
                fixed.append(after)
        return Template(fixed, remaining)

    def insert(self, name: str, inner: "Template") -> "Template":
        """Return a template with another one, and its placeholders, in the place of a placeholder."""
        at = self.placeholders.index(name)
        fixed = inner.fixed.copy()
        fixed[0] = self.fixed[at] + fixed[0]
        fixed[-1] += self.fixed[at + 1]
        placeholders = [*self.placeholders[:at], *inner.placeholders, *self.placeholders[at + 1 :]]
        return Template([*self.fixed[:at], *fixed, *self.fixed[at + 2 :]], placeholders)

    def join(self, values: Mapping[str, bytes]) -> bytes:
        """Return the finished page. Raises `KeyError` if a placeholder has no value."""
        parts = [self.fixed[0]]
        for name, after in zip(self.placeholders, self.fixed[1:], strict=True):
            parts.append(values[name])
            parts.append(after)
        return b"".join(parts)


def sections(name: str) -> dict[str, str]:
    """Return the sections of a file of the package `static` by name, with their placeholders."""
    text, found = _read(name), {}
    for mark in _BEGIN.finditer(text):
        section, _, _ = text[mark.end() :].partition(f"{{{{/{mark[1]}}}}}")
        found[mark[1]] = _MARK.sub("", section)
    return found


def _read(name: str) -> str:
    return (files("static") / name).read_text("utf-8")


def hidden_unless(is_shown: bool) -> bytes:
    return b"" if is_shown else b" hidden"


def html(text: str) -> bytes:
    """Escape text for HTML elements and quoted attributes."""
    return escape(text).encode("utf-8", "replace")


def data(json_text: str) -> bytes:
    """Escape JSON for the text of an element. Quotes need no escape there, which keeps the page short."""
    return escape(json_text, quote=False).encode("utf-8", "replace")
