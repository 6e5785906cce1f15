"""The forwarder: every event arrives in PostgreSQL once, and an emptied Redis sells nothing twice."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg
import pytest
from redis import Redis

from checkout.audit import audit
from checkout.engines.redis import RedisEngine
from checkout.errors import NotLeader, StockUnknown, StoreError
from checkout.forwarder import Forwarder
from checkout.values import Confirm, Done, Money, OpenSale, Pay, Release, Reserve, Settle, State
from tests.checkout.engines.contract import HOLD_MS, ManualClock, sale_of
from tests.checkout.servers import NO_SYNC, PostgresServer, RedisServer, postgres_server, redis_server


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RedisServer, PostgresServer]]:
    with redis_server() as redis, postgres_server(*NO_SYNC) as postgres:
        yield redis, postgres


@dataclass
class Pair:
    stock: RedisEngine
    forwarder: Forwarder
    clock: ManualClock
    url: str


@asynccontextmanager
async def pair(servers: tuple[RedisServer, PostgresServer]) -> AsyncIterator[Pair]:
    """Yield both stores with one sale of five units, in which holds have ended in every possible way."""
    redis, postgres = servers
    Redis.from_url(redis.url).flushall()
    db = await asyncpg.connect(postgres.url)
    await db.execute("DROP TABLE IF EXISTS refusals, events, orders, holds, stock, sales, batches, epochs")
    await db.close()
    clock = ManualClock()
    stock = await RedisEngine.open(redis.url, clock=clock)
    forwarder = await Forwarder.open(stock, postgres.url)
    await stock.apply([OpenSale(sale_of(5, 1, "s"))])
    for number in range(5):
        await stock.apply([Reserve("s", f"u{number}", f"h{number}", f"k{number}", "f")])
    await stock.apply([Pay(f"h{number}") for number in range(1, 5)])
    await stock.apply([Confirm("h1", "ch1"), Confirm("h2", "ch2"), Release("h3", State.PAYMENT_FAILED)])
    clock.now_ms += HOLD_MS
    await stock.apply([Settle("h4", Money.REFUNDED), Reserve("s", "u9", "h9", "k9", "f")])
    try:
        yield Pair(stock, forwarder, clock, postgres.url)
    finally:
        await forwarder.close()
        await stock.close()


async def test_everything_arrives_once(servers: tuple[RedisServer, PostgresServer]) -> None:
    """After any number of rounds PostgreSQL has the trail, the holds and the orders, each once."""
    async with pair(servers) as both:
        assert await both.forwarder.catch_up() > 0
        assert await both.forwarder.catch_up() == 0
        in_postgres, in_redis = await both.forwarder.evidence("s"), await both.stock.evidence("s")
        assert in_postgres is not None
        assert in_redis is not None
        assert audit(in_redis) == []
        assert in_postgres.events == in_redis.events
        assert sorted(in_postgres.holds) == sorted(in_redis.holds)
        assert sorted(in_postgres.orders) == sorted(in_redis.orders)
        assert in_postgres.stock == in_redis.stock


async def test_a_death_before_the_acknowledgement_repeats_nothing(servers: tuple[RedisServer, PostgresServer]) -> None:
    """If a forwarder dies between commit and acknowledgement, the next one writes nothing twice."""
    async with pair(servers) as both:

        async def dies(seq: int) -> None:
            raise StoreError("killed")

        both.stock.acknowledge = dies  # type: ignore[method-assign]
        with pytest.raises(StoreError, match="killed"):
            await both.forwarder.step()
        del both.stock.acknowledge
        await both.forwarder.catch_up()
        evidence = await both.forwarder.evidence("s")
        assert evidence is not None
        assert [order.id for order in sorted(evidence.orders)] == ["h1", "h2"]
        assert (await both.stock.look())[2].seq == evidence.events[-1].seq


async def test_the_forwarder_reconnects(servers: tuple[RedisServer, PostgresServer]) -> None:
    """After a lost connection to PostgreSQL the forwarder connects again and misses no event."""
    async with pair(servers) as both:
        db = await asyncpg.connect(both.url)
        await db.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        await db.close()
        with suppress(StoreError):  # the loss is noticed at this step or at the next
            await both.forwarder.step()
        await both.forwarder.catch_up()
        evidence = await both.forwarder.evidence("s")
        assert evidence is not None
        assert audit(evidence) == []


async def test_a_second_forwarder_is_refused(servers: tuple[RedisServer, PostgresServer]) -> None:
    """Only one forwarder may run."""
    async with pair(servers) as both:
        with pytest.raises(NotLeader):
            await Forwarder.open(both.stock, both.url)


async def test_an_emptied_redis_is_rebuilt(servers: tuple[RedisServer, PostgresServer]) -> None:
    """After a flush the stock is rebuilt from the orders: sold units stay sold, and keys keep their outcomes."""
    async with pair(servers) as both:
        await both.forwarder.catch_up()
        before = await both.stock.stock("s")
        Redis.from_url(servers[0].url).flushall()
        with pytest.raises(StockUnknown, match="has epoch none"):
            await both.stock.apply([Reserve("s", "x", "hx")])
        report = await both.forwarder.reconcile()
        assert len(report) == 1
        assert "rebuilt from orders at" in report[0]
        await both.stock.arm_alone()
        after = await both.stock.stock("s")
        assert before is not None
        assert after is not None
        assert (after[:3], after.version > before.version) == (before[:3], True)
        again = (await both.stock.apply([Reserve("s", "u9", "other", "k9", "f")]))[0]
        assert isinstance(again, Done)
        assert again.hold is not None
        assert again.hold.id == "h9"
        outcomes = await both.stock.apply([Reserve("s", f"new{n}", f"n{n}") for n in range(5)])
        assert sum(isinstance(outcome, Done) for outcome in outcomes) == 2
        await both.forwarder.catch_up()
        evidence = await both.forwarder.evidence("s")
        assert evidence is not None
        assert audit(evidence) == []
        assert await both.forwarder.reconcile() == []


async def test_lost_events_are_never_skipped(servers: tuple[RedisServer, PostgresServer]) -> None:
    """A gap in the stream is found. What was not carried over was told to nobody, so the stock is rebuilt without."""
    async with pair(servers) as both:
        Redis.from_url(servers[0].url).xdel("{shop}:events", "1-0")
        report = await both.forwarder.reconcile()
        assert "has lost the events after 0 from its stream" in report[0]
        assert await both.stock.stored_sales() == []
