"""The composition root: the one place where the parts of a shop are created, connected, started and stopped.

Beside the requests run: the single writer, the delay queue, the sweep and the settlement of payments. If the stock is
in Redis, also its messages and, with `orders_url`, the forwarder. `parts.py` can run some of these as separate
processes.
"""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from checkout import responses
from checkout.accounts import Accounts, Hasher
from checkout.api import Api
from checkout.audit import audit
from checkout.availability import Availability
from checkout.bank import Bank
from checkout.cashier import Cashier
from checkout.catalogue.opening import open_catalogue
from checkout.catalogue.prices import Prices
from checkout.catalogue.seeding import seed
from checkout.catalogue.serving import Selling, add_catalogue
from checkout.clock import wall_ms
from checkout.concurrency_limit import ConcurrencyLimit
from checkout.engines.engine import Engine
from checkout.engines.sqlite import SqliteEngine
from checkout.errors import BadRequest, Conflict, StockUnknown, StoreError, UnknownCharset
from checkout.expiry import expiry_services, repeat
from checkout.following import EventMetrics, Following
from checkout.gateway import Gateway
from checkout.inventory import Inventory
from checkout.metrics import Metrics
from checkout.notices.opening import open_notices
from checkout.sale_list import SaleList
from checkout.settings import Address, PaymentSettings, ShopSettings
from checkout.shop import Shop
from checkout.tasks import background
from checkout.values import Sale
from checkout.writer import Writer

Services = list[Coroutine[None, None, None]]
WaitReady = Callable[[], Awaitable[None]]
LOG = logging.getLogger(__name__)
SETTLE_EVERY_S = 2.0
WATCH_AGAIN_S = 1.0
MAX_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RunningShop:
    """A started shop: its address, its inventory, and a function that runs one round of settling payments."""

    url: str
    inventory: Inventory
    settle: Callable[[], Awaitable[int]]


@asynccontextmanager
async def running_shop(settings: ShopSettings) -> AsyncIterator[RunningShop]:
    """Serve a shop until the block ends. Requests in progress are finished first."""
    async with AsyncExitStack() as stack:
        engine, services, wait_ready = await _engine(settings, stack)
        availability = Availability(engine.stock)
        if gate := getattr(engine, "gate", None):
            gate.on_close(availability.forget)
        if watch := getattr(engine, "watch", None):
            services.append(repeat(partial(watch, availability.update), WATCH_AGAIN_S))
        writer = Writer(engine)
        inventory = Inventory(engine, writer, availability.update)
        cashier = Cashier(inventory, await _gateway(settings, stack))
        services += [writer.run(), repeat(cashier.settle_all, SETTLE_EVERY_S)]
        if "sweeper" not in settings.without:
            services += expiry_services(inventory)
        await stack.enter_async_context(background(*services))
        await wait_ready()
        await check_sales(engine)
        sale = await _sale(settings, engine)
        await inventory.open(sale)
        app = web.Application(middlewares=[errors_to_responses], client_max_size=MAX_BODY_BYTES)
        limit = ConcurrencyLimit.for_capacity(settings.capacity)
        token = os.environ.get(settings.operator_token_env, "")
        sales = SaleList(engine)
        following = await Following.open(settings, engine, sales, stack)
        following.add_to(app)
        parts = await open_catalogue(settings, wall_ms, following.leaderboard.units_7d, following.bus, stack)
        if settings.catalogue.file:
            await seed(Path(settings.catalogue.file), parts.catalogue, inventory)
        carts = add_catalogue(app, parts, Selling(inventory, cashier, availability, limit, sales), sale.id, token)
        prices = Prices(sales, parts.catalogue, parts.purchases, sale.id)
        has_notices = settings.notices.are_sent
        Shop(inventory, cashier, availability, limit, prices, sale, wall_ms, has_notices=has_notices).add_to(app)
        Api(inventory, cashier, availability, limit, sales, prices, token).add_to(app)
        notices = await open_notices(settings, following.bus, sales, prices, stack)
        notices.requests.add_to(app)
        following_services = [*following.services(), *parts.services(), *notices.services()]
        await stack.enter_async_context(background(*following_services))
        event_metrics = EventMetrics(following, [parts.relay], notices)
        Metrics(engine, writer, limit, availability, cashier, [event_metrics.collect, parts.metrics]).add_to(app)
        account_settings = settings.accounts
        hasher = Hasher(account_settings.workers, account_settings.backlog, account_settings.scrypt_cost)
        accounts = Accounts(account_settings.path, hasher, carts.log_in)
        stack.push_async_callback(accounts.close)
        accounts.add_to(app)
        url = await stack.enter_async_context(_listening(app, Address.parse(settings.listen)))
        yield RunningShop(url, inventory, cashier.settle_all)


async def check_sales(engine: Engine) -> int:
    """Check every sale against its trail before anything is sold. Log every finding and return their number."""
    count = 0
    for sale, _ in await engine.sales():
        evidence = await engine.evidence(sale.id)
        for finding in audit(evidence, grace_ms=2**62) if evidence else []:
            LOG.error("sale %s: %s: %s", sale.id, finding.rule, finding.text)
            count += 1
    return count


@web.middleware
async def errors_to_responses(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn an error of a handler into a response that says which side is at fault."""
    try:
        return await handler(request)
    except UnknownCharset as error:
        return responses.problem(415, "unknown-charset", "Unknown charset", str(error))
    except BadRequest as error:
        return responses.bad_request(request, str(error))
    except Conflict as error:
        return responses.problem(409, error.kind, error.title, str(error))
    except StockUnknown as error:
        LOG.warning("%s %s: %s", request.method, request.path, error)
        return responses.stock_unknown(request)
    except StoreError as error:
        LOG.warning("%s %s: %s", request.method, request.path, error)
        return responses.store_unavailable(request)
    except web.HTTPException as error:
        if error.status < 400 or responses.wants_page(request):
            raise
        response = responses.problem(error.status, "http", error.reason, error.reason)
        if allow := error.headers.get("Allow"):
            response.headers["Allow"] = allow
        return response


async def _engine(settings: ShopSettings, stack: AsyncExitStack) -> tuple[Engine, Services, WaitReady]:
    """Open the store and return it with its services, and with a function that waits until it may be used.

    A driver is imported only if the settings choose it.
    """
    chosen = settings.engine
    match chosen.kind:
        case "sqlite":
            lite = await SqliteEngine.open(chosen.path)
            stack.push_async_callback(lite.close)
            return lite, [], _at_once
        case "postgres":
            from checkout.engines.postgres import PostgresEngine

            sql = await PostgresEngine.open(chosen.url, standby=chosen.standby, journal=chosen.journal)
            stack.push_async_callback(sql.close)
            return sql, [], _at_once
        case "redis":
            from checkout.parts import open_stock, stock_services

            stock, watch = await open_stock(chosen, stack)
            services = await stock_services(settings, stock, watch, stack)
            return stock, services, partial(watch.wait_ready, stock)


async def _at_once() -> None:
    """A store that only this process writes to may be used as soon as it is open."""


async def _gateway(settings: ShopSettings, stack: AsyncExitStack) -> Gateway:
    payment: PaymentSettings = settings.payment
    if not payment.url:
        return Bank(settings.capacity.seconds_per_checkout)
    from checkout.bank_client import BankClient

    return await stack.enter_async_context(BankClient.connected(payment.url, payment.timeout_seconds))


async def _sale(settings: ShopSettings, engine: Engine) -> Sale:
    """Return the sale of the pages: the stored one, or at the first start the one that the settings describe."""
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
