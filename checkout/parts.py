"""A shop with its stock in Redis: its connections, and the services that may run as separate processes.

Redis decides for any number of processes. So the forwarder, and the sweeper with the worker of the delay queue, can run
beside the shops instead of inside them.
"""

from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

from checkout.engines.redis import RedisEngine
from checkout.errors import ConfigurationError
from checkout.expiry import expiry_services
from checkout.forwarder import Forwarder
from checkout.inventory import Inventory
from checkout.orders_watch import OrdersWatch
from checkout.settings import EngineSettings, ShopSettings
from checkout.tasks import background
from checkout.writer import Writer


@asynccontextmanager
async def running_forwarder(settings: ShopSettings) -> AsyncIterator[None]:
    """Run the forwarder until the block ends. Raises `StoreError` if a store is unavailable or another one runs."""
    _require_redis(settings)
    async with AsyncExitStack() as stack:
        stock, _ = await open_stock(settings.engine, stack)
        await stack.enter_async_context(background(await forwarder_service(settings.engine, stock, stack)))
        yield


@asynccontextmanager
async def running_sweeper(settings: ShopSettings) -> AsyncIterator[None]:
    """Run the worker of the delay queue and the sweep until the block ends. Raises `StoreError`."""
    _require_redis(settings)
    async with AsyncExitStack() as stack:
        stock, watch = await open_stock(settings.engine, stack)
        writer = Writer(stock)
        services = [watch.run(stock.gate), writer.run(), *expiry_services(Inventory(stock, writer))]
        await stack.enter_async_context(background(*services))
        yield


async def open_stock(settings: EngineSettings, stack: AsyncExitStack) -> tuple[RedisEngine, OrdersWatch]:
    """Connect to Redis. The watch must run: it says when this process may decide and what is durable."""
    watch = OrdersWatch(settings.orders_url)
    stock = await RedisEngine.open(settings.url, copy=watch)
    stack.push_async_callback(stock.close)
    return stock, watch


async def stock_services(
    settings: ShopSettings, stock: RedisEngine, watch: OrdersWatch, stack: AsyncExitStack
) -> list[Coroutine[None, None, None]]:
    """Return what must run inside the shop: the watch, and the forwarder unless it is a separate process."""
    services = [watch.run(stock.gate)]
    if "forwarder" not in settings.without:
        services.append(await forwarder_service(settings.engine, stock, stack))
    return services


async def forwarder_service(
    settings: EngineSettings, stock: RedisEngine, stack: AsyncExitStack
) -> Coroutine[None, None, None]:
    """Bring both stores to the same state, and return the service that keeps them so."""
    forwarder = await Forwarder.open(stock, settings.orders_url)
    stack.push_async_callback(forwarder.close)
    await forwarder.reconcile()
    return forwarder.run()


def _require_redis(settings: ShopSettings) -> None:
    engine = settings.engine
    if engine.kind != "redis" or not engine.orders_url:
        raise ConfigurationError(
            "engine: a separate forwarder or sweeper needs the stock in Redis (kind: redis) and an orders_url"
        )
