"""The composition root: one place where a shop's parts are made, joined, started and ended.

What runs beside the requests: the single writer, the delay queue, the sweep, the settlement of payments;
with a stock in Redis also its messages and, with `orders_url`, the forwarder. Queue and sweep (`sweeping`) and
the forwarder (`forwarding`) can be processes of their own then, for Redis decides for any number of them.
"""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler

from checkout import answers
from checkout.accounts import Accounts, Hasher
from checkout.api import Api
from checkout.audit import audit
from checkout.availability import Availability
from checkout.bank import Bank
from checkout.cashier import Cashier
from checkout.catalogue import Catalogue
from checkout.clock import wall_ms
from checkout.concurrency_limit import ConcurrencyLimit
from checkout.engines.engine import Engine
from checkout.engines.sqlite import SqliteEngine
from checkout.errors import BadRequest, ConfigurationError, StoreError
from checkout.expiry import QUEUE_EVERY_S, SWEEP_EVERY_S, repeat, sweep, work_queue
from checkout.gateway import Gateway
from checkout.inventory import Inventory
from checkout.metrics import Metrics
from checkout.settings import Address, EngineSettings, PaymentSettings, ShopSettings
from checkout.shop import Shop
from checkout.tasks import beside
from checkout.values import Sale
from checkout.writer import Writer

if TYPE_CHECKING:
    from checkout.engines.redis import RedisEngine

LOG = logging.getLogger(__name__)
SETTLE_EVERY_S = 2.0
FORWARD_EVERY_S = 0.1
RETRY_S = 1.0
MOST_BODY = 64 * 1024


@dataclass(frozen=True, slots=True)
class RunningShop:
    """What a started shop shows: where it listens, its inventory, and one round of settling payments."""

    url: str
    inventory: Inventory
    settle: Callable[[], Awaitable[int]]


@asynccontextmanager
async def running_shop(settings: ShopSettings) -> AsyncIterator[RunningShop]:
    """A shop that serves until the block is left; requests under way are finished first."""
    async with AsyncExitStack() as stack:
        engine, services = await _engine(settings, stack)
        availability = Availability(engine.stock)
        if watch := getattr(engine, "watch", None):
            services.append(repeat(partial(watch, availability.seen), RETRY_S))
        writer = Writer(engine)
        inventory = Inventory(engine, writer, availability.seen)
        cashier = Cashier(inventory, await _gateway(settings, stack))
        services += [writer.run(), repeat(cashier.settle_all, SETTLE_EVERY_S)]
        if "sweeper" not in settings.without:
            services += _expiring(inventory)
        await stack.enter_async_context(beside(*services))
        await reconcile(engine)
        sale = await _sale(settings, engine)
        await inventory.open(sale)
        app = web.Application(middlewares=[faults], client_max_size=MOST_BODY)
        slots = ConcurrencyLimit.for_capacity(settings.capacity)
        token = os.environ.get(settings.operator_token_env, "")
        Shop(sale, inventory, cashier, availability, slots, wall_ms).add_to(app)
        Api(inventory, cashier, Catalogue(engine), availability, slots, token).add_to(app)
        Metrics(engine, writer, slots, availability).add_to(app)
        kept = settings.accounts
        hasher = Hasher(kept.workers, kept.backlog, kept.scrypt_cost)
        accounts = Accounts(kept.path, hasher)
        stack.push_async_callback(accounts.close)
        accounts.add_to(app)
        url = await stack.enter_async_context(_listening(app, Address.parse(settings.listen)))
        yield RunningShop(url, inventory, cashier.settle_all)


@asynccontextmanager
async def forwarding(settings: ShopSettings) -> AsyncIterator[None]:
    """The forwarder alone, until the block is left. Raises `StoreError` when a store is away or another one is at
    work."""
    _require_redis(settings)
    async with AsyncExitStack() as stack:
        stock = await _redis(settings.engine, stack)
        await stack.enter_async_context(beside(await _forwarder(settings.engine, stock, stack)))
        yield


@asynccontextmanager
async def sweeping(settings: ShopSettings) -> AsyncIterator[None]:
    """The delay queue's worker and the sweep alone, until the block is left. Raises `StoreError`."""
    _require_redis(settings)
    async with AsyncExitStack() as stack:
        stock = await _redis(settings.engine, stack)
        writer = Writer(stock)
        await stack.enter_async_context(beside(writer.run(), *_expiring(Inventory(stock, writer))))
        yield


