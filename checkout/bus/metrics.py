"""What the shop's metrics say about the bus and the notices."""

from collections.abc import Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from checkout.bus.bus import Bus
from checkout.bus.consumer import Consumer
from checkout.bus.relay import Relay
from checkout.errors import StoreError


class BusMetrics:
    """Read when they are asked for. If the bus does not answer, its numbers are left out and `shop_bus_up` is 0."""

    def __init__(self, bus: Bus, relays: Sequence[Relay], consumers: Sequence[Consumer]) -> None:
        self._bus = bus
        self._relays = relays
        self._consumers = consumers

    async def collect(self) -> list[Metric]:
        up = GaugeMetricFamily("shop_bus_up", "1 if the event bus answers, else 0")
        lag = GaugeMetricFamily("shop_bus_lag", "Messages that a group is not done with", labels=["topic", "group"])
        dead = GaugeMetricFamily("shop_bus_dead_letters", "Messages that a group gave up", labels=["topic", "group"])
        failed = CounterMetricFamily(
            "shop_bus_failures", "Messages that a consumer could not apply at a try", labels=["topic", "group"]
        )
        blocked = GaugeMetricFamily(
            "shop_relay_blocked", "1 if store and event bus have different histories", labels=["topic"]
        )
        for relay in self._relays:
            blocked.add_metric([relay.topic], int(relay.is_blocked))
        behind = GaugeMetricFamily("shop_relay_behind", "Events of the store that the bus lacks", labels=["topic"])
        metrics: list[Metric] = [up, lag, dead, failed, blocked, behind]
        try:
            for relay in self._relays:
                behind.add_metric([relay.topic], await relay.behind())
            for consumer in self._consumers:
                names = [consumer.topic, consumer.group]
                state = await self._bus.state(*names)
                lag.add_metric(names, state.lag)
                dead.add_metric(names, state.dead)
                failed.add_metric(names, consumer.failed)
        except StoreError:
            up.add_metric([], 0)
        else:
            up.add_metric([], 1)
        return metrics
