"""Shops that are wrong on purpose, on real servers: the checker catches each. Its pure half is in
`test_audit.py`; the unsafe retry, which needs a bank, is in `test_cashier.py`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from redis import Redis

from checkout.audit import audit
from checkout.engines.engine import Engine
from checkout.engines.postgres import PostgresEngine
from checkout.engines.redis import RedisEngine
from checkout.engines.sqlite import SqliteEngine
from checkout.evidence import Evidence, Told
from checkout.values import Command, Done, Expire, OpenSale, Outcome, Pay, Release, Reserve, State
from tests.checkout.engines.contract import HOLD_MS, LONG_MS, ManualClock, sale_of
from tests.checkout.servers import postgres_server, redis_server


async def sell(engine: Engine, first: int, count: int, hold_ms: int = LONG_MS) -> list[Told]:
    """Reservations of new users, and what they were told."""
    await engine.apply([OpenSale(sale_of(20, 1, "s", hold_ms))])
    users = [f"u{number}" for number in range(first, first + count)]
    outcomes = await engine.apply([Reserve("s", user, f"h-{user}", f"k-{user}") for user in users])
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    return [Told("held", "s", user, f"k-{user}", f"h-{user}") for user in users]


async def rules(engine: Engine, told: list[Told], *, is_quiet: bool = False) -> set[str]:
    evidence: Evidence | None = await engine.evidence("s")
    if evidence is None:
        return {"sale-lost"}
    return {finding.rule for finding in audit(replace(evidence, told=told), is_quiet=is_quiet)}


async def test_redis_without_aof_is_caught() -> None:
    """It forgets what it answered, and a boot script sells the units again: its own sums stay right, the
    clients' not.
    """
    with redis_server("--appendonly", "no") as redis:
        engine = await RedisEngine.open(redis.url, allow_volatile=True)
        told = await sell(engine, 0, 15)
        assert await rules(engine, told) == set()
        redis.kill()
        redis.start()
        await engine.close()
        engine = await RedisEngine.open(redis.url, allow_volatile=True)
        told += await sell(engine, 100, 15)
        assert await rules(engine, []) == set()  # without the clients nobody would know
        assert "told-lost" in await rules(engine, told)
        await engine.close()


async def test_asynchronous_commit_is_caught() -> None:
    """A commit that is answered before it is on disk is lost by a kill."""
    with postgres_server("wal_writer_delay=10s") as postgres:
        engine = await PostgresEngine.open(postgres.url, durable=False)
        told = await sell(engine, 0, 5)
        assert await rules(engine, told) == set()
        told += await sell(engine, 100, 5)
        postgres.kill()
        await asyncio.to_thread(postgres.start)
        await engine.close()
        engine = await PostgresEngine.open(postgres.url)
        assert await rules(engine, told) & {"told-lost", "sale-lost"}
        await engine.close()


async def test_synchronous_commit_is_clean() -> None:
    """The control of the test above: the same kill with synchronous commits loses nothing."""
    with postgres_server("wal_writer_delay=10s") as postgres:
        engine = await PostgresEngine.open(postgres.url)
        told = await sell(engine, 0, 5) + await sell(engine, 100, 5)
        postgres.kill()
        await asyncio.to_thread(postgres.start)
        await engine.close()
        engine = await PostgresEngine.open(postgres.url)
        assert await rules(engine, told) == set()
        await engine.close()


async def test_hold_owned_by_a_ttl_is_caught() -> None:
    """A hold that is a key with a TTL is gone when the server's clock jumps; its unit is sold again without
    a trace.
    """
    with redis_server() as redis:
        engine = await RedisEngine.open(redis.url)
        told = await sell(engine, 0, 3)
        raw = Redis.from_url(redis.url, decode_responses=True)
        raw.set("ttl-of-h-u1", "1", px=HOLD_MS)
        raw.pexpireat("ttl-of-h-u1", 1)  # what a jump of the clock past the TTL does
        if not raw.exists("ttl-of-h-u1"):  # such a shop takes the missing key for the end of the hold
            raw.hdel("{shop}:holds", "h-u1")
            raw.hdel("{shop}:units:s", "u1")
            raw.hincrby("{shop}:sale:s", "free", 1)
            raw.hincrby("{shop}:sale:s", "held", -1)
        raw.close()
        assert {"hold", "stock"} <= await rules(engine, told)
        await engine.close()


async def test_forgotten_release_is_caught() -> None:
    """A shop that answers "payment failed" and forgets to give the unit back has lost it when all is over."""

    class Forgetful(SqliteEngine):
        async def apply(self, batch: Sequence[Command]) -> list[Outcome]:
            kept = [command for command in batch if not isinstance(command, Release | Expire)]
            outcomes = iter(await super().apply(kept))
            stock = await self.stock("s")
            assert stock is not None
            return [Done(stock) if isinstance(c, Release | Expire) else next(outcomes) for c in batch]

    clock = ManualClock()
    engine = await Forgetful.open(":memory:", clock=clock, lazy_expiry=False)
    told = await sell(engine, 0, 2, HOLD_MS)
    await engine.apply([Pay("h-u0"), Release("h-u0", State.PAYMENT_FAILED), Expire("h-u1", "sweep")])
    assert await rules(engine, told) == set()
    clock.now_ms += HOLD_MS + 60_000
    assert await rules(engine, told) == {"unit-lost"}
    await engine.close()
