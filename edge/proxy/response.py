r"""What the head of an upstream's response means. Pure: bytes -> value.

The upstream is trusted with the content but not with the connection: a head with two readings (a length beside a
coding, two lengths, a coding other than 'chunked') becomes a 502 and is not passed on. A line may end in LF alone (RFC
9112, 2.2; CGI programs and old devices write it): the head goes on with CRLF. How the body ends (RFC 9112, 6.3):

    HEAD, 1xx, 204, 304       no body, whatever the fields say
    Transfer-Encoding         chunked
    Content-Length            that many bytes
    neither                   all bytes until the connection ends
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from edge.messages.verdict import Headers
from edge.proxy.body import Body, ChunkedBody, EndlessBody, SizedBody
from edge.proxy.hop_by_hop import HARMLESS_OPTIONS, NOT_FORWARDED, connection_options
from edge.support.errors import UpstreamError
from waiting_room.leaf import NATIVE

__all__ = ["CHUNKED", "UNTIL_CLOSE", "BadResponse", "ResponseHead", "body_of", "end_of_response_head", "parse_response"]

#: `ResponseHead.length` of bodies that mark their end themselves.
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: ([\t !-~\x80-\xff]*))?")
_TIMEOUT: Final = re.compile(rb"(?:^|[,; \t])timeout[ \t]*=[ \t]*\"?(\d{1,9})(?!\d)", re.IGNORECASE)
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: What no field may contain (RFC 9110, 5.5).
_NO_TEXT: Final = bytes((*range(9), *range(10, 32), 127))
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
#: Spellings of field names that are remembered; more than that is an attack.
MOST_NAMES: Final = 512
LONGEST_NAME: Final = 64


class BadResponse(UpstreamError):
    """The upstream's response can be read in more than one way, or in none. The visitor gets a 502."""


# Not changed after it is built, yet not `frozen`; `__init__` written out: docs/performance.md.
@dataclass(slots=True, init=False)
class ResponseHead:
    """The head of a response that has one reading only."""

    status: int
    line: bytes
    """The status line for the visitor: HTTP/1.1, with its CRLF."""
    kept: bytes
    """The rendered fields for the visitor: all but framing, hop-by-hop fields and `Stanchion-*`."""
    to_edge: Headers
    """The `Stanchion-*` fields."""
    length: int
    """As the head says. Whether there is a body at all depends on the request too."""
    keep_alive: bool
    has_date: bool
    upgrade: bytes
    """The `Upgrade` field of a 101."""
    names_fields: bool
    """`Connection` names fields of this response, which end here."""
    idle_s: float
    """How long the upstream keeps the idle connection (`Keep-Alive: timeout=`), infinite if it does not say."""

    def __init__(
        self,
        status: int,
        line: bytes,
        kept: bytes,
        to_edge: Headers,
        length: int,
        keep_alive: bool,
        has_date: bool,
        upgrade: bytes,
        names_fields: bool,
        idle_s: float,
    ) -> None:
        self.status = status
        self.line = line
        self.kept = kept
        self.to_edge = to_edge
        self.length = length
        self.keep_alive = keep_alive
        self.has_date = has_date
        self.upgrade = upgrade
        self.names_fields = names_fields
        self.idle_s = idle_s


