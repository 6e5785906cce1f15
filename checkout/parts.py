"""A shop with its stock in Redis: its connections, and the services that may run as separate processes.

Redis decides for any number of processes. So the forwarder, and the sweeper with the worker of the delay queue, can run
beside the shops instead of inside them.
"""

import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

from checkout.engines.redis import RedisEngine
from checkout.errors import ConfigurationError
from checkout.expiry import expiry_services, repeat
from checkout.forwarder import Forwarder
from checkout.inventory import Inventory
from checkout.settings import EngineSettings, ShopSettings
from checkout.tasks import background
from checkout.writer import Writer

LOG = logging.getLogger(__name__)
FORWARD_EVERY_S = 0.1


@asynccontextmanager
async def running_forwarder(settings: ShopSettings) -> AsyncIterator[None]:
    """Run the forwarder until the block ends. Raises `StoreError` if a store is unavailable or another one runs."""
    _require_redis(settings)
    async with AsyncExitStack() as stack:
        stock = await open_stock(settings.engine, stack)
        await stack.enter_async_context(background(await forwarder_service(settings.engine, stock, stack)))
        yield


@asynccontextmanager
async def running_sweeper(settings: ShopSettings) -> AsyncIterator[None]:
    """Run the worker of the delay queue and the sweep until the block ends. Raises `StoreError`."""
    _require_redis(settings)
    async with AsyncExitStack() as stack:
        stock = await open_stock(settings.engine, stack)
        writer = Writer(stock)
        await stack.enter_async_context(background(writer.run(), *expiry_services(Inventory(stock, writer))))
        yield


async def open_stock(settings: EngineSettings, stack: AsyncExitStack) -> RedisEngine:
    stock = await RedisEngine.open(settings.url)
    stack.push_async_callback(stock.close)
    return stock


async def order_services(
    settings: ShopSettings, stock: RedisEngine, stack: AsyncExitStack
) -> list[Coroutine[None, None, None]]:
    """Return what must run inside the shop for its orders: the forwarder, unless it is a separate process."""
    engine = settings.engine
    if not engine.orders_url:
        return []
    if "forwarder" not in settings.without:
        return [await forwarder_service(engine, stock, stack)]
    await Forwarder.require_complete(stock, engine.orders_url)
    return []


async def forwarder_service(
    settings: EngineSettings, stock: RedisEngine, stack: AsyncExitStack
) -> Coroutine[None, None, None]:
    """Bring both stores to the same state, and return the service that keeps them so."""
    forwarder = await Forwarder.open(stock, settings.orders_url)
    stack.push_async_callback(forwarder.close)
    for repair in await forwarder.reconcile():
        LOG.error("%s", repair)
    return repeat(forwarder.catch_up, FORWARD_EVERY_S)


def _require_redis(settings: ShopSettings) -> None:
    engine = settings.engine
    if engine.kind != "redis" or not engine.orders_url:
        raise ConfigurationError(
            "engine: a separate forwarder or sweeper needs the stock in Redis (kind: redis) and an orders_url"
        )
