"""A head means the same whatever was read before, and a stricter reader agrees with every accepted head."""

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.messages.refusal import Refusal
from edge.proxy.request import CHUNKED, Request, RequestParser, end_of_head

GOOD = b"GET /checkout?a=1 HTTP/1.1\r\nHost: shop.example\r\nCookie: a=1\r\nAccept: text/html\r\nCookie: b=2\r\n\r\n"
SHARED = RequestParser()


def read(raw: bytes) -> Request | Refusal:
    """Read with a parser that has read many heads and with a new one: the result must be the same."""
    shared, fresh = SHARED.parse(raw), RequestParser().parse(raw)
    assert shared == fresh
    return fresh


def test_a_good_head_is_read() -> None:
    request = read(GOOD)
    assert isinstance(request, Request)
    assert (request.method, request.target, request.length, request.keep_alive) == ("GET", "/checkout?a=1", 0, True)
    assert request.text(b"cookie") == "a=1; b=2"
    assert request.fields[1] == (b"Cookie", b"a=1")
    assert not request.upgrades
    assert not request.expects_continue


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"Content-Length: 5", {"length": 5}),
        (b"content-length:0", {"length": 0}),
        (b"Transfer-Encoding: Chunked", {"length": CHUNKED}),
        (b"Connection: close", {"keep_alive": False}),
        (b"Connection: Keep-Alive, CLOSE", {"keep_alive": False}),
        (b"Connection: upgrade\r\nUpgrade: websocket", {"upgrades": True}),
        (b"Upgrade: websocket", {"upgrades": False}),
        (b"Connection: upgrade\r\nUpgrade: h2c", {"upgrades": False}),
        (b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1", {"upgrades": False}),
        (b"Content-Length: 1\r\nExpect: 100-Continue", {"expects_continue": True}),
        (b"Expect: 100-continue", {"expects_continue": False}),
    ],
)
def test_fields_that_concern_the_connection_are_read(lines: bytes, expected: dict[str, object]) -> None:
    request = read(b"POST / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n")
    assert isinstance(request, Request)
    assert {name: getattr(request, name) for name in expected} == expected


def test_http_1_0_closes_unless_asked() -> None:
    closes = read(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    stays = read(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    assert isinstance(closes, Request)
    assert isinstance(stays, Request)
    assert (closes.keep_alive, stays.keep_alive) == (False, True)


TOKEN = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
NAMES = st.sampled_from(
    ["Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "Cookie", "Expect", "Upgrade", "X"]
)
VALUES = st.one_of(
    st.sampled_from(["a", "5", "0", "chunked", "close", "keep-alive", "upgrade", "100-continue", "", "a,b", "+1"]),
    st.text('abc019 ,:;=\t"\\\x00\x01\x7f\x80\xff\r\n', max_size=8),
)
HEADS = st.builds(
    lambda method, target, version, fields: (
        f"{method} {target} HTTP/{version}\r\n" + "".join(f"{name}:{value}\r\n" for name, value in fields) + "\r\n"
    ).encode("latin-1"),
    st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "CONNECT", "get", "X"]),
    st.sampled_from(["/", "/a?b", "*", "http://a/", "http://b/", "//a", "/a b", "/\x80", "a"]),
    st.sampled_from(["1.1", "1.1", "1.1", "1.0", "2.0"]),
    st.lists(st.tuples(st.one_of(NAMES, NAMES, TOKEN), VALUES), max_size=6).map(
        lambda f: [("Host", "a"), *f][: len(f) + 1]
    ),
)


@settings(max_examples=2000, deadline=None)
@given(HEADS)
def test_an_accepted_head_has_one_reading(raw: bytes) -> None:
    """h11, which was written against the same attacks, reads it in the same way."""
    head_end = raw.index(b"\r\n\r\n") + 4
    request = read(raw[:head_end])
    if isinstance(request, Refusal):
        assert 400 <= request.status < 600
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(raw[:head_end])
    event = server.next_event()
    assert isinstance(event, h11.Request)
    assert event.method.decode() == request.method
    sent = [(name.lower(), value) for name, value in request.fields]
    assert [(name, value.strip()) for name, value in event.headers.raw_items() for name in [name.lower()]] == sent
    hosts = [value for name, value in sent if name == b"host"]
    assert len(hosts) == 1
    lengths = [value for name, value in sent if name == b"content-length"]
    codings = [value for name, value in sent if name == b"transfer-encoding"]
    assert len(lengths) + len(codings) <= 1
    if request.target != event.target.decode():
        assert event.target.startswith(b"http://")


@settings(max_examples=2000, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_any_change_of_one_byte_is_read_anew_or_refused(at: int, byte: int) -> None:
    """No state of the parser survives a head, neither a good one nor a broken one."""
    changed = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    end = changed.find(b"\r\n\r\n")
    if end >= 0:
        read(changed[: end + 4])
    assert isinstance(read(GOOD), Request)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_request_or_a_refusal(noise: bytes) -> None:
    read(noise + b"\r\n\r\n")


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=40))
def test_a_head_ends_at_its_empty_line_and_not_before(cut: int, behind: bytes) -> None:
    """An incomplete head is waited for, also if it is cut between CR and LF."""
    assert end_of_head(GOOD + behind, 1000) == len(GOOD)
    assert end_of_head(GOOD[:cut], 1000) == 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 100, 431),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 100 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 100, 414),
        (b"GET / HTTP/1.1\n", 400),
        (b"\x16\x03\x01", 400),
        (b" GET /", 400),
    ],
)
def test_bytes_that_cannot_become_a_head_are_refused_before_its_end(data: bytes, status: int) -> None:
    found = end_of_head(data, 100)
    assert isinstance(found, Refusal)
    assert found.status == status
