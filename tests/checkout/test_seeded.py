"""Shops with seeded faults on real servers: the checker finds every fault.

Faults that need no server are in `test_audit.py`; the unsafe retry, which needs a bank, is in `test_cashier.py`.
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
from checkout.evidence import ClientRecord, Evidence
from checkout.values import Command, Done, Expire, OpenSale, Outcome, Pay, Release, Reserve, State
from tests.checkout.engines.contract import HOLD_MS, LONG_MS, ManualClock, sale_of
from tests.checkout.servers import postgres_server, redis_server


async def sell(engine: Engine, first: int, count: int, hold_ms: int = LONG_MS) -> list[ClientRecord]:
    """Reserve units for new users and return the records of these clients."""
    await engine.apply([OpenSale(sale_of(20, 1, "s", hold_ms))])
    users = [f"u{number}" for number in range(first, first + count)]
    outcomes = await engine.apply([Reserve("s", user, f"h-{user}", f"k-{user}") for user in users])
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    return [ClientRecord("held", "s", user, f"k-{user}", f"h-{user}") for user in users]


async def rules(engine: Engine, records: list[ClientRecord], *, is_quiet: bool = False) -> set[str]:
    evidence: Evidence | None = await engine.evidence("s")
    if evidence is None:
        return {"sale-lost"}
    return {finding.rule for finding in audit(replace(evidence, client_records=records), is_quiet=is_quiet)}


async def test_redis_without_aof_is_caught() -> None:
    """After a kill it sells the same units again. Its own sums are right; only the clients' records show the fault."""
    with redis_server("--appendonly", "no") as redis:
        engine = await RedisEngine.open(redis.url, allow_volatile=True)
        records = await sell(engine, 0, 15)
        assert await rules(engine, records) == set()
        redis.kill()
        redis.start()
        await engine.close()
        engine = await RedisEngine.open(redis.url, allow_volatile=True)
        records += await sell(engine, 100, 15)
        assert await rules(engine, []) == set()  # the store alone does not show the fault
        assert "answer-lost" in await rules(engine, records)
        await engine.close()


async def test_asynchronous_commit_is_caught() -> None:
    """A kill loses an outcome that was returned before its commit was on disk."""
    with postgres_server("wal_writer_delay=10s") as postgres:
        engine = await PostgresEngine.open(postgres.url, durable=False)
        records = await sell(engine, 0, 5)
        assert await rules(engine, records) == set()
        records += await sell(engine, 100, 5)
        postgres.kill()
        await asyncio.to_thread(postgres.start)
        await engine.close()
        engine = await PostgresEngine.open(postgres.url)
        assert await rules(engine, records) & {"answer-lost", "sale-lost"}
        await engine.close()


async def test_synchronous_commit_is_clean() -> None:
    """With synchronous commits the same kill loses nothing, so the test above can fail."""
    with postgres_server("wal_writer_delay=10s") as postgres:
        engine = await PostgresEngine.open(postgres.url)
        records = await sell(engine, 0, 5) + await sell(engine, 100, 5)
        postgres.kill()
        await asyncio.to_thread(postgres.start)
        await engine.close()
        engine = await PostgresEngine.open(postgres.url)
        assert await rules(engine, records) == set()
        await engine.close()


async def test_hold_owned_by_a_ttl_is_caught() -> None:
    """If a hold is a key with a TTL, a jump of the server's clock deletes it, and its unit is sold again."""
    with redis_server() as redis:
        engine = await RedisEngine.open(redis.url)
        records = await sell(engine, 0, 3)
        raw = Redis.from_url(redis.url, decode_responses=True)
        raw.set("ttl-of-h-u1", "1", px=HOLD_MS)
        raw.pexpireat("ttl-of-h-u1", 1)  # the effect of a clock that jumps past the TTL
        if not raw.exists("ttl-of-h-u1"):  # such a shop takes the missing key as the end of the hold
            raw.hdel("{shop}:holds", "h-u1")
            raw.hdel("{shop}:units:s", "u1")
            raw.hincrby("{shop}:sale:s", "free", 1)
            raw.hincrby("{shop}:sale:s", "held", -1)
        raw.close()
        assert {"hold", "stock"} <= await rules(engine, records)
        await engine.close()


async def test_forgotten_release_is_caught() -> None:
    """A shop that answers "payment failed" but does not free the unit has lost it at the end of the sale."""

    class Forgetful(SqliteEngine):
        async def apply(self, batch: Sequence[Command]) -> list[Outcome]:
            kept = [command for command in batch if not isinstance(command, Release | Expire)]
            outcomes = iter(await super().apply(kept))
            stock = await self.stock("s")
            assert stock is not None
            return [Done(stock) if isinstance(c, Release | Expire) else next(outcomes) for c in batch]

    clock = ManualClock()
    engine = await Forgetful.open(":memory:", clock=clock, lazy_expiry=False)
    records = await sell(engine, 0, 2, HOLD_MS)
    await engine.apply([Pay("h-u0"), Release("h-u0", State.PAYMENT_FAILED), Expire("h-u1", "sweep")])
    assert await rules(engine, records) == set()
    clock.now_ms += HOLD_MS + 60_000
    assert await rules(engine, records) == {"unit-lost"}
    await engine.close()
