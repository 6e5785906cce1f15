r"""What a request's head means: bytes up to and including the empty line -> a value or a refusal.

llhttp (through httptools) is the grammar: it refuses bare LF, folded lines, NUL and control characters, white space
before the colon, doubled or odd lengths, a length beside a transfer coding. What it accepts besides is refused here:

    request line     METHOD SP target SP HTTP/1.0|1.1, single spaces, visible ASCII only, no '#'
    target           origin form; absolute form only when it names the very `Host`, then cut to origin form
    Host             exactly one, in HTTP/1.0 too, because it chooses the room: a host and a port, nothing else
    Transfer-Encoding  'chunked' once, in HTTP/1.1 only: the upstream could read any other coding differently
    Expect           '100-continue' or nothing
    CONNECT, TRACE   not served

Nothing is repaired. A head with two readings is refused and its connection closed, because it is not known where the
next request begins. (RFC 9112, 2.2, 3.2, 6.3, 11.2; research on request smuggling since 2005.)

One llhttp parser serves all heads, because a new one costs a fifth of the parse. It is used again only after a whole
message without a body that keeps its connection; every head must yield as many fields as it has lines; and a refusal
counts only if a fresh parser agrees. So no head can spoil the reading of the next one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import httptools

from edge.messages.refusal import Refusal
from edge.support.host import is_host

__all__ = ["CHUNKED", "Request", "RequestParser", "end_of_head"]

#: `Request.length` of a chunked body.
CHUNKED: Final = -1

_REQUEST_LINE = re.compile(rb'([!#$%&\'*+\-.^_`|~0-9A-Za-z]{1,32}) ([!"$-~]+) HTTP/1\.([01])\r\n')
_ANY_VERSION = re.compile(rb"[^\r\n]* HTTP/\d+(\.\d+)?\r\n")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*)(.*)", re.DOTALL)
#: Options of a `Connection` field, and bytes of a value that is remembered: no attacker can fill memory with more.
MOST_OPTIONS: Final = 50
MOST_CACHED: Final = 256
#: Fields of which only one may occur: of two it would be open which one counts.
_SINGLE = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"))


_MALFORMED = Refusal(400, "the request is malformed")


# Not changed after it is built, yet not `frozen`; `__init__` written out: docs/performance.md.
@dataclass(slots=True, init=False)
class Request:
    """A request's head that has one reading only."""

    method: str
    target: str
    """In origin form, byte for byte (ASCII)."""
    is_http10: bool
    fields: tuple[tuple[bytes, bytes], ...]
    """As sent, in order, values without the white space around them."""
    values: dict[bytes, bytes]
    """By lower-case name; repeated fields joined by ', ', cookies by '; '."""
    length: int
    """The length of the body in bytes, or CHUNKED."""
    keep_alive: bool
    expects_continue: bool
    upgrades: bool
    """The client asks to leave HTTP on this connection (RFC 9110, 7.8)."""

    def __init__(
        self,
        method: str,
        target: str,
        is_http10: bool,
        fields: tuple[tuple[bytes, bytes], ...],
        values: dict[bytes, bytes],
        length: int,
        keep_alive: bool,
        expects_continue: bool,
        upgrades: bool,
    ) -> None:
        self.method = method
        self.target = target
        self.is_http10 = is_http10
        self.fields = fields
        self.values = values
        self.length = length
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.upgrades = upgrades

    def text(self, name: bytes) -> str:
        return self.values.get(name, b"").decode("latin-1")


def end_of_head(data: bytes, limit: int) -> int | Refusal:
    """Return where the first head in `data` ends, empty line included, or 0 if it may end later.

    `limit` is the largest head in bytes.
    """
    end = data.find(b"\r\n\r\n", 0, limit)
    if end >= 0:
        return end + 4
    if len(data) >= limit:
        if data.find(b"\r\n", 0, limit) >= 0:
            return Refusal(431, f"the request's head is larger than {limit} bytes")
        return Refusal(414, f"the request's target is longer than {limit} bytes")
    if data.count(b"\n") != data.count(b"\r\n") or not b"!" <= data[:1] + b"!" <= b"~!":
        return _MALFORMED
    return 0


