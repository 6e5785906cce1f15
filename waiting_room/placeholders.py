"""A prepared document: fixed bytes with placeholders between them, ready in every content coding.

Rule: no compression while serving. A placeholder has a fixed width, and shorter values are filled up with spaces. So
everything after it keeps its distance, and the fixed bytes are compressed once, across the placeholders, for all
visitors. A value is inserted as a block that is marked as not compressed:

    gzip   [deflated][stored block: value]...[deflated] crc32, length      (RFC 1951, 3.2.4; RFC 1952)
    br     [compressed][uncompressed meta-block: value]...[compressed]     (RFC 7932, 9.2)

Both compressors finish on a whole byte when they are flushed. While they run, a placeholder contains a filler that
nothing can refer to: its bytes never occur in UTF-8, and no three of them occur twice. The two fixed bytes after a
placeholder are a part of its block, because brotli chooses its codes by the two previous bytes.
"""

import zlib
from collections.abc import Sequence
from typing import Final, Literal

import brotli

__all__ = ["CODINGS", "Coding", "PreparedDocument", "trailer"]

Coding = Literal["", "gzip", "br"]
CODINGS: Final[tuple[Coding, ...]] = ("", "gzip", "br")
"""'' is the identity coding."""
#: The fixed bytes that are a part of the block of the placeholder before them.
TAIL: Final = 2
#: The documents are compressed once for thousands of visitors; higher levels are much slower and hardly smaller.
GZIP_LEVEL, BROTLI_QUALITY, BROTLI_WINDOW = 9, 9, 16

_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"


def _filler(length: int) -> bytes:
    """Return bytes that never occur in UTF-8, no three of them twice."""
    symbols = (0xC0, 0xC1, *range(0xF5, 0x100))
    out = bytearray(symbols[:2])
    seen: set[bytes] = set()
    step = 0
    while len(out) < length:
        for at in range(len(symbols)):
            three = bytes((*out[-2:], symbols[(step + at) % len(symbols)]))
            if three not in seen:
                seen.add(three)
                out.append(three[2])
                break
        else:
            raise ValueError(f"placeholders of {length} bytes in total are too many")
        step += 5
    return bytes(out[:length])


def trailer(plain: bytes) -> bytes:
    """Return the trailer of a gzip body (RFC 1952, 2.3.1). plain: the bytes before compression."""
    return zlib.crc32(plain).to_bytes(4, "little") + len(plain).to_bytes(4, "little")


class PreparedDocument:
    """A document with placeholders.

    fixed: the bytes before, between and after the placeholders. widths: the width of each placeholder in bytes.
    """

    __slots__ = ("_pieces", "fixed", "widths")

    def __init__(self, fixed: Sequence[bytes], widths: Sequence[int]) -> None:
        if len(fixed) != len(widths) + 1 or any(len(each) < TAIL for each in fixed[1:]):
            raise ValueError("a placeholder needs fixed bytes before it, and at least two after it")
        self.fixed = tuple(fixed)
        self.widths = tuple(widths)
        self._pieces: dict[Coding, tuple[bytes, ...]] = {"": self.fixed}

    def pieces(self, coding: Coding) -> tuple[bytes, ...]:
        """Return the bytes before, between and after the placeholders in a coding. They are made at the first call."""
        pieces = self._pieces.get(coding)
        if pieces is None:
            pieces = self._pieces[coding] = tuple(self._gzip() if coding == "gzip" else self._brotli())
        return pieces

    def parts(self, values: Sequence[bytes], coding: Coding) -> list[bytes]:
        """Return pieces and values in turn, for `finish`. values: one for each placeholder, each of its width."""
        parts = [b""] * (2 * len(values) + 1)
        parts[::2] = self.pieces(coding)
        parts[1::2] = values
        return parts

    def finish(self, parts: list[bytes], coding: Coding) -> bytes:
        """Return the document from its pieces and values in turn."""
        body = b"".join(parts)
        if coding != "gzip":
            return body
        plain = parts.copy()
        plain[::2] = self.fixed
        return body + trailer(b"".join(plain))

    def _runs(self) -> list[bytes]:
        """Return the fixed bytes, without those that are a part of a placeholder's block."""
        return [self.fixed[0], *(each[TAIL:] for each in self.fixed[1:])]

    def _fillers(self) -> list[bytes]:
        """Return the filler of each placeholder with the fixed bytes of its block."""
        filler, at, out = _filler(sum(self.widths)), 0, []
        for width, after in zip(self.widths, self.fixed[1:], strict=True):
            out.append(filler[at : at + width] + after[:TAIL])
            at += width
        return out

    def _gzip(self) -> list[bytes]:
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        runs = self._runs()
        pieces, tail = [], _GZIP_HEAD
        for run, filler in zip(runs, self._fillers(), strict=False):
            piece = packer.compress(run) + packer.flush(zlib.Z_SYNC_FLUSH)
            size = len(filler)
            pieces.append(tail + piece + b"\0" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little"))
            packer.compress(filler)
            packer.flush(zlib.Z_SYNC_FLUSH)
            tail = filler[-TAIL:]
        pieces.append(tail + packer.compress(runs[-1]) + packer.flush())
        return pieces

    def _brotli(self) -> list[bytes]:
        packer = brotli.Compressor(mode=brotli.MODE_TEXT, quality=BROTLI_QUALITY, lgwin=BROTLI_WINDOW)
        runs = self._runs()
        pieces, tail = [], b""
        for run, filler in zip(runs, self._fillers(), strict=False):
            piece = packer.process(run) + packer.flush()
            # Not the last (1 bit), four nibbles of length (2 bits), length minus one (16 bits), uncompressed (1 bit).
            pieces.append(tail + piece + ((len(filler) - 1) << 3 | 1 << 19).to_bytes(3, "little"))
            packer.process(filler)
            packer.flush()
            tail = filler[-TAIL:]
        pieces.append(tail + packer.process(runs[-1]) + packer.finish())
        return pieces
