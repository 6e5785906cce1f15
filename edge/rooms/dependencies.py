"""What a room may depend on: while a dependency is missing, the room holds if its settings say so.

    upstream   when_upstream_down   no server of the upstream answers (the proxy says so: `Room.set_upstream_down`)
    redis      when_redis_down      the other machines cannot be heard
    operator   mode                 an operator lets the room hold, or closed it
    stock      when_stock_unknown   the shop did not state its stock when it was last asked, or was never asked

'hold': the line stands still, and later goes on in order (fail closed). 'admit': go on with what is known (fail open).
Admitted visitors stay admitted either way.
"""

from collections.abc import Mapping

from edge.settings.room import RoomSettings

__all__ = ["Dependencies"]


class Dependencies:
    """The state of the dependencies, as one worker was told."""

    def __init__(self) -> None:
        self.needs_redis = False
        self.has_redis = False
        self._knows_stock: dict[str, bool] = {}

    def __repr__(self) -> str:
        redis = "up" if self.has_redis else "down" if self.needs_redis else "unused"
        return f"<Dependencies redis {redis}, stock {self._knows_stock}>"

    def use(self, *, needs_redis: bool) -> None:
        """Follow these settings from now on."""
        self.needs_redis = needs_redis

    def note_redis(self, *, is_up: bool) -> None:
        """Take note of whether the other machines can be heard."""
        self.has_redis = is_up

    def note_stock(self, is_known: Mapping[str, bool]) -> None:
        """Take note of whether the stock is known, by room."""
        self._knows_stock.update(is_known)

    def missing(self, room: RoomSettings) -> tuple[str, ...]:
        """Return the missing dependencies for which this room holds."""
        missing = ["operator"] if room.mode in ("hold", "closed") else []
        if room.when_redis_down == "hold" and self.needs_redis and not self.has_redis:
            missing.append("redis")
        if room.when_stock_unknown == "hold" and not self._knows_stock.get(room.name, False):
            missing.append("stock")
        return tuple(missing)
