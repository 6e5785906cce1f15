"""Which requests a room covers: path patterns, matched against every reading of a target.

A *reading* is the path as one kind of server understands it (`edge/support/path_readings.py`). A room covers a request
if it covers any reading, so no spelling walks around the room.

A pattern is a path in which `*` stands for any characters, slashes included. It may name query parameters:

    /checkout*                  /checkout, /checkout/pay, /checkout2
    /checkout/*                 /checkout, /checkout/pay
    /*?wc-ajax=checkout         any path with wc-ajax=checkout in its query, in any order and encoding

Matching takes time linear in the target: `*` never backtracks, and a query is searched for the parameters that are
wanted, not parsed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from edge.support.path_readings import decoded_once, without_wide_escapes

__all__ = ["PathPattern", "PathSet", "PrefixIndex", "covers_text"]


_MALFORMED_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: Between values that are decoded together. It is for private use (Unicode), so no wanted value has it.
_JOIN: Final = "\ue000"


@dataclass(frozen=True, slots=True)
class PathPattern:
    """One pattern of the settings, parsed.

    `parts` are the texts between the stars, in the form of a reading; `query` the parameters that must be there.
    """

    parts: tuple[str, ...]
    query: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "PathPattern":
        """Read a pattern. Raises ValueError, with the reason and what to write instead, for one that cannot match."""
        path, has_query, query = text.partition("?")
        if not path.startswith(("/", "*")):
            raise ValueError(f"must start with '/' or '*', got {text!r}")
        if "#" in text:
            raise ValueError(f"'#' never reaches a server: leave it and the rest out, got {text!r}")
        decoded = _decoded_pattern(path, text)
        segments = decoded.split("/")
        for segment in segments:
            if segment in (".", "..") or (segment.endswith((".", " ")) and "*" not in segment):
                raise ValueError(f"{segment!r} is resolved or shortened before matching: leave it out, got {text!r}")
            if segment != segment.strip():
                raise ValueError(f"a name that begins or ends with a space never matches, got {text!r}")
        kept = [segment for segment in segments if segment]
        joined = ("/" if path.startswith("/") or not kept else "") + "/".join(kept)
        if not joined.endswith(("*", "/")):
            joined += "/"
        wanted = tuple(_wanted(query)) if has_query else ()
        for name, _ in wanted:
            for ends in ("&", "&;"):
                _finder(name, ends)  # made now, not at a visitor's request
        return cls(tuple(joined.casefold().split("*")), wanted)

    @property
    def beginning(self) -> str:
        """What every path that matches begins with."""
        return self.parts[0]

    def matches(self, form: str, query: str = "") -> bool:
        """Return whether a reading, with its query, is covered."""
        return _covers(self.parts, form) and (not self.query or _has(query, self.query))


def _decoded_pattern(path: str, text: str) -> str:
    """Return the path of a pattern, percent-decoded. Raises ValueError if no reading can be equal to it."""
    if _MALFORMED_ESCAPE.search(path):
        raise ValueError(f"'%' stands before two hexadecimal digits: write %25 for the sign itself, got {text!r}")
    if "%2a" in path.lower():
        raise ValueError(f"'%2A' would be a star that is a character, which no pattern can name, got {text!r}")
    try:
        decoded = unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"is not UTF-8 behind '%': write the name as text, such as /café, got {text!r}") from None
    for mark, why in ((";", "starts a path parameter, which the edge ignores"), ("\\", "is read as '/'")):
        if mark in decoded:
            raise ValueError(f"{mark!r} {why}: leave it out, got {text!r}")
    return decoded


def _covers(parts: tuple[str, ...], form: str) -> bool:
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return form == first
    if not form.startswith(first):
        # `/a.*` covers `/a.`, which a reading has as `/a/`.
        return first.endswith((".", " ")) and _covers((first.rstrip(". ") + "/", *parts[1:]), form)
    at, before = len(first), first
    for part in parts[1:-1]:
        found = form.find(part, _start(at, before, part))
        if found < 0:
            return False
        at, before = found + len(part), part or before
    return form.endswith(last) and len(form) - len(last) >= _start(at, before, last)


def _start(at: int, before: str, part: str) -> int:
    """Where `part` may begin: one earlier between two slashes, since `/a/*/c` covers `/a//c`, which is `/a/c`."""
    return at - 1 if before.endswith("/") and part.startswith("/") else at


def _wanted(query: str) -> Iterator[tuple[str, str | None]]:
    for field in re.split(r"[&;]", query):
        name, has_value, value = field.partition("=")
        if name:
            wanted = unquote(value.replace("+", " ")).casefold() if has_value else None
            yield _name(unquote(name.replace("+", " "))), wanted


def _has(query: str, wanted: tuple[tuple[str, str | None], ...]) -> bool:
    for name, value in wanted:
        found = _values(name, query)
        if not found or (value is not None and not any(covers_text(value, each) for each in found)):
            return False
    return True


#: One target is compared with several patterns, by each of its readings.
@lru_cache(maxsize=32)
def _values(name: str, query: str) -> tuple[str, ...]:
    """Return all values that a query gives to a parameter. `;` may end a field, or be a part of its value."""
    found = _finder(name, "&;").findall("&" + query)
    if ";" in query:
        found += _finder(name, "&").findall("&" + query)
    if not found:
        return ()
    raw = _JOIN.join(dict.fromkeys(found)).replace("+", " ")
    texts = dict.fromkeys((raw, without_wide_escapes(raw)))
    return tuple([value for text in texts for value in decoded_once(text).casefold().split(_JOIN)])


@lru_cache(maxsize=1024)
def _finder(name: str, ends: str) -> re.Pattern[str]:
    """Return what finds a parameter behind an `&`, however its name is spelled. The group is its value.

    PHP takes `a.b`, `a b` and `a_b` for one name, drops spaces before it, and cuts it at a bracket or NUL. ASP.NET
    reads `%u0061` as `a`. Case does not count. ends: the characters that end a field.
    """
    letters = "".join(_spelled(letter) for letter in name)
    space, rest = r"(?:\+|%20)*", rf"(?:(?:\[|%5B|%00)[^{ends}=]*)?"
    return re.compile(rf"[{ends}](?![{ends}]){space}{letters}{space}{rest}(?:=([^{ends}]*)|(?=[{ends}]|\Z))", re.I)


def _spelled(letter: str) -> str:
    if letter == "_":
        return r"(?:[._+]|%2E|%20|%5F)"
    ways = dict.fromkeys((letter, letter.lower(), letter.upper()))
    escapes = ["".join(f"%{byte:02X}" for byte in way.encode()) for way in ways]
    wide = [f"%u{ord(way):04X}" for way in ways if len(way) == 1]
    return "(?:" + "|".join([re.escape(letter), *escapes, *wide]) + ")"


def _name(name: str) -> str:
    """A parameter's name as PHP has it: it changes dots and spaces, and cuts brackets."""
    return re.sub(r"[. ]", "_", name.strip().partition("[")[0]).casefold()


