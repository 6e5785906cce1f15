"""The composition root: one place where a shop's parts are made, joined, started and ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from checkout.bank import Bank
from checkout.cashier import Cashier
from checkout.clock import AnchoredClock
from checkout.engines.sqlite import SqliteEngine
from checkout.inventory import Inventory
from checkout.settings import ShopSettings
from checkout.shop import Shop
from checkout.slots import Slots
from checkout.tasks import beside
from checkout.values import Sale
from checkout.writer import Writer


@dataclass(frozen=True, slots=True)
class RunningShop:
    """What a started shop shows: where it listens, and its inventory."""

    url: str
    inventory: Inventory


@asynccontextmanager
async def running_shop(settings: ShopSettings) -> AsyncIterator[RunningShop]:
    """A shop that serves until the block is left; requests under way are finished first."""
    engine = await SqliteEngine.open(settings.database)
    try:
        writer = Writer(engine)
        inventory = Inventory(engine, writer)
        async with beside(writer.run()):
            sale = _sale(settings)
            await inventory.open(sale)
            gateway = Bank(settings.capacity.seconds_per_checkout)
            app = web.Application(client_max_size=64 * 1024)
            Shop(
                sale,
                inventory,
                Cashier(inventory, gateway),
                Slots.for_capacity(settings.capacity),
                AnchoredClock(),
            ).add_to(app)
            runner = web.AppRunner(app, access_log=None, keepalive_timeout=75.0, shutdown_timeout=10.0)
            await runner.setup()
            try:
                site = web.TCPSite(runner, settings.listen.host, settings.listen.port, backlog=1024)
                await site.start()
                yield RunningShop(_url(runner), inventory)
            finally:
                await runner.cleanup()
    finally:
        await engine.close()


def _sale(settings: ShopSettings) -> Sale:
    product = settings.product
    return Sale(
        id=settings.sale_id,
        title=product.title,
        total=product.stock,
        price_cents=product.price_cents,
        currency=product.currency,
        opens_ms=0,
        closes_ms=0,
        hold_ms=round(product.hold_s * 1000),
        per_user=product.per_user,
    )


def _url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
