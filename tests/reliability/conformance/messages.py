"""Reads HTTP/1.1 messages from bytes, to judge them. Lenient, and without code of the edge's own reader.

    bytes -> Message, Message, ... and the bytes that belong to none

A message that is not whole has `is_whole` False and ends the reading. Chunked bodies are decoded, trailers kept apart.
"""

from dataclasses import dataclass, field

__all__ = ["Message", "read_messages"]


@dataclass
class Message:
    line: bytes
    fields: list[tuple[bytes, bytes]]
    """Names in lower case, values without white space around them."""
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    is_whole: bool = True
    raw_head: bytes = b""

    @property
    def status(self) -> int:
        word = self.line.split(b" ")[1:2]
        return int(word[0]) if word and word[0].isdigit() else 0

    def all(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.fields if each == name]

    def __contains__(self, name: bytes) -> bool:
        return bool(self.all(name))

    def options(self) -> set[bytes]:
        """The members of `Connection`, in lower case."""
        return {option.strip().lower() for value in self.all(b"connection") for option in value.split(b",")} - {b""}


def read_messages(received: bytes, *, bodiless: bool = False, ended: bool = False) -> tuple[list[Message], bytes]:
    """All messages of one direction of a connection, and the bytes that belong to none.

    bodiless: they answer HEAD. ended: nothing will follow, so that a body without a length is whole.
    """
    found: list[Message] = []
    rest = received
    while rest:
        head, end, behind = rest.partition(b"\r\n\r\n")
        if not end:
            break
        first, *lines = head.split(b"\r\n")
        fields = [(name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)]
        message = Message(first, fields, raw_head=head)
        found.append(message)
        rest = _body(message, behind, bodiless=bodiless, ended=ended)
        if not message.is_whole:
            break
    return found, rest


def _body(message: Message, behind: bytes, *, bodiless: bool, ended: bool) -> bytes:
    """Fill in the body; return the bytes behind it."""
    is_answer = message.line.startswith(b"HTTP/")
    if is_answer and (bodiless or message.status < 200 or message.status in (204, 304)):
        return behind
    lengths = message.all(b"content-length")
    if any(b"chunked" in value.lower() for value in message.all(b"transfer-encoding")):
        return _chunks(message, behind)
    if lengths and lengths[0].isdigit():
        length = int(lengths[0])
        message.body, message.is_whole = behind[:length], len(behind) >= length
        return behind[length:]
    if is_answer:
        message.body, message.is_whole = behind, ended
        return b""
    return behind


def _chunks(message: Message, behind: bytes) -> bytes:
    message.is_whole = False
    while True:
        line, end, after = behind.partition(b"\r\n")
        try:
            size = int(line.partition(b";")[0].strip(), 16)
        except ValueError:
            return behind
        if not end:
            return behind
        if not size:
            break
        if len(after) < size + 2:
            message.body += after[:size]
            return b""
        message.body += after[:size]
        behind = after[size + 2 :]
    trailers, end, rest = (b"\r\n" + after).partition(b"\r\n\r\n")
    if end:
        message.is_whole = True
        lines = trailers.split(b"\r\n")[1:]
        message.trailers = [
            (name.lower(), value.strip()) for name, _, value in (each.partition(b":") for each in lines)
        ]
    return rest
