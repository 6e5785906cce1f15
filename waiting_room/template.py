"""A file of `static/` cut at its `{{slots}}`, and the escaping of what goes into them.

Rule: a value is escaped when it goes in and never looked at again, so no message can open a tag or a slot.
"""

import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files

__all__ = ["Template", "data", "hidden_unless", "html"]


class Template:
    """Alternating fixed bytes and named slots: `fixed[0] slot[0] fixed[1] ... fixed[n]`."""

    __slots__ = ("fixed", "slots")

    def __init__(self, fixed: list[bytes], slots: list[str]) -> None:
        self.fixed = fixed
        self.slots = slots

    @classmethod
    def load(cls, name: str) -> "Template":
        """Cut a file of the package `static` at its slots."""
        parts = re.split(r"\{\{(\w+)\}\}", (files("static") / name).read_text("utf-8"))
        return cls([part.encode() for part in parts[::2]], parts[1::2])

    def fill(self, values: Mapping[str, bytes]) -> "Template":
        """The same with some slots put in for good."""
        fixed, slots = [self.fixed[0]], []
        for slot, after in zip(self.slots, self.fixed[1:], strict=True):
            if slot in values:
                fixed[-1] += values[slot] + after
            else:
                slots.append(slot)
                fixed.append(after)
        return Template(fixed, slots)

    def join(self, values: Mapping[str, bytes]) -> bytes:
        """The finished page; `KeyError` when a slot has no value."""
        parts = [self.fixed[0]]
        for slot, after in zip(self.slots, self.fixed[1:], strict=True):
            parts.append(values[slot])
            parts.append(after)
        return b"".join(parts)


def hidden_unless(shown: bool) -> bytes:
    return b"" if shown else b" hidden"


def html(text: str) -> bytes:
    """Text as HTML, safe in an element and in a quoted attribute."""
    return escape(text).encode("utf-8", "replace")


def data(json_text: str) -> bytes:
    """JSON as an element's text: quotes stay, and cost nothing."""
    return escape(json_text, quote=False).encode("utf-8", "replace")
