"""Bodies are cut where their framing says, in any pieces, and framing with two readings is refused."""

import itertools

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.proxy.body import BodyFault, ChunkedBody, EndlessBody, SizedBody

CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
CUTS = st.lists(st.integers(0, 400), max_size=8)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(min(each, len(data)) for each in cuts), len(data)]
    return [data[low:high] for low, high in itertools.pairwise(at)]


def wire(chunks: list[bytes], trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailers + b"\r\n"


@given(CHUNKS, CUTS, st.binary(max_size=20))
def test_chunks_in_any_pieces_give_the_same_content(chunks: list[bytes], cuts: list[int], behind: bytes) -> None:
    plain, again = ChunkedBody(chunked=False), ChunkedBody(chunked=True)
    out, rewritten, rest = b"", b"", b""
    for piece in cut(wire(chunks, b"X: 1\r\n") + behind, cuts):
        if plain.is_done:
            rest += piece
            continue
        out += plain.feed(piece)
        rewritten += again.feed(piece)
        rest += plain.rest
    assert plain.is_done
    assert out == b"".join(chunks)
    assert rest == behind
    reader = ChunkedBody(chunked=False)
    assert reader.feed(rewritten) == out
    assert reader.is_done
    assert rewritten.endswith(b"0\r\nX: 1\r\n\r\n")


@given(st.binary(max_size=100), st.binary(max_size=20), CUTS)
def test_a_sized_body_ends_after_its_length(body: bytes, behind: bytes, cuts: list[int]) -> None:
    sized = SizedBody(len(body))
    out, rest = b"", b""
    for piece in cut(body + behind, cuts):
        if sized.is_done:
            rest += piece
            continue
        out += sized.feed(piece)
        rest += sized.rest
    assert (out, rest, sized.is_done) == (body, behind, True)
    assert SizedBody(1).end() is None
    assert SizedBody(0).end() == b""


@settings(max_examples=2000, deadline=None)
@given(st.text('0123456789abcdefABCDEF \t;=\r\n\x00xX-+"é', max_size=30).map(lambda text: text.encode("latin-1")), CUTS)
def test_accepted_chunks_are_read_as_h11_reads_them(noise: bytes, cuts: list[int]) -> None:
    """And no cut of the bytes changes the result."""

    def ours(pieces: list[bytes]) -> bytes | None:
        body, out = ChunkedBody(chunked=False), b""
        try:
            for piece in pieces:
                if not body.is_done:
                    out += body.feed(piece)
        except BodyFault:
            return None
        return out if body.is_done else None

    data = noise + b"\r\n0\r\n\r\n"
    whole = ours([data])
    assert ours(cut(data, cuts)) == whole
    assert ours([data[at : at + 1] for at in range(len(data))]) == whole
    if whole is None:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    server.next_event()
    read = b""
    while isinstance(event := server.next_event(), h11.Data):
        read += event.data
    assert read == whole


@pytest.mark.parametrize(
    "name",
    [
        *("Content-Length", "Transfer-Encoding", "Host", "Cookie", "Set-Cookie", "X-Forwarded-For", "X-Stanchion-Room"),
        *(
            "X_Stanchion_Room",
            "x.stanchion.room",
            "X_Forwarded_For",
            "X-Original-URL",
            "Content_Length",
            "X_HTTP_Method",
        ),
    ],
)
def test_trailers_with_routing_framing_or_credentials_are_dropped(name: str) -> None:
    body = ChunkedBody(chunked=True)
    assert body.feed(b"0\r\n" + name.encode() + b": 1\r\nX-Sum: 2\r\n\r\n") == b"0\r\nX-Sum: 2\r\n\r\n"


def test_lines_and_trailers_are_bounded() -> None:
    with pytest.raises(BodyFault):
        ChunkedBody(chunked=True).feed(b"1;" + b"a" * 300)
    with pytest.raises(BodyFault):
        ChunkedBody(chunked=True).feed(b"0\r\n" + b"X: y\r\n" * 2000)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    assert EndlessBody(chunked=True).feed(b"abc") == b"3\r\nabc\r\n"
    assert EndlessBody(chunked=True).end() == b"0\r\n\r\n"
    assert EndlessBody(chunked=False).feed(b"abc") == b"abc"
    assert ChunkedBody(chunked=True).end() is None
