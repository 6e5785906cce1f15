"""What follows the events of a shop: the relay of the trail, the best sellers, and the metrics of all that."""

from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from aiohttp import web
from prometheus_client.core import Metric

from checkout.bus.bus import Bus
from checkout.bus.metrics import BusMetrics
from checkout.bus.opening import SALES, open_bus, trail
from checkout.bus.relay import Relay
from checkout.clock import wall_ms
from checkout.engines.engine import Engine
from checkout.expiry import repeat
from checkout.leaderboard import COUNT_EVERY_S, Leaderboard
from checkout.notices.opening import Notices
from checkout.sale_list import SaleList
from checkout.settings import ShopSettings


@dataclass(frozen=True, slots=True)
class Following:
    """The event bus of one process and what counts from it. `services` must run."""

    bus: Bus
    relay: Relay
    leaderboard: Leaderboard

    @classmethod
    async def open(cls, settings: ShopSettings, engine: Engine, sales: SaleList, stack: AsyncExitStack) -> "Following":
        """Open the event bus. Raises `ConfigurationError` and `StoreError`."""
        bus = await open_bus(settings)
        stack.push_async_callback(bus.close)
        return cls(bus, Relay(bus, SALES, trail(engine)), Leaderboard(bus, sales, wall_ms))

    def services(self) -> list[Coroutine[None, None, None]]:
        return [self.relay.run(), repeat(self.leaderboard.step, COUNT_EVERY_S)]

    def add_to(self, app: web.Application) -> None:
        self.leaderboard.add_to(app)


class EventMetrics:
    """The metrics of everything that hangs on the events."""

    def __init__(self, following: Following, relays: Sequence[Relay], notices: Notices) -> None:
        """relays: those of other stores than the trail."""
        self._leaderboard = following.leaderboard
        self._notices = notices
        consumers = [notices.consumer] if notices.are_sent else []
        self._bus = BusMetrics(following.bus, [following.relay, *relays], consumers)

    async def collect(self) -> list[Metric]:
        return [self._leaderboard.metric(), *await self._bus.collect(), *self._notices.metrics()]
