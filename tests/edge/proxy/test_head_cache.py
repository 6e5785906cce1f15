"""A head that is read by its template says exactly what a full parse says of it."""

import time
from dataclasses import fields
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.messages.head import RequestHead
from edge.messages.refusal import Refusal
from edge.proxy.head_cache import HeadCache, ParsedHead
from edge.settings.model import AbuseSettings
from edge.shield.shield import Shield
from edge.support.client_address import TrustedProxies
from tests.edge.decision.test_pipeline import KEYS, Edge
from tests.native_leaf import leaf
from waiting_room.ticket import new_ticket

TICKETS = [KEYS.seal(new_ticket("checkout", time.time(), bytes([at]) * 16)).encode() for at in range(3)]
HEADS = (
    b"GET /checkout HTTP/1.1\r\nHost: shop.test\r\nCookie: %b\r\nAccept: text/html\r\nUser-Agent: u\r\n"
    b"Accept-Language: de\r\nAccept-Encoding: br\r\nReferer: http://r/\r\nIf-None-Match: x\r\n"
    b"Sec-Fetch-Mode: cors\r\nX-Forwarded-Host: www.shop.test\r\n\r\n",
    b"GET /_stanchion/status?room=checkout HTTP/1.1\r\ncookie: %b\r\nHost: shop.test\r\nX: y\r\n\r\n",
    b"POST /checkout HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\nCookie: %b\r\n\r\n",
    b"GET /elsewhere HTTP/1.0\r\nHost: shop.test\r\nCookie: %b\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    b"GET /checkout HTTP/1.1\r\nHost: shop.test\r\nCookie: %b\r\ncookie: z=1\r\n\r\n",
    b"GET /checkout HTTP/1.1\r\nHost: shop.test\r\nX: %b\r\n\r\n",
)
COOKIES = (b"", b"a=b", *(b"x=1; stanchion_checkout=" + ticket for ticket in TICKETS), b"stanchion_checkout=junk")
#: Their pipelines only classify here, which changes no state.
OPEN = Edge()
SHIELDED = Edge(
    shield=Shield(
        AbuseSettings(deny=("10.0.0.2/32",), allow=("10.0.0.3/32",), newcomers_per_minute=60, visitor_per_minute=60)
    )
)


def head_cache(trusted: tuple[str, ...] = (), edge: Edge = OPEN, native: ModuleType | None = None) -> HeadCache:
    """native: the leaf, or None for the Python form."""
    return HeadCache(
        edge.pipeline, TrustedProxies(trusted), max_fields=100, max_target=8192, upstream_host=None, native=native
    )


def said(by: HeadCache, raw: bytes, peer: str) -> tuple[object, ...]:
    """Return all that a head says to the decision, to the connection and to the upstream (fields in any order)."""
    parsed = by.known(raw, peer) or by.read(raw, peer)
    if isinstance(parsed, Refusal):
        return (parsed,)
    line, *lines = by.forward_memo(parsed, raw).upstream_head.split(b"\r\n")
    context = parsed.context
    return (
        context.head,
        context.credential,
        context.room and context.room.name,
        context.answer,
        (context.wants_page, context.is_status_request, context.limits, context.watched),
        parsed.peer,
        parsed.framing,
        (line, sorted(lines)),
    )


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(HEADS),
    st.lists(st.sampled_from(COOKIES), min_size=1, max_size=4),
    st.one_of(st.sampled_from(COOKIES), st.binary(max_size=40)),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=2),
    st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), min_size=5, max_size=5),
    st.sampled_from([(), ("10.0.0.0/8",), ("10.0.0.1/32",)]),
    st.sampled_from([OPEN, SHIELDED]),
    st.booleans(),
)
def test_a_template_says_what_a_full_parse_says(
    head: bytes,
    before: list[bytes],
    cookie: bytes,
    changes: list[tuple[int, int]],
    peers: list[str],
    trusted: tuple[str, ...],
    edge: Edge,
    is_native: bool,
) -> None:
    """Any bytes as cookie, any bytes of the head changed, from another peer, after any heads with the same template.

    Both forms: the native leaf finds a template from the third head on."""
    warm = head_cache(trusted, edge, leaf() if is_native else None)
    for each, sender in zip(before, peers, strict=False):
        said(warm, head % each, sender)
    peer = peers[-1]
    raw = bytearray(head % cookie)
    for at, byte in changes:
        raw[at % (len(raw) - 4)] = byte
    raw_head = bytes(raw[: raw.index(b"\r\n\r\n") + 4])
    assert said(warm, raw_head, peer) == said(head_cache(trusted, edge), raw_head, peer)


@pytest.mark.parametrize("head", HEADS[:4])
def test_a_head_with_a_known_template_is_not_parsed(head: bytes) -> None:
    """Otherwise the test above would compare the parser with itself."""
    one = head_cache()
    first = one.read(head % COOKIES[1], "10.0.0.1")
    second = one.read(head % COOKIES[2], "10.0.0.2")
    assert isinstance(first, ParsedHead)
    assert isinstance(second, ParsedHead)
    assert (second.template, second.request) == (first.template, None)
    assert second.context.head.client_ip == "10.0.0.2"


def test_a_head_read_by_its_template_has_every_field() -> None:
    one = head_cache(("10.0.0.1",))
    for cookie in COOKIES[1:3]:
        parsed = one.read(HEADS[0] % cookie, "10.0.0.1")
        assert isinstance(parsed, ParsedHead)
        assert all(getattr(parsed.context.head, field.name) for field in fields(RequestHead))


@pytest.mark.parametrize("head", HEADS[:4])
def test_the_leaf_reads_a_head_with_a_known_template(head: bytes) -> None:
    """Otherwise the test above would compare the Python form with itself."""
    one = head_cache(native=leaf())
    read = [one.read(head % cookie, "10.0.0.1") for cookie in COOKIES[1:4]]
    assert one._find is not None
    found = one._find(head % COOKIES[4])
    assert isinstance(read[0], ParsedHead)
    assert found == (read[0].template, COOKIES[4].decode())


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_in_a_cookie_has_the_same_verdict(byte: int) -> None:
    one = head_cache(native=leaf())
    for _ in range(2):
        one.read(HEADS[0] % b"a=b", "10.0.0.1")
    raw = HEADS[0] % b"a=%bb" % bytes([byte])
    assert said(one, raw, "10.0.0.1") == said(head_cache(), raw, "10.0.0.1")


def test_templates_are_bounded() -> None:
    one = head_cache()
    for at in range(5000):
        one.read(b"GET /%d HTTP/1.1\r\nHost: shop.test\r\n\r\n" % at, "10.0.0.1")
    assert len(one.templates) <= 2048
