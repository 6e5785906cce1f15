"""Put the values of one visitor between the pieces of a page that is ready for all."""

from collections.abc import Callable
from typing import Final

from waiting_room.leaf import NATIVE

__all__ = ["filled"]

_Fill = Callable[[list[bytes], bytes, tuple[int, ...], tuple[bytes, ...]], bytes]
_native: Final[_Fill | None] = None if NATIVE is None else NATIVE.fill


def filled(parts: list[bytes], order: bytes, widths: tuple[int, ...], values: tuple[bytes, ...]) -> bytes:
    """Return all parts as one. Every second of them is empty and stands for a value, filled up with spaces.

    order: the index in `values` of each. widths: the least width of each.
    """
    return _filled(parts, order, widths, values) if _native is None else _native(parts, order, widths, values)


def _filled(parts: list[bytes], order: bytes, widths: tuple[int, ...], values: tuple[bytes, ...]) -> bytes:
    whole = parts.copy()
    at = 1
    for index, width in zip(order, widths, strict=True):
        whole[at] = values[index].ljust(width)
        at += 2
    return b"".join(whole)
