"""Prepared documents: for all values, every coding unpacks to the same document."""

import gzip
import zlib

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waiting_room.placeholders import CODINGS, TAIL, Coding, PreparedDocument

WORDS = st.sampled_from(['<p class="a">', "the shop ", "place in line – ", "wait", "  ", "</p>\n", "0123456789", "é€𝄞"])
runs = st.lists(WORDS, min_size=2, max_size=60).map(lambda words: "".join(words).encode())
placeholders = st.tuples(st.integers(0, 90), runs)
values = st.binary(max_size=90)


def unpacked(body: bytes, coding: Coding) -> bytes:
    return {"": bytes, "gzip": gzip.decompress, "br": brotli.decompress}[coding](body)


@settings(max_examples=200, deadline=None)
@given(runs, st.lists(placeholders, max_size=12), st.lists(values, min_size=12, max_size=12))
def test_every_coding_unpacks_to_the_same(
    first: bytes, after: list[tuple[int, bytes]], given_values: list[bytes]
) -> None:
    """That holds also for values that repeat the text around them, and for values that are not text."""
    page = PreparedDocument([first, *(run for _, run in after)], [width for width, _ in after])
    filled = [value[:width].ljust(width) for value, (width, _) in zip(given_values, after, strict=False)]
    whole = b"".join([first, *(piece for value, (_, run) in zip(filled, after, strict=True) for piece in (value, run))])
    for coding in CODINGS:
        assert unpacked(page.finish(page.parts(filled, coding), coding), coding) == whole


@given(runs, st.integers(0, 64), values)
def test_a_value_that_repeats_the_fixed_text_is_harmless(run: bytes, width: int, value: bytes) -> None:
    """The text before, in and after a placeholder is the same; the references of the coding must not depend on it."""
    page = PreparedDocument([run, run, run], [width, width])
    filled = [run[:width].ljust(width), value[:width].ljust(width)]
    for coding in CODINGS:
        assert (
            unpacked(page.finish(page.parts(filled, coding), coding), coding) == run + filled[0] + run + filled[1] + run
        )


def test_all_values_use_the_same_compressed_pieces() -> None:
    """Nothing is compressed for a second value."""
    page = PreparedDocument([b"<p>a</p>" * 50, b"<p>b</p>" * 50], [8])
    for coding in CODINGS:
        one, other = (page.parts([value], coding) for value in (b"1       ", b"zzzzzzzz"))
        assert one[::2] == other[::2]
        assert all(a is b for a, b in zip(one[::2], other[::2], strict=True))


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_a_compressed_document_is_smaller(coding: Coding) -> None:
    page = PreparedDocument([b"the quick brown fox " * 100, b"jumps over the lazy dog " * 100], [8])
    assert len(page.finish(page.parts([b"x" * 8], coding), coding)) < 300


def test_a_changed_value_breaks_the_checksum() -> None:
    """The checksum of gzip covers the values."""
    page = PreparedDocument([b"before", b"behind"], [4])
    body = bytearray(page.finish(page.parts([b"abcd"], "gzip"), "gzip"))
    body[body.index(b"abcd")] ^= 1
    with pytest.raises((OSError, zlib.error)):
        gzip.decompress(bytes(body))


@pytest.mark.parametrize(("fixed", "widths"), [([b"aa"], [1]), ([b"aa", b"b"], [1]), ([b"aa", b"bb", b"cc"], [1])])
def test_a_placeholder_needs_fixed_bytes_after_it(fixed: list[bytes], widths: list[int]) -> None:
    with pytest.raises(ValueError, match=f"two|{TAIL}"):
        PreparedDocument(fixed, widths)


def test_too_many_placeholders_raise() -> None:
    """The bytes that UTF-8 never uses make 2,197 triples, so the length of all fillers is bounded."""
    with pytest.raises(ValueError, match="too many"):
        PreparedDocument([b"aa", b"bb"], [5000]).pieces("br")
