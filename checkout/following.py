"""What follows the events of a shop: the relay of the trail, the best sellers, the notices, and their metrics."""

from collections.abc import Coroutine
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
from checkout.notices.opening import Notices, open_notices
from checkout.sale_list import SaleList
from checkout.settings import ShopSettings


@dataclass(frozen=True, slots=True)
class Following:
    """The parts of one process. `services` must run."""

    bus: Bus
    relay: Relay
    leaderboard: Leaderboard
    notices: Notices
    bus_metrics: BusMetrics

    @classmethod
    async def open(cls, settings: ShopSettings, engine: Engine, sales: SaleList, stack: AsyncExitStack) -> "Following":
        """Open the event bus and everything that hangs on it. Raises `ConfigurationError` and `StoreError`."""
        bus = await open_bus(settings)
        stack.push_async_callback(bus.close)
        relay = Relay(bus, SALES, trail(engine))
        notices = await open_notices(settings, bus, sales, stack)
        metrics = BusMetrics(bus, relay, [notices.consumer] if notices.sender.channels else [])
        return cls(bus, relay, Leaderboard(bus, sales, wall_ms), notices, metrics)

    def services(self) -> list[Coroutine[None, None, None]]:
        """Return the services. Without a channel nobody plans notices."""
        counting = [self.relay.run(), repeat(self.leaderboard.step, COUNT_EVERY_S)]
        if not self.notices.sender.channels:
            return counting
        return [*counting, self.notices.consumer.run(), self.notices.sender.run()]

    def add_to(self, app: web.Application) -> None:
        self.leaderboard.add_to(app)
        self.notices.requests.add_to(app)

    async def metrics(self) -> list[Metric]:
        """Return the metrics of these parts."""
        return [self.leaderboard.metric(), *await self.bus_metrics.collect(), *self.notices.metrics()]
