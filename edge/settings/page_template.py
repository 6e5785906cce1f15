"""The faults of a shop's template, by line.

Rule: a template that passes has every slot in a place where it works, and nothing that the page's policy would block.
So a page of the shop's own is as safe and as private as ours, and a browser reports no violation.

Faults keep the edge from starting. Warnings name what works but is worse than it need be.
"""

import difflib
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

from edge.settings.outside import fault_in_address
from edge.settings.sources import SourceSettings
from edge.settings.template_tags import Attributes, addresses_in, fault_in_tag
from waiting_room.own_template import IDS, LINE, ONCE, REQUIRED, SHOP_NAME, SLOT, SLOTS

__all__ = ["Findings", "examine"]


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


VOID: Final = _tags("area base br col embed hr img input link meta param source track wbr")
#: An end tag that may be left out (HTML, 13.1.2.4).
OPTIONAL: Final = _tags("html head body p li dt dd option optgroup tr td th thead tbody tfoot colgroup rt rp")
#: Elements with text only: a slot in one is shown as text, or not at all.
TEXT_ONLY: Final = _tags("script style textarea title option select noscript template svg")
#: Elements that a browser closes at the first block in them, or that may not contain what a slot has.
NO_BLOCKS: Final = _tags("p h1 h2 h3 h4 h5 h6 a button label ul ol dl table tr pre span")


@dataclass(slots=True)
class Findings:
    """Each with its line. addresses: of this host, which a browser loads with the page."""

    faults: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    addresses: list[tuple[int, str]] = field(default_factory=list)
    slots: Counter[str] = field(default_factory=Counter)


def examine(text: str, sources: SourceSettings) -> Findings:
    """Return what is wrong with a template. sources: what it may load from other hosts."""
    reader = _Reader(sources)
    reader.feed(SLOT.sub(lambda slot: f"{{{{{slot[1]}}}}}", text))
    reader.close()
    reader.finish()
    found = reader.found
    found.faults += _faults_of_slots(text, found.slots)
    found.faults.sort()
    return found


def _faults_of_slots(text: str, placed: Counter[str]) -> list[tuple[int, str]]:
    """Return the unknown slots and those that are missing."""
    found = []
    plain = re.sub(r"<!--.*?-->", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.DOTALL)
    for mark in re.finditer(r"\{\{[^{}\n]{0,40}(\}\})?", plain):
        line, slot = plain.count("\n", 0, mark.start()) + 1, SLOT.fullmatch(mark[0])
        if slot is None:
            found.append((line, f"{mark[0]} is not a slot: write {{{{name}}}}"))
        elif slot[1] not in SLOTS:
            close = difflib.get_close_matches(slot[1], SLOTS, n=1)
            hint = f"did you mean {{{{{close[0]}}}}}?" if close else "the slots are " + ", ".join(SLOTS)
            found.append((line, f"{{{{{slot[1]}}}}} is not a slot: {hint}"))
    last = text.rstrip("\n").count("\n") + 1
    if "line" in placed and (parts := [name for name in LINE if name in placed]):
        found.append((last, f"{{{{line}}}} contains {{{{{parts[0]}}}}} already: use one of the two"))
    has_parts = "line" not in placed and any(name in placed for name in LINE)
    needed = [name for name in REQUIRED if not (has_parts and name == "line")] + (list(LINE) if has_parts else [])
    missing = [name for name in needed if name not in placed]
    found += [(last, f"the slot {{{{{name}}}}} is missing: {_PLACES[name]}") for name in missing if name in _PLACES]
    if absent := ", ".join(f"{{{{{name}}}}}" for name in missing if name in LINE):
        found.append((last, f"missing: {absent}. A template has {{{{line}}}}, or all of its parts"))
    found += [
        (last, f"{{{{{name}}}}} is in the template {placed[name]} times, and may be there once")
        for name in ONCE
        if placed[name] > 1
    ]
    return found


#: Where a required slot has to stand.
_PLACES: Final = {
    "html": "write <html {{html}}>",
    "head": "write it into <head>",
    "body": "write <body {{body}}>",
    "line": "write it into <main>, or each of its parts: " + ", ".join(LINE),
    "end": "write it before </body>",
}


