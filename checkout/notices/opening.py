"""Put the parts of the notices together, as the settings say."""

import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack

from aiohttp import ClientSession
from prometheus_client.core import CounterMetricFamily, Metric

from checkout.bus.bus import Bus
from checkout.bus.consumer import Consumer
from checkout.bus.opening import SALES
from checkout.catalogue.prices import Prices
from checkout.clock import wall_ms
from checkout.errors import ConfigurationError
from checkout.notices.channels import Channel, Smtp, Webhook
from checkout.notices.outbox import Outbox
from checkout.notices.planner import GROUP, Planner
from checkout.notices.requests import NoticeRequests
from checkout.notices.sender import RESULTS, Sender
from checkout.sale_list import SaleList
from checkout.settings import Address, NoticeSettings, ShopSettings

LEAST_SECRET = 16


class Notices:
    """The parts of one process: a consumer, a sender and the requests of visitors. Without a channel nothing runs."""

    def __init__(self, outbox: Outbox, consumer: Consumer, sender: Sender, requests: NoticeRequests) -> None:
        self.outbox = outbox
        self.consumer = consumer
        self.sender = sender
        self.requests = requests

    @property
    def are_sent(self) -> bool:
        """Whether there is a channel. Without one nobody plans notices."""
        return bool(self.sender.channels)

    def services(self) -> list[Coroutine[None, None, None]]:
        return [self.consumer.run(), self.sender.run()] if self.are_sent else []

    def metrics(self) -> list[Metric]:
        """Return the counts of this process since its start."""
        counter = CounterMetricFamily("shop_notices", "Attempts to send a notice", labels=["channel", "result"])
        for channel in self.sender.channels:
            for result in RESULTS:
                counter.add_metric([channel, result], self.sender.results[channel, result])
        return [counter]


async def open_notices(
    settings: ShopSettings, bus: Bus, sales: SaleList, prices: Prices, stack: AsyncExitStack
) -> Notices:
    """Open the outbox and the channels. Raises `ConfigurationError` and `StoreError`."""
    chosen = settings.notices
    channels = await _channels(chosen, stack)
    outbox = await Outbox.open(path_of(settings, bool(channels)))
    stack.push_async_callback(outbox.close)
    planner = Planner(outbox, sales, prices.terms, list(channels), round(chosen.ending_seconds * 1000), wall_ms)
    secret = os.environ.get(chosen.line_secret_env, "")
    return Notices(
        outbox,
        Consumer(bus, SALES, GROUP, planner.apply),
        Sender(outbox, channels, wall_ms),
        NoticeRequests(outbox, planner, sales, wall_ms, secret, settings.sale),
    )


def path_of(settings: ShopSettings, sends: bool) -> str:
    """Return the file of the outbox. Raises `ConfigurationError` if it would be forgotten and sent again."""
    engine = settings.engine
    if settings.notices.path:
        return settings.notices.path
    if engine.kind == "sqlite":
        return f"{engine.path}.notices" if engine.path != ":memory:" else ":memory:"
    if sends:
        raise ConfigurationError(
            f"notices.path: required with {engine.kind}, because an outbox in memory would send every notice again "
            "after a restart"
        )
    return ":memory:"


async def _channels(chosen: NoticeSettings, stack: AsyncExitStack) -> dict[str, Channel]:
    channels: dict[str, Channel] = {}
    if chosen.smtp:
        host, port = Address.parse(chosen.smtp)
        user = os.environ.get(chosen.smtp_user_env, "")
        password = os.environ.get(chosen.smtp_password_env, "")
        channels[Smtp.name] = Smtp(host, port, chosen.smtp_from, chosen.smtp_security, user, password)
    if chosen.webhook:
        name = chosen.webhook_secret_env
        secret = os.environ.get(name, "")
        if len(secret) < LEAST_SECRET:
            raise ConfigurationError(
                f"notices.webhook: the environment variable {name} must hold at least {LEAST_SECRET} characters"
            )
        session = await stack.enter_async_context(ClientSession())
        channels[Webhook.name] = Webhook(session, chosen.webhook, secret)
    return channels