def _require_redis(settings: ShopSettings) -> None:
    engine = settings.engine
    if engine.kind != "redis" or not engine.orders_url:
        raise ConfigurationError("engine: only a stock in Redis with orders_url has processes of their own")


def _expiring(inventory: Inventory) -> list[Coroutine[None, None, None]]:
    return [
        repeat(partial(work_queue, inventory, f"pid{os.getpid()}"), QUEUE_EVERY_S),
        repeat(partial(sweep, inventory), SWEEP_EVERY_S),
    ]


async def reconcile(engine: Engine) -> int:
    """Check every sale against its trail before anything is sold; what is wrong is logged, never hidden."""
    count = 0
    for sale, _ in await engine.sales():
        evidence = await engine.evidence(sale.id)
        for finding in audit(evidence, grace_ms=2**62) if evidence else []:
            LOG.error("sale %s: %s: %s", sale.id, finding.rule, finding.text)
            count += 1
    return count


@web.middleware
async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a handler could not do becomes an answer that says whose fault it is."""
    try:
        return await handler(request)
    except BadRequest as error:
        return answers.problem(400, "bad-request", "Bad request", str(error))
    except StoreError as error:
        LOG.warning("%s %s: %s", request.method, request.path, error)
        return answers.store_away(request)
    except web.HTTPException as error:
        if error.status < 400 or answers.wants_page(request):
            raise
        response = answers.problem(error.status, "http", error.reason, error.reason)
        if allow := error.headers.get("Allow"):
            response.headers["Allow"] = allow
        return response


async def _engine(settings: ShopSettings, stack: AsyncExitStack) -> tuple[Engine, list[Coroutine[None, None, None]]]:
    """The store, and what must run beside it. Drivers are imported when they are chosen."""
    chosen = settings.engine
    match chosen.kind:
        case "sqlite":
            lite = await SqliteEngine.open(chosen.path)
            stack.push_async_callback(lite.close)
            return lite, []
        case "postgres":
            from checkout.engines.postgres import PostgresEngine

            sql = await PostgresEngine.open(chosen.url, standby=chosen.standby)
            stack.push_async_callback(sql.close)
            return sql, []
        case "redis":
            stock = await _redis(chosen, stack)
            if not chosen.orders_url:
                return stock, []
            if "forwarder" not in settings.without:
                return stock, [await _forwarder(chosen, stock, stack)]
            from checkout.forwarder import Forwarder

            await Forwarder.require_whole(stock, chosen.orders_url)
            return stock, []


async def _redis(settings: EngineSettings, stack: AsyncExitStack) -> "RedisEngine":
    from checkout.engines.redis import RedisEngine

    stock = await RedisEngine.open(settings.url)
    stack.push_async_callback(stock.close)
    return stock


async def _forwarder(
    settings: EngineSettings, stock: "RedisEngine", stack: AsyncExitStack
) -> Coroutine[None, None, None]:
    """Both stores brought together; what keeps them so is left to run."""
    from checkout.forwarder import Forwarder

    forwarder = await Forwarder.open(stock, settings.orders_url)
    stack.push_async_callback(forwarder.close)
    for wrong in await forwarder.reconcile():
        LOG.error("%s", wrong)
    return repeat(forwarder.catch_up, FORWARD_EVERY_S)


async def _gateway(settings: ShopSettings, stack: AsyncExitStack) -> Gateway:
    payment: PaymentSettings = settings.payment
    if not payment.url:
        return Bank(settings.capacity.seconds_per_checkout)
    from checkout.bank_client import BankClient

    return await stack.enter_async_context(BankClient.connected(payment.url, payment.timeout_seconds))


async def _sale(settings: ShopSettings, engine: Engine) -> Sale:
    """The sale of the shop's pages: as it was opened at the first start, else as the settings say."""
    for sale, _ in await engine.sales():
        if sale.id == settings.sale:
            return sale
    product = settings.product
    opens_ms = wall_ms() + round(product.opens_in_seconds * 1000) if product.opens_in_seconds else 0
    return Sale(
        id=settings.sale,
        title=product.title,
        total=product.stock,
        price_cents=product.price_cents,
        currency=product.currency,
        opens_ms=opens_ms,
        closes_ms=0,
        hold_ms=round(product.hold_seconds * 1000),
        per_user=product.per_user,
    )


@asynccontextmanager
async def _listening(app: web.Application, address: Address) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=75.0, shutdown_timeout=10.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port, backlog=1024).start()
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()
