"""The body of a request that the edge has answered itself: nobody wants it, and it is read at its minimum rate.

Many clients read the response only after they have sent everything: a connection that is closed before would lose it.
"""

from edge.proxy.minimum_rate import MinimumRate
from edge.proxy.state import ProxyState

__all__ = ["UnwantedBody"]


class UnwantedBody:
    """`length`: the bytes that are still to come."""

    __slots__ = ("_left", "_rate", "_state")

    def __init__(self, state: ProxyState, length: int) -> None:
        limits = state.limits
        self._state = state
        self._left = length
        self._rate = MinimumRate(limits.body_bytes_per_second, limits.body_s, state.now)

    @property
    def is_over(self) -> bool:
        return self._left <= 0

    @property
    def due(self) -> float:
        """When the sender is too slow, on the clock of the state."""
        return self._rate.due

    def skip(self, data: bytes) -> bytes:
        """Drop bytes of the body; return those behind it."""
        skipped = min(self._left, len(data))
        self._left -= skipped
        self._rate.came(skipped, self._state.now)
        return data[skipped:]
