r"""What a response's head means, and how the edge's own answers are written.

An upstream is trusted with its content, not with the connection: a head with two readings (a length beside a coding,
two lengths, a coding other than 'chunked', a bare LF) is a 502, never passed on. How the body ends (RFC 9112, 6.3):

    HEAD, 1xx, 204, 304       no body, whatever the fields say
    Transfer-Encoding         chunked
    Content-Length            that many bytes
    neither                   all until the connection ends

Both directions of this module are pure: bytes -> value, value -> bytes.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import httptools

from edge.messages.verdict import Answer, Headers
from edge.proxy.body import Body, ChunkedBody, EndlessBody, SizedBody
from edge.proxy.hop_by_hop import HARMLESS_OPTIONS, NOT_FORWARDED, connection_options
from edge.support.errors import UpstreamError

__all__ = [
    "CHUNKED",
    "UNTIL_CLOSE",
    "AnswerWriter",
    "BadResponse",
    "Response",
    "body_of",
    "connection_field",
    "parse_response",
    "render_again",
    "render_fields",
]

#: `Response.length` of bodies whose end the bytes themselves tell.
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: ([\t !-~\x80-\xff]*))?\r\n")
#: How names are spelt by an upstream, and what is done with such fields; more spellings than that are an attack.
MOST_NAMES: Final = 512
LONGEST_NAME: Final = 64


class BadResponse(UpstreamError):
    """The upstream's answer cannot be read in one way. The upstream is to blame; the visitor sees a 502."""


@dataclass(slots=True, init=False)  # never changed, yet not `frozen`; `__init__` by hand: docs/performance.md
class Response:
    """A response's head that has one reading only."""

    status: int
    line: bytes
    """The status line as it goes on, HTTP/1.1 and with its CRLF."""
    kept: bytes
    """The fields that go on to the visitor, rendered: all but framing, hop-by-hop and `Stanchion-*`."""
    to_edge: Headers
    """The `Stanchion-*` fields."""
    length: int
    """As the head tells it; whether there is a body at all depends on the request too."""
    keep_alive: bool
    has_date: bool
    upgrade: bytes
    """The `Upgrade` field of a 101."""
    names_fields: bool
    """`Connection` names fields of this answer, which end here."""

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


class _Collector:
    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


def parse_response(raw: bytes) -> Response:
    """raw: from the first byte of the status line to the empty line. Raises BadResponse."""
    line, status, is_http10 = _status(raw[: raw.find(b"\n") + 1])
    collector = _Collector()
    llhttp = httptools.HttpResponseParser(collector)
    try:
        llhttp.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as fault:
        raise BadResponse(str(fault)) from None
    fields = collector.fields
    if len(fields) != raw.count(b"\n") - 2:
        raise BadResponse("a header field is malformed")
    if raw.find(b" \r\n") >= 0 or raw.find(b"\t\r\n") >= 0:  # `in` tries a number first, by way of an exception
        fields = [(name, value.rstrip(b" \t")) for name, value in fields]  # no part of a value (RFC 9112, 5.1)
    return _read(status, line, is_http10, fields)


@lru_cache(maxsize=128)  # there are few, and a bad one is not remembered
def _status(line: bytes) -> tuple[bytes, int, bool]:
    """The status line as it goes on, the status, whether it is of HTTP/1.0. Raises BadResponse."""
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
_BY_NAME: Final[dict[bytes, int]] = {
    b"date": _DATE,
    b"content-length": _SIZED,
    b"connection": _CONNECTION,
    b"transfer-encoding": _CODING,
    b"upgrade": _UPGRADE,
}
_known_names: Final[dict[bytes, int]] = {}


def _use_of(name: bytes) -> int:
    """What is done with a field of this name."""
    low = name.lower()
    use = _BY_NAME.get(low, _DROPPED if low in NOT_FORWARDED else _KEPT)
    if low.startswith(b"stanchion-"):
        use = _TO_EDGE
    if len(_known_names) >= MOST_NAMES:
        _known_names.clear()
    if len(name) <= LONGEST_NAME:
        _known_names[name] = use
    return use


