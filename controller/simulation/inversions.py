"""Counts pairs in the wrong order. Apart from the other measures, because the report of a real sale has no numpy."""

from bisect import bisect_left
from collections.abc import Sequence

__all__ = ["inversions"]


def inversions(values: Sequence[int]) -> int:
    """Count the pairs i < j with values[i] > values[j], in sorted chunks. O(n sqrt n) at worst.

    values: no value stands twice.
    """
    chunks: list[list[int]] = [[]]
    total = 0
    for value in values:
        for c in range(len(chunks) - 1, -1, -1):
            chunk = chunks[c]
            if chunk and chunk[0] > value and c > 0:
                total += len(chunk)
                continue
            at = bisect_left(chunk, value)
            total += len(chunk) - at
            chunk.insert(at, value)
            if len(chunk) > 2000:
                chunks[c : c + 1] = [chunk[:1000], chunk[1000:]]
            break
    return total