class RequestParser:
    """Reads heads one after the other. A head's meaning depends on its bytes and the two limits only."""

    def __init__(self, max_fields: int = 100, max_target: int = 8192) -> None:
        """`max_fields` counts header fields, `max_target` bytes of the request target."""
        self._max_fields = max_fields
        self._max_target = max_target
        self._single: dict[bytes, bytes] = {}
        self._llhttp: httptools.HttpRequestParser | None = None
        self._collect = _Collector(self._single.__setitem__)

    def parse(self, raw: bytes) -> Request | Refusal:
        """Read a head, from the first byte of the request line to the empty line."""
        line = _REQUEST_LINE.match(raw)
        if line is None:
            if _ANY_VERSION.match(raw):
                return Refusal(505, "this server speaks HTTP/1.1") if _is_other_version(raw) else _MALFORMED
            return _MALFORMED
        is_fresh = self._llhttp is None
        fields = self._fields_of(raw)
        if fields is None and not is_fresh:
            self._llhttp = None
            fields = self._fields_of(raw)
        if fields is None:
            self._llhttp = None
            return Refusal(501, "this method is not known here") if self._is_unknown_method(raw) else _MALFORMED
        if len(fields) > self._max_fields:
            return Refusal(431, f"more than {self._max_fields} header fields")
        method, target, minor = line.groups()
        if len(target) > self._max_target:
            self._llhttp = None
            return Refusal(414, f"the request target is longer than {self._max_target} bytes")
        request = _read(method, target, minor == b"0", fields)
        if isinstance(request, Refusal) or request.length or not request.keep_alive or request.upgrades:
            self._llhttp = None
        return request

    def _fields_of(self, raw: bytes) -> list[tuple[bytes, bytes]] | None:
        """Return the fields as llhttp reads them, or None if it refuses them."""
        llhttp = self._llhttp
        if llhttp is None:
            llhttp = self._llhttp = httptools.HttpRequestParser(self._collect)
        single = self._single
        single.clear()
        try:
            llhttp.feed_data(raw)
        except httptools.HttpParserUpgrade:
            self._llhttp = None
        except httptools.HttpParserError:
            return None
        # There must be one field in each line. A repeated name, a folded line, and a parser that is in the middle of
        # another message all show here.
        lines = raw.count(b"\n") - 2
        fields = list(single.items()) if len(single) == lines else self._repeated_fields_of(raw, lines)
        if fields is not None and (raw.find(b" \r\n") >= 0 or raw.find(b"\t\r\n") >= 0):
            # llhttp keeps white space behind a value, which is no part of it (RFC 9112, 5.1).
            return [(name, value.rstrip(b" \t")) for name, value in fields]
        return fields

    def _repeated_fields_of(self, raw: bytes, lines: int) -> list[tuple[bytes, bytes]] | None:
        """The same if a name comes twice, which no dictionary can hold."""
        self._llhttp = None
        fields: list[tuple[bytes, bytes]] = []
        try:
            httptools.HttpRequestParser(_Collector(lambda name, value: fields.append((name, value)))).feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            return None
        return fields if len(fields) == lines else None

    def _is_unknown_method(self, raw: bytes) -> bool:
        try:
            httptools.HttpRequestParser(_Collector(lambda _name, _value: None)).feed_data(raw)
        except httptools.HttpParserInvalidMethodError:
            return True
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            pass
        return False


class _Collector:
    """llhttp calls it for every field."""

    __slots__ = ("on_header",)

    def __init__(self, on_header: Callable[[bytes, bytes], None]) -> None:
        self.on_header = on_header


_CHUNKED_TO_10 = Refusal(400, "HTTP/1.0 has no transfer codings")


