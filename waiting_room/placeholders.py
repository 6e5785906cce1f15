"""A document of fixed bytes with slots between them, ready in every content coding: serving compresses nothing.

A slot has a width, and a shorter value is filled up with spaces. So all that stands behind it stays at its distance,
and the fixed bytes can be compressed once, across the slots, for everybody. A value goes between as a block that says
of itself that it is not compressed:

    gzip   [deflated][stored block: value]...[deflated] crc32, length      (RFC 1951, 3.2.4; RFC 1952)
    br     [compressed][uncompressed meta-block: value]...[compressed]     (RFC 7932, 9.2)

Both compressors end what they have on a whole byte when they are flushed. While they work, a slot holds a filler to
which nothing can refer: its bytes never occur in UTF-8, and no three of them come twice. The two fixed bytes behind a
slot travel in its block, for brotli chooses its codes by the two bytes before.
"""

import zlib
from collections.abc import Sequence
from typing import Final, Literal

import brotli

__all__ = ["CODINGS", "Coding", "PreparedDocument", "trailer"]

Coding = Literal["", "gzip", "br"]
CODINGS: Final[tuple[Coding, ...]] = ("", "gzip", "br")
"""'' is identity."""
#: Fixed bytes that travel in the block of the slot before them.
TAIL: Final = 2
#: Compressed once for thousands of visitors: the point from which on it gets slow without getting small.
GZIP_LEVEL, BROTLI_QUALITY, BROTLI_WINDOW = 9, 9, 16

_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"


def _filler(length: int) -> bytes:
    """Bytes that are never part of UTF-8, no three of them twice."""
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
            raise ValueError(f"slots of {length} bytes in all are too much")
        step += 5
    return bytes(out[:length])


def trailer(plain: bytes) -> bytes:
    """What stands behind a gzip body (RFC 1952, 2.3.1). plain: what was compressed."""
    return zlib.crc32(plain).to_bytes(4, "little") + len(plain).to_bytes(4, "little")


class PreparedDocument:
    """fixed: the bytes before, between and behind the slots. widths: of each slot, bytes."""

    __slots__ = ("_made", "fixed", "widths")

    def __init__(self, fixed: Sequence[bytes], widths: Sequence[int]) -> None:
        if len(fixed) != len(widths) + 1 or any(len(each) < TAIL for each in fixed[1:]):
            raise ValueError("a slot stands between fixed bytes, two of them behind it at least")
        self.fixed = tuple(fixed)
        self.widths = tuple(widths)
        self._made: dict[Coding, tuple[bytes, ...]] = {"": self.fixed}

    def pieces(self, coding: Coding) -> tuple[bytes, ...]:
        """What stands before, between and behind the slots in that coding; made when first asked for."""
        made = self._made.get(coding)
        if made is None:
            made = self._made[coding] = tuple(self._gzip() if coding == "gzip" else self._brotli())
        return made

    def parts(self, values: Sequence[bytes], coding: Coding) -> list[bytes]:
        """Pieces and values in turn, for `finish`. values: one a slot, each as wide as it."""
        parts = [b""] * (2 * len(values) + 1)
        parts[::2] = self.pieces(coding)
        parts[1::2] = values
        return parts

    def finish(self, parts: list[bytes], coding: Coding) -> bytes:
        """The document from its pieces and values in turn."""
        body = b"".join(parts)
        if coding != "gzip":
            return body
        plain = parts.copy()
        plain[::2] = self.fixed
        return body + trailer(b"".join(plain))

    def _runs(self) -> list[bytes]:
        """The fixed bytes, without those that travel with the slots."""
        return [self.fixed[0], *(each[TAIL:] for each in self.fixed[1:])]

    def _fillers(self) -> list[bytes]:
        filler, at, out = _filler(sum(self.widths)), 0, []
        for width, behind in zip(self.widths, self.fixed[1:], strict=True):
            out.append(filler[at : at + width] + behind[:TAIL])
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
            # Not the last (1 bit), four nibbles of length (2 bits), the length less one (16), not compressed (1).
            pieces.append(tail + piece + ((len(filler) - 1) << 3 | 1 << 19).to_bytes(3, "little"))
            packer.process(filler)
            packer.flush()
            tail = filler[-TAIL:]
        pieces.append(tail + packer.process(runs[-1]) + packer.finish())
        return pieces
