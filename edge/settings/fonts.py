"""Read the first bytes of a font file: its format, and whether it has all weights.

    WOFF2 (W3C, 4)   "wOF2" ... the number of tables at byte 12, entries of varying length from byte 48 on
    WOFF  (W3C, 4)   "wOFF" ... the number of tables at byte 12, entries of 20 bytes from byte 44 on
    OpenType         00010000, "true" or "OTTO", the number of tables at byte 4, entries of 16 bytes from byte 12 on

A variable font has a table `fvar`. Its axes are not read: nearly all variable fonts have the axis of weights.
"""

from collections.abc import Iterator
from typing import Final

__all__ = ["ENDINGS", "read_font"]

#: By the first four bytes.
FORMATS: Final = {b"wOF2": "woff2", b"wOFF": "woff", b"\0\1\0\0": "ttf", b"true": "ttf", b"OTTO": "otf"}
ENDINGS: Final = ("woff2", "woff", "ttf", "otf")
#: The number of `fvar`, and of the tables with a transformed default form, in WOFF2's list of known tags.
FVAR, GLYF, LOCA, OTHER_TAG = 47, 10, 11, 63


def read_font(content: bytes) -> tuple[str, bool]:
    """Return the ending for the file's format, and whether the font is variable. Raises ValueError."""
    kind = FORMATS.get(content[:4])
    if kind is None:
        raise ValueError("is not a font: it must be WOFF2 (best), WOFF, TrueType or OpenType")
    try:
        tables = list(_tables(kind, content))
    except IndexError:
        raise ValueError("is cut off: its list of tables is not complete") from None
    if not tables:
        raise ValueError("has no tables, so it is not a font")
    return kind, b"fvar" in tables


def _tables(kind: str, content: bytes) -> Iterator[bytes]:
    if kind == "woff2":
        yield from _woff2_tables(content)
        return
    first, size = (44, 20) if kind == "woff" else (12, 16)
    for at in range(int.from_bytes(content[12:14] if kind == "woff" else content[4:6])):
        begin = first + size * at
        if begin + size > len(content):
            raise IndexError
        yield content[begin : begin + 4]


def _woff2_tables(content: bytes) -> Iterator[bytes]:
    at = 48
    for _ in range(int.from_bytes(content[12:14])):
        known, version = content[at] & 0x3F, content[at] >> 6
        at += 1
        tag = b"fvar" if known == FVAR else b""
        if known == OTHER_TAG:
            tag = content[at : at + 4]
            at += 4
        at = _past_number(content, at)
        is_transformed = version == 0 if known in (GLYF, LOCA) else version != 0
        if is_transformed:
            at = _past_number(content, at)
        yield tag


def _past_number(content: bytes, at: int) -> int:
    """Return the offset behind a number of the type UIntBase128: the last byte has no high bit."""
    while content[at] & 0x80:
        at += 1
    return at + 1
