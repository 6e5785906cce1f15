"""The head of a response is read as llhttp reads it, which is a strict parser that others trust."""

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.proxy.hop_by_hop import NOT_FORWARDED
from edge.proxy.response import BadResponse, parse_response

NAMES = st.sampled_from(
    [
        b"Content-Type",
        b"X-A",
        b"x_b",
        b"Set-Cookie",
        b"Date",
        b"",
        b"a b",
        b"X\xe4",
        b"X-A ",
        b" X-A",
        b"a\x00",
        b"(a)",
        b"!#",
    ]
)
VALUES = st.lists(
    st.sampled_from(
        [b"a", b"text/html", b" ", b"\t", b":", b"\xe4", b"\xff", b"\x00", b"\r", b"\x0b", b"\x7f", b"\x1f", b"="]
    ),
    max_size=6,
).map(b"".join)
LINES = st.builds(
    lambda name, colon, value: name + colon + value, NAMES, st.sampled_from([b":", b": ", b":\t ", b""]), VALUES
)
HEADS = st.lists(LINES, max_size=6).map(
    lambda lines: b"HTTP/1.1 200 OK\r\n" + b"".join(each + b"\r\n" for each in lines) + b"\r\n"
)


class Fields:
    """What llhttp calls back."""

    def __init__(self) -> None:
        self.all: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.all.append((name, value.strip(b" \t")))


def by_llhttp(raw: bytes) -> list[tuple[bytes, bytes]] | None:
    fields = Fields()
    try:
        httptools.HttpResponseParser(fields).feed_data(raw)
    except httptools.HttpParserError:
        return None
    # It reads a line that begins with white space as a part of the line before.
    return fields.all if len(fields.all) == raw.count(b"\n") - 2 else None


@settings(max_examples=800)
@given(HEADS)
def test_a_head_is_read_or_refused_as_by_llhttp(raw: bytes) -> None:
    expected = by_llhttp(raw)
    try:
        kept = parse_response(raw).kept
    except BadResponse:
        kept = None
    if expected is None:
        assert kept is None
    else:
        passed_on = [(name, value) for name, value in expected if name.lower() not in NOT_FORWARDED]
        assert kept == b"".join(name + b": " + value + b"\r\n" for name, value in passed_on)


@given(st.lists(st.tuples(st.sampled_from([b"X-A", b"Vary", b"ETag"]), st.binary(max_size=8)), max_size=5))
def test_a_field_of_text_is_always_read(fields: list[tuple[bytes, bytes]]) -> None:
    """The test above does not hold if every head is refused."""
    clean = [
        (name, value.translate(None, bytes([*range(9), *range(10, 32), 127])).strip(b" \t")) for name, value in fields
    ]
    raw = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % each for each in clean) + b"\r\n"
    assert parse_response(raw).kept == b"".join(b"%b: %b\r\n" % each for each in clean)