def covers_text(pattern: str, text: str) -> bool:
    """Return whether a pattern with `*` for any characters covers all of a text. Linear in the text."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    if not text.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return text.endswith(rest[-1]) and len(text) - len(rest[-1]) >= at


class PathSet:
    """Many patterns, asked as one. Plain prefixes, suffixes and whole paths cost one look-up together."""

    def __init__(self, patterns: Iterable[str]) -> None:
        parsed = [PathPattern.parse(pattern) for pattern in patterns]
        plain = [each.parts for each in parsed if not each.query and not each.parts[0].endswith((".", " "))]
        self._whole = frozenset(parts[0] for parts in plain if len(parts) == 1)
        self._prefixes = tuple(parts[0] for parts in plain if len(parts) == 2 and not parts[1])
        self._suffixes = tuple(parts[1] for parts in plain if len(parts) == 2 and not parts[0] and parts[1])
        self._others = tuple(each for each in parsed if not self._is_simple(each))

    def _is_simple(self, pattern: PathPattern) -> bool:
        parts = pattern.parts
        if pattern.query or parts[0].endswith((".", " ")):
            return False
        return len(parts) == 1 or (len(parts) == 2 and not (parts[0] and parts[1]))

    def covers(self, form: str, query: str = "") -> bool:
        """Return whether any of the patterns covers a reading with its query."""
        return (
            form in self._whole
            or form.startswith(self._prefixes)
            or form.endswith(self._suffixes)
            or any(pattern.matches(form, query) for pattern in self._others)
        )


class PrefixIndex:
    """Which of many lists of patterns can match a path at all: asked in the time that one takes, not all of them.

    A pattern matches only paths that begin with its text before the first `*`. These beginnings are kept by length, and
    a path is asked for its own beginnings of these lengths: one look-up for each length that occurs.
    """

    def __init__(self, lists: Sequence[Iterable[str]]) -> None:
        self._by_length: dict[int, dict[str, list[int]]] = {}
        for at, patterns in enumerate(lists):
            for beginning in {PathPattern.parse(pattern).beginning.rstrip(". ") for pattern in patterns}:
                self._by_length.setdefault(len(beginning), {}).setdefault(beginning, []).append(at)

    def candidates(self, form: str) -> list[int]:
        """Return the numbers of the lists that may match a reading, ascending."""
        found: set[int] = set()
        for length, beginnings in self._by_length.items():
            found.update(beginnings.get(form[:length], ()))
        return sorted(found)
