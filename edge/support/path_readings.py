"""The readings of a path: the path as each kind of server understands it.

Most targets have one reading. A target has several if servers disagree about it:

    dots          /checkout/../x        resolved before routing, after it, or never
    decoding      /%2563heckout         once or twice; as UTF-8, or as Latin-1 when it is not UTF-8; %u0063 too (IIS)
    authority     //x/checkout          a path, or host `x` and path `/checkout` (WHATWG URL, java.net.URI, parse_url)
    backslash     /a\\checkout           a slash, or a character
    parameters    /checkout;x=1         removed, or part of the name
    trailing dot  /checkout.            removed (Windows), or part of the name
    path info     /index.php/checkout   a script with the path `/checkout`, the script alone, or a path
    index         /index.php            what a server shows for `/`, or a path of its own
    %3f and %23   /checkout%3fx         a character, or the end of the path

All readings have one form: percent-decoded, lower case, no empty segments, a slash at the end. The form serves matching
only; the proxy forwards the bytes that came.

The work on one path is bounded. A path that takes more is refused, as is a long one with more than one reading.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Final
from urllib.parse import unquote_to_bytes

__all__ = ["MAX_AMBIGUOUS_CHARS", "decoded_once", "is_too_ambiguous", "readings", "without_wide_escapes"]

#: The longest path with several readings that is served. Browsers and shops have no use for longer ones.
MAX_AMBIGUOUS_CHARS: Final = 1024
#: The most readings that are compared. Only targets that were made to confuse servers have more.
MAX_READINGS: Final = 64
#: The most escapes in a long path: 256 letters of most alphabets.
MAX_LONG_ESCAPES: Final = 768
#: The most work for one path, in path segments that are looked at: some 0.4 ms.
MAX_WORK: Final = 1500
#: A cache of longer paths would be memory for an attacker to fill.
MAX_CACHED_CHARS: Final = 256
#: Authorities that are peeled off one path.
MAX_AUTHORITIES: Final = 4

#: What a decoder puts in place of bytes that are not UTF-8.
UNREADABLE: Final = "\ufffd"
#: Names that run a script, so that the rest of the path is its path info.
_SCRIPT_ENDINGS = (
    *(".php/", ".php3/", ".php4/", ".php5/", ".php7/", ".php8/", ".phtml/", ".phar/", ".cgi/", ".fcgi/", ".fpl/"),
    *(".pl/", ".py/", ".rb/", ".cfm/", ".asp/", ".aspx/", ".ashx/", ".asmx/", ".svc/", ".jsp/", ".dll/", ".exe/"),
)
#: A path with none of these, in lower case, is its own only reading.
_MARKS = ("%", "\\", ";", "//", "/.", "./", "?", "#", " /", "/ ", "/index.", "/default.", UNREADABLE, *_SCRIPT_ENDINGS)
_NO_NAMES = frozenset(("", ".", ".."))
#: IIS reads it by default (`PercentUAllowed`), and so does ASP.NET.
_WIDE_ESCAPE = re.compile(r"%u([0-9A-Fa-f]{4})", re.I)
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_SCRIPT = re.compile(r"/[^/]*(?:" + "|".join(re.escape(each[:-1]) for each in _SCRIPT_ENDINGS) + r")(?=/)", re.I)
#: What Apache, nginx and IIS show for a folder (`DirectoryIndex`, `index`, default documents).
_INDEX = re.compile(r"/(?:index|default)\.[a-z]{2,5}[0-9]?/*\Z", re.I)


def readings(path: str) -> tuple[str, ...]:
    """Return every form that a shop may route this path by, the usual one first. `path` has no query.

    The result is empty if there are too many: such a request is refused (`is_too_ambiguous`).
    """
    return _cached(path) if len(path) <= MAX_CACHED_CHARS else _latest(path)


def is_too_ambiguous(path: str) -> bool:
    """Return whether a path has more readings, or is longer with several, than any honest client sends."""
    return not readings(path)


def _readings(path: str) -> tuple[str, ...]:
    plain = path.lower()
    if _is_plain(plain) and plain.isascii():
        return (plain if plain.endswith("/") else plain + "/",)
    if len(path) > MAX_AMBIGUOUS_CHARS:
        # Letters that are not ASCII make a path long, not ambiguous.
        if path.count("%") > MAX_LONG_ESCAPES:
            return ()
        plain = decoded_once(path).casefold()
        return (plain if plain.endswith("/") else plain + "/",) if _is_plain(plain) else ()
    found: dict[str, None] = {}
    seen: set[str] = set()
    work = MAX_WORK
    # An authority may hold encoded slashes, so it is peeled off before decoding, and after it too.
    for raw in dict.fromkeys((path, *_without_authority(path.replace("\\", "/")))):
        for decoded in _decodings(raw):
            for text in _spellings(decoded):
                work -= 3 + len(text) // 50
                if text in seen:
                    continue
                seen.add(text)
                segments = 6 + text.count("/")
                for form in _forms(text):
                    found[form] = None
                    work -= segments
                    if work < 0 or len(found) > MAX_READINGS:
                        return ()
    return tuple(found)


def _is_plain(lower: str) -> bool:
    """Return whether a lower-case path is its own only reading."""
    return lower.startswith("/") and not lower.endswith((".", " ")) and not any(mark in lower for mark in _MARKS)


_cached = lru_cache(maxsize=4096)(_readings)
#: The guard and the rooms ask about the same path in turn.
_latest = lru_cache(maxsize=2)(_readings)


def _decodings(path: str) -> Iterator[str]:
    """The percent-decoded forms of a path."""
    if "%" not in path:
        yield path
        return
    wide = without_wide_escapes(path)
    if wide != path:
        yield decoded_once(wide)
    once = decoded_once(path)
    yield once
    if UNREADABLE in once and UNREADABLE not in path:
        yield unquote_to_bytes(path).decode("latin-1")
    twice = decoded_once(once)
    if twice != once:
        yield twice
        thrice = decoded_once(twice)
        if thrice != twice:
            yield thrice


def decoded_once(path: str) -> str:
    """The same as `urllib.parse.unquote`, in a third of the time for a path with many escapes."""
    return _ESCAPES.sub(_unescaped, path) if "%" in path else path


def without_wide_escapes(text: str) -> str:
    """Return a text with `%uNNNN` decoded, as IIS and ASP.NET do."""
    return _WIDE_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "%u" in text or "%U" in text else text


def _unescaped(escapes: re.Match[str]) -> str:
    return bytes.fromhex(escapes[0].replace("%", "")).decode(errors="replace")


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
                yield text[: script.end()]
            index = _INDEX.search(text[: script.end()] if script else text)
            if index:
                yield text[: index.start() + 1]


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
    """The forms of a path after its slashes are known."""
    segments = text.split("/")
    with_parameters = (True, False) if ";" in text else (True,)
    stripped = (True, False) if re.search(r"[. ](?:/|;|\Z)", text) else (True,)
    for cut, strip in product(with_parameters, stripped):
        names = [each.partition(";")[0].strip() for each in segments] if cut else segments
        if strip:
            names = [name if name == ".." else name.rstrip(". ") for name in names]
        has_parents = ".." in names
        for resolve in (True, False) if has_parents else (False,):
            kept = _resolved(names) if resolve else [name for name in names if name not in _NO_NAMES]
            yield "/" + "".join(f"{name}/" for name in kept).casefold()


def _resolved(names: list[str]) -> list[str]:
    """Apply each `..` to the name before it."""
    kept: list[str] = []
    for name in names:
        if name not in _NO_NAMES:
            kept.append(name)
        elif name == ".." and kept:
            kept.pop()
    return kept
