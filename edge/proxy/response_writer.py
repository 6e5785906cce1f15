"""Writes the edge's own responses, and fields that the edge adds to the upstream's. Pure: values -> bytes."""

from functools import lru_cache
from http import HTTPStatus
from typing import Final

from mypy_extensions import i64

from edge.messages.verdict import Answer, Headers

__all__ = ["ResponseWriter", "connection_field", "render_again", "render_fields"]

#: The end of a head with a body shorter than this, ready made: all status documents, and the page in a content
#: coding, which has some 3 kB.
READY_LENGTHS: Final = 8192
_LENGTHS: Final = [b"Content-Length: %d\r\n\r\n" % size for size in range(READY_LENGTHS)]
#: Rendered heads that are kept.
MOST_RENDERED: Final = 1024


def connection_field(*, keep_alive: bool, is_http10: bool) -> bytes:
    """Return the line that says whether the visitor's connection stays open, or b'' if their version implies it."""
    if not keep_alive:
        return b"Connection: close\r\n"
    return b"Connection: keep-alive\r\n" if is_http10 else b""


def render_fields(headers: Headers) -> bytes:
    """Return the fields as lines of a head."""
    if len(headers) == 1:  # a ticket alone, as in most answers with cookies
        [(name, value)] = headers
        return f"{name}: {value}\r\n".encode("latin-1")
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")


#: The same for fields that come again: what is added to the upstream's responses is the same for most visitors.
render_again = lru_cache(maxsize=1024)(render_fields)


class ResponseWriter:
    """Renders fields once that many answers share.

    They are recognised as the same object, which costs less than comparing them. The table holds that object, so no
    other object can have its id.
    """

    def __init__(self) -> None:
        self._rendered: dict[int, tuple[Headers, bytes]] = {}

    def __repr__(self) -> str:
        return f"<ResponseWriter {len(self._rendered)} rendered heads>"

    def write(self, answer: Answer, date: bytes, connection: bytes, *, is_head: bool = False) -> bytes:
        """Return the whole response, without the body if `is_head`.

        `date` and `connection` are lines to add, with their CRLF.
        """
        status, headers, body = answer.status, answer.headers, answer.body
        # One number as key, because a pair would have to be allocated.
        key: i64 = id(headers)
        key = key * 1000 + status
        rendered = self._rendered.get(key)
        head = self._render(status, headers, key) if rendered is None else rendered[1]
        cookies = render_fields(answer.cookies) if answer.cookies else b""
        if status == 304 or status == 204:  # neither has a length (RFC 9110, 8.6)
            return b"%b%b%b%b\r\n" % (head, cookies, date, connection)
        size = len(body)
        # mypyc compiles `%b` but leaves `%d`, and with it the whole line, to the interpreter.
        length = _LENGTHS[size] if size < READY_LENGTHS else b"Content-Length: %b\r\n\r\n" % str(size).encode()
        if is_head:
            body = b""
        return b"%b%b%b%b%b%b" % (head, cookies, date, connection, length, body)

    def _render(self, status: int, headers: Headers, key: int) -> bytes:
        head = _status_line(status) + render_fields(headers)
        if len(self._rendered) >= MOST_RENDERED:
            self._rendered.clear()
        self._rendered[key] = headers, head
        return head


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
