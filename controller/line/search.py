"""Find a place in a sorted list: `bisect_left` on machine numbers.

Compiled, the loop compares doubles and calls nothing; `bisect_left` compares objects. Not compiled, `bisect_left` is
faster. The end is tried first, because newcomers belong there.
"""

from typing import Final

from mypy_extensions import i64

__all__ = ["IS_COMPILED", "left_of"]

IS_COMPILED: Final = not __file__.endswith(".py")


def left_of(keys: list[float], key: float) -> int:
    """Return how many of the sorted keys are less than `key`."""
    low: i64 = 0
    high: i64 = len(keys)
    if high and keys[high - 1] < key:
        return high
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low
