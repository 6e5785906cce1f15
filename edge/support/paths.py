"""Which requests a room covers: path patterns, matched against every reading that a shop may make of a target.

A *reading* is the path as one kind of server understands it. A room covers a request if it covers any reading, so no
spelling walks around the room. Most targets have one reading. A target has several if servers disagree about it:

    dots          /checkout/../x        resolved before routing, after it, or never
    decoding      /%2563heckout         once or twice; as UTF-8, or as Latin-1 when it is not UTF-8
    authority     //x/checkout          a path, or host `x` and path `/checkout` (WHATWG URL, java.net.URI, parse_url)
    backslash     /a\\checkout           a slash, or a character
    parameters    /checkout;x=1         removed, or part of the name
    trailing dot  /checkout.            removed (Windows), or part of the name
    path info     /index.php/checkout   a script with the path `/checkout`, or a path
    %3f and %23   /checkout%3fx         a character, or the end of the path

All readings have one form: percent-decoded, lower case, no empty segments, a slash at the end. The form serves matching
only; the proxy forwards the bytes that came.

A pattern is a path in which `*` stands for any characters, slashes included. It may name query parameters:

    /checkout*                  /checkout, /checkout/pay, /checkout2
    /checkout/*                 /checkout, /checkout/pay
    /*?wc-ajax=checkout         any path whose query has wc-ajax=checkout, in any order and encoding

Matching takes time linear in the path: `*` never backtracks.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

__all__ = [
    "MAX_AMBIGUOUS_CHARS",
    "PathPattern",
    "PathSet",
    "PrefixIndex",
    "covers_text",
    "is_too_ambiguous",
    "readings",
]

#: The longest path with several readings that is served. Browsers and shops have no use for longer ones.
MAX_AMBIGUOUS_CHARS: Final = 1024
#: The most readings that are compared. Only targets that were made to confuse servers have more.
MAX_READINGS: Final = 64
#: Longer paths are worked out anew at each request: a cache of them would be memory for an attacker to fill.
MAX_CACHED_CHARS: Final = 256
#: Authorities that are peeled off one path.
MAX_AUTHORITIES: Final = 4

#: Names that run a script, so that the rest of the path is its path info.
_SCRIPT_ENDINGS = (".php/", ".phtml/", ".cgi/", ".fcgi/", ".pl/", ".cfm/", ".asp/", ".aspx/", ".jsp/")
#: A path with none of these, in lower case, is its own only reading.
_MARKS = ("%", "\\", ";", "//", "/.", "./", "?", "#", " ", *_SCRIPT_ENDINGS)
#: What makes a path ambiguous however it is decoded.
_AMBIGUOUS_MARKS = ("%25", "%2e", "%2f", "%5c", "%3b", "%3f", "%23", *_MARKS[1:])
_SCRIPT = re.compile(r"/[^/]*(?:" + "|".join(re.escape(each[:-1]) for each in _SCRIPT_ENDINGS) + r")(?=/)", re.I)


def readings(path: str) -> tuple[str, ...]:
    """Return every form that a shop may route this path by, the usual one first. `path` has no query.

    The result is empty if there are too many: such a request is refused (`is_too_ambiguous`).
    """
    return _cached(path) if len(path) <= MAX_CACHED_CHARS else _readings(path)


def is_too_ambiguous(path: str) -> bool:
    """Return whether a path has more readings, or is longer with several, than any honest client sends."""
    return not readings(path)


def _readings(path: str) -> tuple[str, ...]:
    lower = path.lower()
    if (
        lower.isascii()
        and lower.startswith("/")
        and not lower.endswith(".")
        and not any(mark in lower for mark in _MARKS)
    ):
        return (lower if lower.endswith("/") else lower + "/",)
    if len(path) > MAX_AMBIGUOUS_CHARS and any(mark in lower for mark in _AMBIGUOUS_MARKS):
        return ()
    found: dict[str, None] = {}
    # An authority may hold encoded slashes, so it is peeled off before decoding, and after it too.
    for raw in dict.fromkeys((path, *_without_authority(path.replace("\\", "/")))):
        for decoded in _decodings(raw):
            for text in dict.fromkeys(_spellings(decoded)):
                for form in _forms(text):
                    found[form] = None
                    if len(found) > MAX_READINGS:
                        return ()
    return tuple(found)


_cached = lru_cache(maxsize=4096)(_readings)


def _decodings(path: str) -> Iterator[str]:
    """The percent-decoded forms of a path."""
    if "%" not in path:
        yield path
        return
    once = unquote(path, errors="replace")
    yield once
    if "\ufffd" in once and "\ufffd" not in path:
        yield unquote_to_bytes(path).decode("latin-1")
    twice = unquote(once, errors="replace")
    if twice != once:
        yield twice
        if unquote(twice, errors="replace") != twice:
            yield unquote(twice, errors="replace")


def _spellings(decoded: str) -> Iterator[str]:
    """The paths that a decoded target may stand for, before segments are looked at."""
    cuts = [decoded]
    end = re.search(r"[?#]", decoded)
    if end:
        cuts.append(decoded[: end.start()])
    for cut in cuts:
        for text in (cut.replace("\\", "/"), cut) if "\\" in cut else (cut,):
            yield text
            yield from _without_authority(text)
            script = _SCRIPT.search(text)
            if script:
                yield text[script.end() :]


def _without_authority(text: str) -> Iterator[str]:
    """What is left of a path when `//host` is read as an authority."""
    if not text.startswith("//") and "/." not in text:
        return
    for _ in range(MAX_AUTHORITIES):
        _, slashes, rest = text.partition("//")
        if not slashes:
            return
        for name in (rest, rest.lstrip("/")):
            text = "/" + name.partition("/")[2]
            yield text


def _forms(text: str) -> Iterator[str]:
    """The forms of a path whose slashes are known."""
    segments = text.split("/")
    with_parameters = (True, False) if ";" in text else (True,)
    stripped = (True, False) if re.search(r"[. ](?:/|;|\Z)", text) else (True,)
    for cut, strip in product(with_parameters, stripped):
        names = [each.partition(";")[0].strip() for each in segments] if cut else segments
        has_parents = ".." in names
        for resolve in (True, False) if has_parents else (True,):
            kept: list[str] = []
            for name in names:
                if name == "..":
                    if kept and resolve:
                        kept.pop()
                    continue
                if strip:
                    name = name.rstrip(". ")
                if name not in ("", "."):
                    kept.append(name)
            yield "/" + "".join(f"{name}/" for name in kept).casefold()


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
        if "%2a" in path.lower():
            raise ValueError(f"'%2A' would be a star that is a character, which no pattern can name, got {text!r}")
        decoded = unquote(path, errors="strict") if "%" in path else path
        for mark, why in ((";", "starts a path parameter, which the edge ignores"), ("\\", "is read as '/'")):
            if mark in decoded:
                raise ValueError(f"{mark!r} {why}: leave it out, got {text!r}")
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
        return cls(tuple(joined.casefold().split("*")), tuple(_wanted(query)) if has_query else ())

    @property
    def beginning(self) -> str:
        """What every path that matches begins with."""
        return self.parts[0]

    def matches(self, form: str, query: str = "") -> bool:
        """Return whether a reading, with its query, is covered."""
        return _covers(self.parts, form) and (not self.query or _has(query, self.query))


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
    fields: dict[str, list[str]] = {}
    for text in {query, query.replace(";", "&")}:
        for name, value in parse_qsl(text, keep_blank_values=True, errors="replace"):
            fields.setdefault(_name(name), []).append(value.casefold())
    return all(
        name in fields and (value is None or any(covers_text(value, each) for each in fields[name]))
        for name, value in wanted
    )


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
