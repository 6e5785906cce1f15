"""What a room may depend on, and lets nobody in without, if its settings say so.

    upstream   when_upstream_down   the circuit breaker is open (the data plane says so: `Pipeline.upstream_is_down`)
    redis      when_redis_down      the other machines cannot be heard
    stock      when_stock_unknown   the shop did not say its stock when it was asked last, or was never asked yet

'hold': nobody comes in, everybody keeps their place and appointments (fail closed). 'admit': on with what is known
(fail open). Who is in stays in, either way.
"""

from collections.abc import Mapping

from edge.settings.room import RoomSettings

__all__ = ["Dependencies"]


class Dependencies:
    """What one worker was told of them."""

    def __init__(self) -> None:
        self.needs_redis = False
        self.has_redis = False
        self._knows_stock: dict[str, bool] = {}

    def __repr__(self) -> str:
        redis = "up" if self.has_redis else "down" if self.needs_redis else "unused"
        return f"<Dependencies redis {redis}, stock {self._knows_stock}>"

    def hear_stock(self, known: Mapping[str, bool]) -> None:
        """Whether the stock is known, by room."""
        self._knows_stock.update(known)

    def missing(self, room: RoomSettings) -> tuple[str, ...]:
        """Those without which this room lets nobody in."""
        missing = []
        if room.when_redis_down == "hold" and self.needs_redis and not self.has_redis:
            missing.append("redis")
        if room.when_stock_unknown == "hold" and not self._knows_stock.get(room.name, False):
            missing.append("stock")
        return tuple(missing)