def end_of_response_head(data: bytes) -> int:
    """Return where the first head in `data` ends, empty line included, or 0 if it may end later."""
    end = data.find(b"\n\r\n")
    bare = data.find(b"\n\n", 0, end + 1 if end >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else 0


def parse_response(raw: bytes) -> ResponseHead:
    """Read a head, from the first byte of the status line to the empty line. Raises BadResponse."""
    if _native is not None:
        found = _native(raw, _uses)
        usual = None if found is None else _usual(found)
        if usual is not None:
            return usual
    return _parsed(raw)


_Usual = tuple[bytes, bytes, bool, int, bytes | None]
_native: Final[Callable[[bytes, dict[bytes, int]], _Usual | None] | None] = (
    None if NATIVE is None else NATIVE.response_head
)


def _usual(found: _Usual) -> ResponseHead | None:
    """Return what the native leaf found in a head; None for HTTP/1.0."""
    line, kept, has_date, length, kept_alive = found
    first, status, is_http10 = _status(line)
    if is_http10:
        return None
    idle_s = math.inf if kept_alive is None else _idle_s(kept_alive)
    return ResponseHead(status, first, kept, (), length, True, has_date, b"", False, idle_s)


def _parsed(raw: bytes) -> ResponseHead:
    """Read a head by the Python form."""
    lines = raw.split(b"\r\n")
    if not _is_text(raw, lines):
        raw = _BARE_LF.sub(b"\r\n", raw)
        lines = raw.split(b"\r\n")
        if not _is_text(raw, lines):
            raise BadResponse("a header field has a control character")
    line, status, is_http10 = _status(lines[0])
    return _read(status, line, is_http10, lines[1:-2])


def _is_text(raw: bytes, lines: list[bytes]) -> bool:
    """Return whether there is no control character but tabs and the ends of these lines."""
    # A fifth of the time that a search by a regular expression takes.
    return len(raw.translate(None, _NO_TEXT)) == len(raw) - 2 * (len(lines) - 1)


# There are few status lines. A bad one raises, so it is not remembered.
@lru_cache(maxsize=128)
def _status(line: bytes) -> tuple[bytes, int, bool]:
    """Return the status line for the visitor, the status, and whether it is HTTP/1.0. Raises BadResponse."""
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise BadResponse("the status line is malformed")
    minor, code, reason = found.groups()
    return b"HTTP/1.1 %b %b\r\n" % (code, reason or b""), int(code), minor == b"0"


#: What is done with a field.
_KEPT: Final = 0
_DATE: Final = 1
_SIZED: Final = 2
_CONNECTION: Final = 3
_CODING: Final = 4
_UPGRADE: Final = 5
_TO_EDGE: Final = 6
_DROPPED: Final = 7
_KEEP_ALIVE: Final = 8
_BY_NAME: Final[dict[bytes, int]] = {
    b"date": _DATE,
    b"content-length": _SIZED,
    b"connection": _CONNECTION,
    b"transfer-encoding": _CODING,
    b"upgrade": _UPGRADE,
    b"keep-alive": _KEEP_ALIVE,
}
_uses: Final[dict[bytes, int]] = {}
_SPACE: Final = 32


def _use_of(name: bytes) -> int:
    """Return what is done with a field of this name, and remember it. Raises BadResponse if it is no name."""
    if _NAME.fullmatch(name) is None:
        raise BadResponse("a header field is malformed")
    low = name.lower()
    use = _BY_NAME.get(low, _DROPPED if low in NOT_FORWARDED else _KEPT)
    if low.startswith(b"stanchion-"):
        use = _TO_EDGE
    if len(_uses) >= MOST_NAMES:
        _uses.clear()
    if len(name) <= LONGEST_NAME:
        _uses[name] = use
    return use


def _with_one_space(field: bytes, colon: int) -> bytes:
    """Return `Name: value` without other white space around the value, which is no part of it (RFC 9112, 5.1)."""
    if len(field) > colon + 2 and field[colon + 1] == _SPACE < field[colon + 2] and field[-1] > _SPACE:
        return field
    return b"%b: %b" % (field[:colon], field[colon + 1 :].strip(b" \t"))


def _read(status: int, line: bytes, is_http10: bool, fields: list[bytes]) -> ResponseHead:
    kept: list[bytes] = []
    to_edge: list[tuple[str, str]] = []
    sized: bytes | None = None
    coding: bytes | None = None
    connection = upgrade = b""
    idle_s = math.inf
    has_date = False
    for field in fields:
        colon = field.find(b":")
        name = field[:colon] if colon > 0 else b""
        use = _uses.get(name)
        if use is None:
            use = _use_of(name)
        field = _with_one_space(field, colon)
        if use <= _DATE:
            has_date = has_date or use == _DATE
            kept.append(field)
            continue
        value = field[colon + 2 :]
        if use == _SIZED:
            if sized is not None:
                raise BadResponse("Content-Length is repeated")
            sized = value
        elif use == _CONNECTION:
            connection += b"," + value
        elif use == _CODING:
            coding = value if coding is None else b""
        elif use == _UPGRADE:
            upgrade = value
        elif use == _KEEP_ALIVE:
            idle_s = min(idle_s, _idle_s(value))
        elif use == _TO_EDGE:
            to_edge.append((name.decode(), value.decode("latin-1")))
    options = connection_options(connection) if connection else _NO_OPTIONS
    names_fields = not options <= HARMLESS_OPTIONS
    if names_fields:
        kept = _without(kept, options)
    return ResponseHead(
        status,
        line,
        b"\r\n".join(kept) + b"\r\n" if kept else b"",
        tuple(to_edge),
        _length(sized, coding, is_http10),
        b"close" not in options and (not is_http10 or b"keep-alive" in options),
        has_date,
        upgrade,
        names_fields,
        idle_s,
    )


#: Upstreams say the same again and again.
@lru_cache(maxsize=64)
def _idle_s(value: bytes) -> float:
    """Return the seconds of `Keep-Alive: timeout=5, max=100` (RFC 2068, 19.7.1.1), infinite if there are none."""
    found = _TIMEOUT.search(value)
    return math.inf if found is None else float(found[1])


_NO_OPTIONS: Final[frozenset[bytes]] = frozenset()
#: Fields that the visitor depends on. `Connection` cannot remove them.
_ENDS_OWN: Final = frozenset(
    (b"set-cookie", b"content-type", b"content-encoding", b"location", b"cache-control", b"date")
)


def _without(kept: list[bytes], options: frozenset[bytes]) -> list[bytes]:
    left: list[bytes] = []
    for field in kept:
        name = field[: field.find(b":")].lower()
        if name not in options or name in _ENDS_OWN:
            left.append(field)
    return left


def _length(sized: bytes | None, coding: bytes | None, is_http10: bool) -> int:
    if coding is not None:
        if sized is not None or is_http10 or coding.lower() != b"chunked":
            raise BadResponse("the body's framing is ambiguous")
        return CHUNKED
    if sized is None:
        return UNTIL_CLOSE
    if not sized.isdigit() or len(sized) > 18:
        raise BadResponse("Content-Length is not a number")
    return int(sized)


def body_of(response: ResponseHead, method: str, *, is_http10: bool) -> tuple[Body, bytes]:
    """Return the body of a response to a request with this method, and the line that frames it for the visitor.

    `is_http10` is the visitor's version. It has no chunks: a body without a length ends with the connection.
    """
    status, length = response.status, response.length
    if status == 204:
        return SizedBody(0), b""
    sized = b"Content-Length: %b\r\n" % str(length).encode() if length >= 0 else b""
    if sized and method != "HEAD" and status != 304:
        return SizedBody(length), sized
    chunked = b"" if is_http10 else b"Transfer-Encoding: chunked\r\n"
    if method == "HEAD" or status == 304:
        return SizedBody(0), sized or (chunked if length == CHUNKED else b"")
    if length == CHUNKED:
        return ChunkedBody(chunked=not is_http10, keeps_trailers=not response.names_fields, is_lenient=True), chunked
    return EndlessBody(chunked=not is_http10), chunked