def _read(status: int, line: bytes, is_http10: bool, fields: list[tuple[bytes, bytes]]) -> Response:
    kept: list[bytes] = []
    to_edge: list[tuple[str, str]] = []
    sized: bytes | None = None
    coding: bytes | None = None
    connection = upgrade = b""
    has_date = False
    for name, value in fields:
        use = _known_names.get(name)
        if use is None:
            use = _use_of(name)
        if use <= _DATE:
            has_date = has_date or use == _DATE
            kept += (name, b": ", value, b"\r\n")
        elif use == _SIZED:
            if sized is not None:
                raise BadResponse("Content-Length is repeated")
            sized = value
        elif use == _CONNECTION:
            connection += b"," + value
        elif use == _CODING:
            coding = value if coding is None else b""
        elif use == _UPGRADE:
            upgrade = value
        elif use == _TO_EDGE:
            to_edge.append((name.decode(), value.decode("latin-1")))
    options = connection_options(connection) if connection else _NO_OPTIONS
    names_fields = not options <= HARMLESS_OPTIONS
    if names_fields:
        kept = _without(kept, options)
    return Response(
        status,
        line,
        b"".join(kept),
        tuple(to_edge),
        _length(sized, coding, is_http10),
        b"close" not in options and (not is_http10 or b"keep-alive" in options),
        has_date,
        upgrade,
        names_fields,
    )


_NO_OPTIONS: Final[frozenset[bytes]] = frozenset()
#: What `Connection` cannot take away, whatever it names.
_ENDS_OWN: Final = frozenset(
    (b"set-cookie", b"content-type", b"content-encoding", b"location", b"cache-control", b"date")
)


def _without(kept: list[bytes], options: frozenset[bytes]) -> list[bytes]:
    left: list[bytes] = []
    for at in range(0, len(kept), 4):
        name = kept[at].lower()
        if name not in options or name in _ENDS_OWN:
            left += kept[at : at + 4]
    return left


def _length(sized: bytes | None, coding: bytes | None, is_http10: bool) -> int:
    if coding is not None:
        if sized is not None or is_http10 or coding.lower() != b"chunked":
            raise BadResponse("the body's framing is ambiguous")
        return CHUNKED
    if sized is None:
        return UNTIL_CLOSE
    if not sized.isdigit() or len(sized) > 18:
        raise BadResponse("Content-Length is not a length")
    return int(sized)


def body_of(response: Response, method: str, *, is_http10: bool) -> tuple[Body, bytes]:
    """The body of an answer to such a request, and the line that frames it for the visitor.

    is_http10: the visitor's version, which knows no chunks: what has no length ends with the connection.
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
        return ChunkedBody(chunked=not is_http10, keeps_trailers=not response.names_fields), chunked
    return EndlessBody(chunked=not is_http10), chunked


def connection_field(*, keep_alive: bool, is_http10: bool) -> bytes:
    """The line that says whether the visitor's connection goes on, where its version does not say so."""
    if not keep_alive:
        return b"Connection: close\r\n"
    return b"Connection: keep-alive\r\n" if is_http10 else b""


def render_fields(headers: Headers) -> bytes:
    """Lines of a head."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")


#: The same for fields that come again: what is added to the upstream's answers is the same for most visitors.
render_again = lru_cache(maxsize=1024)(render_fields)


#: The end of a head with a short body, as all polls have.
#: The page in a content coding has some 3 kB.
READY_LENGTHS: Final = 8192
_LENGTHS: Final = [b"Content-Length: %d\r\n\r\n" % size for size in range(READY_LENGTHS)]


class AnswerWriter:
    """Writes the edge's own answers. Fields that many answers share are rendered once.

    They are known again as the same object, which costs less than comparing them; the table holds that object, so its
    id stays its own.
    """

    MOST = 1024

    def __init__(self) -> None:
        self._rendered: dict[int, tuple[Headers, bytes]] = {}

    def write(self, answer: Answer, date: bytes, connection: bytes, *, is_head: bool = False) -> bytes:
        """The whole response. date, connection: lines to add, with their CRLF; `is_head`: without the body."""
        status, headers, body = answer.status, answer.headers, answer.body
        known = self._rendered.get(id(headers) * 1000 + status)  # a pair would have to be made
        head = self._render(status, headers) if known is None else known[1]
        own = render_fields(answer.cookies) if answer.cookies else b""
        if status == 304:
            return b"%b%b%b%b\r\n" % (head, own, date, connection)
        size = len(body)
        # `%d` would be left to the interpreter by mypyc, and all of the line with it.
        length = _LENGTHS[size] if size < READY_LENGTHS else b"Content-Length: %b\r\n\r\n" % str(size).encode()
        if is_head:
            body = b""
        return b"%b%b%b%b%b%b" % (head, own, date, connection, length, body)

    def _render(self, status: int, headers: Headers) -> bytes:
        head = _status_line(status) + render_fields(headers)
        if len(self._rendered) >= self.MOST:
            self._rendered.clear()
        self._rendered[id(headers) * 1000 + status] = headers, head
        return head


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
