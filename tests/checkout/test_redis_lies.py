"""A Redis that has lost its end sells nothing until it is rebuilt; the audit finds each fault before and none after."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from checkout.app import running_shop
from checkout.engines.durable import Unconfirmed
from checkout.engines.redis import RedisEngine
from checkout.errors import StockUnknown, StoreError
from checkout.forwarder import Forwarder
from checkout.orders_watch import OrdersWatch
from checkout.settings import parse
from checkout.tasks import background
from checkout.values import Done, OpenSale, ReadStock, Refused, Reserve
from tests.checkout.engines.contract import LONG_MS, sale_of
from tests.checkout.selling import audit_rules, sell
from tests.checkout.servers import NO_SYNC, RedisServer, postgres_server, redis_server


@asynccontextmanager
async def shop_of(
    redis_url: str, orders_url: str, wait_s: float
) -> AsyncIterator[tuple[RedisEngine, OrdersWatch, Forwarder]]:
    """Yield the stock as a shop sees it, its watch, which runs, and a forwarder, which has checked the stock once."""
    async with AsyncExitStack() as stack:
        watch = OrdersWatch(orders_url, wait_s=wait_s)
        shop = await RedisEngine.open(redis_url, copy=watch)
        stack.push_async_callback(shop.close)
        seen_by_forwarder = await RedisEngine.open(redis_url, copy=Unconfirmed())
        stack.push_async_callback(seen_by_forwarder.close)
        forwarder = await Forwarder.open(seen_by_forwarder, orders_url)
        stack.push_async_callback(forwarder.close)
        await forwarder.reconcile()
        await stack.enter_async_context(background(watch.run(shop.gate)))
        await watch.wait_ready(shop)
        yield shop, watch, forwarder


def cut(percent: float, redis: RedisServer) -> None:
    redis.kill()
    redis.cut(percent)
    redis.start()


def flush(redis: RedisServer) -> None:
    with Redis.from_url(redis.url) as client:
        client.flushall()


REDIS_FAULTS: dict[str, Callable[[RedisServer], None]] = {
    "flushed": flush,
    **{f"cut {percent} %": partial(cut, percent) for percent in (25, 60, 100)},
}


@pytest.mark.parametrize("fault", REDIS_FAULTS)
async def test_a_redis_that_has_lost_its_end_is_rebuilt(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No process decides on it, the audit finds it, and the forwarder rebuilds it once: after that all is clean."""
    with redis_server() as redis, postgres_server(*NO_SYNC) as postgres:
        settings = {"kind": "redis", "url": redis.url, "orders_url": postgres.url}
        async with shop_of(redis.url, postgres.url, wait_s=5.0) as (shop, watch, forwarder):
            async with background(forwarder.run()):
                await shop.apply([OpenSale(sale_of(9, 9, "launch", LONG_MS))])
                await sell(shop, 0, 5)
                assert await audit_rules(settings, tmp_path, capsys) == set()
            await asyncio.to_thread(REDIS_FAULTS[fault], redis)
            with pytest.raises(StockUnknown):
                await until_answered(shop)
            with pytest.raises(StockUnknown):
                await shop.stock("launch")
            assert await audit_rules(settings, tmp_path, capsys) & {"rolled-back", "epoch"}
            async with background(forwarder.run()):
                await watch.wait_ready(shop)
                assert (await shop.apply([ReadStock("launch")]))[0].stock[:3] == (4, 0, 5)
                [again, other] = await shop.apply(
                    [Reserve("launch", "u4", "new", "k4", "f"), Reserve("launch", "u4", "new", "k4", "g")]
                )
                assert isinstance(again, Done)
                assert again.repeated
                assert isinstance(other, Refused)
            trail = await shop.events("launch")
            causes = [event.cause for event in trail if event.kind == "rebuilt"]
            assert [cause[:22] for cause in causes] == ["rebuilt from orders at"]
            assert await audit_rules(settings, tmp_path, capsys) == set()


async def until_answered(shop: RedisEngine) -> None:
    """Ask until the server that has just started listens."""
    async with asyncio.timeout(20):
        while True:
            try:
                await shop.apply([ReadStock("launch")])
            except StockUnknown:
                raise
            except StoreError:  # a connection of before the fault
                await asyncio.sleep(0.05)
            else:
                return


async def test_orders_that_were_restored_get_the_rest_from_redis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stream has what the older PostgreSQL lacks. The audit finds the fault before, and nothing after."""
    with redis_server() as redis, postgres_server(*NO_SYNC) as postgres:
        settings = {"kind": "redis", "url": redis.url, "orders_url": postgres.url}
        raw = {"listen": "127.0.0.1:0", "engine": settings, "product": {"stock": 9, "per_user": 9}}
        for is_saved in (True, False):
            async with running_shop(parse(raw)) as shop:
                for _ in range(2):
                    hold = f"h-{is_saved}-{_}"
                    await shop.inventory.reserve("launch", "u", hold)
                    await shop.inventory.pay(hold)
                    assert isinstance(await shop.inventory.confirm(hold, f"ch-{hold}"), Done)
            postgres.kill()
            await asyncio.to_thread(postgres.save if is_saved else postgres.restore)
            await asyncio.to_thread(postgres.start)
        assert "orders-rolled-back" in await audit_rules(settings, tmp_path, capsys)
        async with running_shop(parse(raw)) as shop:
            stock = await shop.inventory.stock("launch")
            assert stock is not None
            assert stock[:3] == (5, 0, 4)
        assert await audit_rules(settings, tmp_path, capsys) == set()


async def test_a_paused_forwarder_delays_answers_and_loses_none(tmp_path: Path) -> None:
    """Without a forwarder no outcome is told. When it is back, the same key gets the same outcome."""
    with redis_server() as redis, postgres_server(*NO_SYNC) as postgres:
        async with shop_of(redis.url, postgres.url, wait_s=0.2) as (shop, watch, forwarder):
            first = Reserve("launch", "u", "h1", "k", "f")
            with pytest.raises(StoreError, match="the forwarder has not confirmed"):
                await shop.apply([OpenSale(sale_of(1, 1, "launch", LONG_MS)), first])
            with pytest.raises(StoreError, match="confirms nothing at present"):
                await shop.apply([first])
            async with background(forwarder.run()):
                async with asyncio.timeout(20):
                    while watch.is_stuck:
                        await asyncio.sleep(0.02)
                [outcome] = await shop.apply([first._replace(hold="h2")])
        assert isinstance(outcome, Done)
        assert outcome.hold is not None
        assert (outcome.hold.id, outcome.repeated) == ("h1", True)