class _Reader(HTMLParser):
    def __init__(self, sources: SourceSettings) -> None:
        super().__init__()
        self.found = Findings()
        self._sources = sources
        self._open: list[tuple[str, int]] = []
        self._seen: Counter[str] = Counter()
        self._ids: set[str] = set()

    def finish(self) -> None:
        """Note what can be said only at the end."""
        line = self.getpos()[0]
        for tag in ("html", "head", "body"):
            if self._seen[tag] != 1:
                self._fault(line, f"a template is a whole page with one <{tag}>, and this one has {self._seen[tag]}")
        for opened, begin in self._open:
            if opened not in OPTIONAL:
                self._fault(begin, f"<{opened}> is not closed")
        if not self._seen["!doctype"]:
            self._fault(1, "must begin with <!doctype html>")
        if self._seen["main"] != 1:
            self._warn(
                line, "without one <main> around the slots, screen readers do not find the beginning of the content"
            )

    def handle_decl(self, decl: str) -> None:
        if decl.lower().split() == ["doctype", "html"] and not self._seen:
            self._seen["!doctype"] += 1

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        line = self.getpos()[0]
        self._seen[tag] += 1
        for fault in fault_in_tag(tag, attrs, in_head=self._is_in("head")):
            self._fault(line, fault)
        for name, text in attrs:
            self._slots_of_attribute(line, tag, name, text or "")
        for address, use in addresses_in(tag, attrs):
            if why := fault_in_address(address, use, self._sources):
                self._fault(line, why)
            elif address.startswith("/") and not address.startswith("//"):
                self.found.addresses.append((line, address))
        self._note_names(line, tag, dict(attrs))
        if tag not in VOID:
            self._open.append((tag, line))

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        at = len(self._open) - 1
        while at >= 0 and self._open[at][0] != tag and self._open[at][0] in OPTIONAL:
            at -= 1
        if at < 0 or self._open[at][0] != tag:
            self._fault(self.getpos()[0], f"</{tag}> closes no element, or an element inside is not closed")
        else:
            del self._open[at:]

    def handle_data(self, data: str) -> None:
        for slot in SLOT.finditer(data):
            if slot[1] in SLOTS:
                self._place(self.getpos()[0] + data.count("\n", 0, slot.start()), slot[1])

    def _place(self, line: int, slot: str) -> None:
        """Note a slot between tags."""
        self.found.slots[slot] += 1
        if slot in ("html", "body"):
            self._fault(line, f"{{{{{slot}}}}} belongs into the tag: {_PLACES[slot]}")
        elif slot == "head":
            if not self._open or self._open[-1][0] != "head":
                self._fault(line, f"{{{{head}}}} is not directly in <head>: {_PLACES['head']}")
        elif slot != SHOP_NAME:
            around = [tag for tag, _ in self._open if tag in TEXT_ONLY or tag in NO_BLOCKS]
            if around:
                self._fault(line, f"{{{{{slot}}}}} has elements that may not stand in <{around[-1]}>")
            elif not self._is_in("body"):
                self._fault(line, f"{{{{{slot}}}}} has elements that belong into <body>: write it there")

    def _slots_of_attribute(self, line: int, tag: str, name: str, value: str) -> None:
        for slot in SLOT.findall(name):
            self.found.slots[slot] += 1
            if slot != tag or slot not in ("html", "body"):
                self._fault(line, f"{{{{{slot}}}}} may not stand in the tag <{tag}>")
        for slot in SLOT.findall(value):
            if slot in SLOTS and slot != SHOP_NAME:
                self._fault(line, f"{{{{{slot}}}}} may not stand in an attribute; only {{{{{SHOP_NAME}}}}} may")

    def _note_names(self, line: int, tag: str, attributes: dict[str, str | None]) -> None:
        own = attributes.get("id")
        if own in IDS:
            self._fault(line, f'the id "{own}" is that of an element of the page: choose another')
        elif own and own in self._ids:
            self._fault(line, f'two elements have the id "{own}"')
        if own:
            self._ids.add(own)
        if tag == "img" and "alt" not in attributes:
            self._warn(line, 'an <img> has no alt, so screen readers read its address; write alt="" for decoration')
        if tag == "h1":
            self._warn(line, "the page has an <h1> already, in its headline: use a <p> for the name of the shop")

    def _is_in(self, tag: str) -> bool:
        return any(each == tag for each, _ in self._open)

    def _fault(self, line: int, why: str) -> None:
        self.found.faults.append((line, why))

    def _warn(self, line: int, why: str) -> None:
        self.found.warnings.append((line, why))
