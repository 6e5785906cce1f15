"""How a body is cut and passed on. No I/O: received bytes in, the bytes to write out.

    SizedBody      `Content-Length` bytes                     -> the same bytes
    ChunkedBody    chunks (RFC 9112, 7.1)                     -> new chunks, or plain bytes to HTTP/1.0
    EndlessBody    all bytes until the connection ends        -> chunks, or plain bytes to HTTP/1.0

`feed` takes received bytes and returns the bytes to pass on. `is_done` tells that the body has ended; `rest` then holds
the bytes behind it. Nothing is kept but an unfinished line of at most MAX_LINE bytes.

A visitor's chunks are read strictly and written anew: sizes are plain hexadecimal digits, every line ends in CRLF,
extensions are dropped, a trailer section has the grammar of a head and holds no field that routes or frames.

The upstream's are read as nginx and HAProxy read them (`is_lenient`): blanks behind a size (old Tomcats pad it),
leading zeros, and lines that end in LF alone. No other reading of such a chunk exists, and it is written anew too.
"""

import re
from abc import abstractmethod
from typing import ClassVar, Final

from edge.support.client_fields import ends_here, plain_name
from edge.support.errors import ClientError

__all__ = ["Body", "BodyFault", "BodyTooLarge", "ChunkedBody", "EndlessBody", "SizedBody"]

#: The longest line with a chunk's size and extensions; more is an attack (CVE-2023-39326: amplification by extensions).
MAX_LINE: Final = 256
#: The largest trailer section. llhttp and Go have limits of this order.
MAX_TRAILERS: Final = 8192

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t !-~\x80-\xff]*)?")
_LENIENT_SIZE_LINE: Final = re.compile(rb"0*([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t !-~\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t !-~\x80-\xff]*)")
#: Never allowed in trailers (RFC 9110, 6.5.1): framing, routing, authentication, cookies, the edge's commands.
_NOT_TRAILERS: Final = re.compile(
    rb"(?i:content-|transfer-encoding|trailer|te$|host$|connection|keep-alive|upgrade|expect|cookie|set-cookie"
    rb"|authorization|proxy-|www-authenticate|cache-control|age$|date$|location|range|vary|stanchion-|max-forwards)"
)

#: The states of a chunked body: the next byte belongs to this.
_IN_SIZE: Final = 0
_IN_DATA: Final = 1
_IN_DATA_END: Final = 2
_IN_TRAILERS: Final = 3


class BodyFault(ClientError):
    """The body breaks its own framing. Its sender is to blame: `Upstream` reports an upstream's as a cut response."""

    status: ClassVar[int] = 400
    """The status of the response if the visitor is the sender."""


class BodyTooLarge(BodyFault):
    """The body is larger than the limit."""

    status: ClassVar[int] = 413


class Body:
    """A base class rather than a Protocol, so that the compiled form finds attributes and methods by their places."""

    __slots__ = ("is_done", "rest")

    is_done: bool
    rest: bytes

    @abstractmethod
    def feed(self, data: bytes) -> bytes:
        """Return the bytes to pass on. Raises BodyFault."""

    @abstractmethod
    def end(self) -> bytes | None:
        """The connection ended: return the last bytes to pass on, or None if the body was cut short."""


class SizedBody(Body):
    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
            return data
        self._left = 0
        self.is_done = True
        if len(data) == left:
            return data
        self.rest = data[left:]
        return data[:left]

    def end(self) -> bytes | None:
        return b"" if self.is_done else None


class EndlessBody(Body):
    __slots__ = ("_is_chunked",)

    def __init__(self, *, chunked: bool) -> None:
        self._is_chunked = chunked
        self.is_done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked and data else data

    def end(self) -> bytes | None:
        self.is_done = True
        return b"0\r\n\r\n" if self._is_chunked else b""


class ChunkedBody(Body):
    """`chunked`: pass the body on in chunks. `most`: the largest content in bytes. `keeps_trailers`: pass on the fields
    behind the last chunk. It is False if `Connection` names fields, because they may be among the trailers.
    `is_lenient`: the sender is the upstream.
    """

    __slots__ = (
        "_is_chunked",
        "_is_lenient",
        "_keeps_trailers",
        "_left",
        "_most",
        "_state",
        "_trailer_bytes",
        "_trailers",
        "_unread_line",
    )

    def __init__(
        self, *, chunked: bool, most: int | None = None, keeps_trailers: bool = True, is_lenient: bool = False
    ) -> None:
        self._is_chunked = chunked
        self._is_lenient = is_lenient
        self._keeps_trailers = keeps_trailers
        self._most = most
        self._state = _IN_SIZE
        self._left = 0
        self._unread_line = b""
        self._trailers: list[bytes] = []
        self._trailer_bytes = 0
        self.is_done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        if self._unread_line:
            data, self._unread_line = self._unread_line + data, b""
        payload: list[bytes] = []
        at, size = 0, len(data)
        while at < size and not self.is_done:
            if self._state == _IN_DATA:
                piece = data[at : at + self._left]
                payload.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _IN_DATA_END
                continue
            most = MAX_TRAILERS if self._state == _IN_TRAILERS else MAX_LINE
            end = data.find(b"\n", at, at + most + 2)
            if end < 0:
                if size - at > most:
                    raise BodyFault("a line of the chunked body is too long")
                self._unread_line = data[at:]
                break
            if end > at and data[end - 1] == 13:
                self._line(data[at : end - 1])
            elif self._is_lenient:
                self._line(data[at:end])
            else:
                raise BodyFault("a line of the chunked body does not end in CRLF")
            at = end + 1
        if self.is_done:
            self.rest = data[at:]
        return self._written(payload)

    def end(self) -> bytes | None:
        return b"" if self.is_done else None

    def _line(self, line: bytes) -> None:
        if self._state == _IN_SIZE:
            size = (_LENIENT_SIZE_LINE if self._is_lenient else _SIZE_LINE).fullmatch(line)
            if size is None:
                raise BodyFault("a chunk's size is malformed")
            self._left = int(size[1], 16)
            if self._most is not None:
                self._most -= self._left
                if self._most < 0:
                    raise BodyTooLarge("the body is too large")
            self._state = _IN_DATA if self._left else _IN_TRAILERS
        elif self._state == _IN_DATA_END:
            if line:
                raise BodyFault("a chunk is longer than its size")
            self._state = _IN_SIZE
        elif line:
            self._trailer(line)
        else:
            self.is_done = True

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        field = _TRAILER.fullmatch(line)
        if field is None or self._trailer_bytes > MAX_TRAILERS:
            raise BodyFault("the trailer section is malformed")
        if self._keeps_trailers and _may_be_trailer(field[1]):
            self._trailers.append(b"%b: %b\r\n" % field.groups())

    def _written(self, payload: list[bytes]) -> bytes:
        data = payload[0] if len(payload) == 1 else b"".join(payload)
        if not self._is_chunked:
            return data
        parts = [b"%x\r\n" % len(data), data, b"\r\n"] if data else []
        if self.is_done:
            parts += (b"0\r\n", *self._trailers, b"\r\n")
        return b"".join(parts)


def _may_be_trailer(name: bytes) -> bool:
    low = name.lower()
    return _NOT_TRAILERS.match(plain_name(low)) is None and not ends_here(low)