def _is_other_version(raw: bytes) -> bool:
    return raw[: raw.index(b"\r\n")].rpartition(b" ")[2] not in (b"HTTP/1.1", b"HTTP/1.0")


def _read(method: bytes, target: bytes, is_http10: bool, fields: list[tuple[bytes, bytes]]) -> Request | Refusal:
    values = {name.lower(): value for name, value in fields}
    if len(values) != len(fields):
        joined = _joined(fields)
        if isinstance(joined, Refusal):
            return joined
        values = joined
    get = values.get
    host = get(b"host")
    if host is None:
        return Refusal(400, "the Host field is missing")
    if not is_host(host):
        return Refusal(400, "the Host field is not a host")
    if target[:1] != b"/":
        origin_form = _origin_form(method, target, host)
        if isinstance(origin_form, Refusal):
            return origin_form
        target = origin_form
    if method in _UNSERVED:
        return Refusal(501, f"{method.decode()} is not served here")
    length = _length(get(b"content-length"), get(b"transfer-encoding"), is_http10)
    if isinstance(length, Refusal):
        return length
    expects = get(b"expect")
    if expects is not None and expects.lower() != b"100-continue":
        return Refusal(417, "the only expectation served is 100-continue")
    connection = get(b"connection")
    if connection is None:
        options: frozenset[bytes] = frozenset()
    elif connection.count(b",") > MOST_OPTIONS:
        return Refusal(400, "the Connection field names too many options")
    else:
        options = connection_options(connection)
    return Request(
        method.decode(),
        target.decode(),
        is_http10,
        tuple(fields),
        values,
        length,
        b"close" not in options and (not is_http10 or b"keep-alive" in options),
        expects is not None and not is_http10 and length != 0,
        b"upgrade" in options and _may_upgrade(get(b"upgrade"), length, is_http10),
    )


_UNSERVED = frozenset((b"CONNECT", b"TRACE"))


def _joined(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes] | Refusal:
    values: dict[bytes, bytes] = {}
    for sent, value in fields:
        name = sent.lower()
        if name not in values:
            values[name] = value
        elif name in _SINGLE:
            return Refusal(400, f"the field {name.decode()} is repeated")
        else:
            values[name] += (b"; " if name == b"cookie" else b", ") + value
    return values


def _origin_form(method: bytes, target: bytes, host: bytes) -> bytes | Refusal:
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        if method in _UNSERVED:
            return Refusal(501, f"{method.decode()} is not served here")
        return Refusal(400, "the request target is not a path")
    authority, rest = absolute.groups()
    if not is_host(authority) or authority.lower() != host.lower():
        return Refusal(400, "the request target names another host than the Host field")
    if not rest and method == b"OPTIONS":
        return Refusal(400, "the request target is not a path")
    return rest if rest[:1] == b"/" else b"/" + rest


def _length(sized: bytes | None, coding: bytes | None, is_http10: bool) -> int | Refusal:
    if coding is not None:
        if sized is not None:
            return Refusal(400, "both Content-Length and Transfer-Encoding")
        if is_http10:
            return _CHUNKED_TO_10
        return CHUNKED if coding.lower() == b"chunked" else Refusal(400, "the only transfer coding served is chunked")
    if sized is None:
        return 0
    return int(sized) if sized.isdigit() and len(sized) <= 18 else Refusal(400, "the Content-Length is not a length")


def _may_upgrade(protocol: bytes | None, length: int, is_http10: bool) -> bool:
    """h2c is not passed on, because requests inside it would reach the upstream past the room."""
    return protocol is not None and length == 0 and not is_http10 and b"h2c" not in protocol.lower()


def connection_options(value: bytes) -> frozenset[bytes]:
    """Return the lower-case members of a `Connection` field."""
    return _connection_options(value) if len(value) <= MOST_CACHED else _connection_options.__wrapped__(value)


@lru_cache(maxsize=512)
def _connection_options(value: bytes) -> frozenset[bytes]:
    return frozenset(option.strip(b" \t").lower() for option in value.split(b",")) - {b""}
