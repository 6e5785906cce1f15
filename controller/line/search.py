"""Find a place in a sorted list: `bisect_left` on machine numbers.

Compiled, the loop compares doubles and calls nothing; `bisect_left` compares objects. It wins 0.1 us of a look-up. Not
compiled, the loop is slower, so `bisect_left` does it. The end is tried first, because newcomers belong there.
"""

from bisect import bisect_left
from typing import Final

__all__ = ["left_of"]

IS_COMPILED: Final = not __file__.endswith(".py")
# Compiled code looks up an imported name in the module at each call, a final one not.
_left: Final = bisect_left


def left_of(keys: list[float], key: float) -> int:
    """Return how many of the sorted keys are less than `key`."""
    low, high = 0, len(keys)
    if not IS_COMPILED:
        return _left(keys, key)
    if high and keys[high - 1] < key:
        return high
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low
