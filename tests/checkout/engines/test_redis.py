"""The Redis store keeps the contract, survives kill -9, and refuses a server that would forget."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from checkout.audit import audit
from checkout.availability import Availability
from checkout.engines.redis import RedisEngine
from checkout.errors import ConfigurationError, StoreError
from checkout.tasks import beside
from checkout.values import Confirm, Done, Look, OpenSale, Pay, Reserve, Stock
from tests.checkout.engines.contract import LONG_MS, ManualClock, OnLoop, StoreMachine, sale_of
from tests.checkout.servers import RedisServer, redis_server

T = TypeVar("T")


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        RedisMachine.server = running
        yield running


class RedisMachine(StoreMachine):
    """The contract on a real Redis; `start_again` is a new client on the same data."""

    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.loop = OnLoop()
        self.engine = self.run(self.open_engine())

    def open_engine(self) -> Awaitable[RedisEngine]:
        return RedisEngine.open(self.server.url, clock=self.clock, lazy_expiry=self.is_lazy)

    def run(self, work: Awaitable[T]) -> T:
        return self.loop(work)  # type: ignore[no-any-return]

    def restart(self) -> None:
        self.run(self.engine.close())
        self.engine = self.run(self.open_engine())

    def teardown(self) -> None:
        self.run(self.engine.close())
        self.loop.close()


class OtherLayersMachine(RedisMachine):
    """The same without the store's own expiry: only the delay queue and the sweep end holds."""

    is_lazy = False


LIMITS = settings(max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
RedisMachine.TestCase.settings = OtherLayersMachine.TestCase.settings = LIMITS
TestContract = RedisMachine.TestCase
TestContractOfOtherLayers = OtherLayersMachine.TestCase


async def test_kill_9_loses_nothing_that_was_answered(server: RedisServer) -> None:
    """After kill -9 the numbers, the keys and the sale are there; while it is down every command fails,
    none hangs.
    """
    engine = await RedisEngine.open(server.url, prefix="{kill}:")
    await engine.apply([OpenSale(sale_of(3, 1, "s", LONG_MS))])
    await engine.apply([Reserve("s", "ada", "h1", "k1", "f")])
    server.kill()
    with pytest.raises(StoreError):
        await engine.apply([Look("s")])
    server.start()
    again = (await engine.apply([Reserve("s", "ada", "h2", "k1", "f")]))[0]
    assert isinstance(again, Done)
    assert again.repeated
    assert again.hold is not None
    assert again.hold.id == "h1"
    assert again.stock[:3] == (2, 1, 0)
    await engine.close()


async def test_server_without_aof_is_refused() -> None:
    """A Redis that would forget orders is a fault of the configuration, named with its cure."""
    with (
        redis_server("--appendonly", "no") as volatile,
        pytest.raises(ConfigurationError, match="appendonly yes"),
    ):
        await RedisEngine.open(volatile.url)


async def test_other_nodes_hear_of_every_change(server: RedisServer) -> None:
    """What one process sells, another process' cache knows by message, with the version that orders it."""
    one, other = [await RedisEngine.open(server.url, prefix="{news}:") for _ in range(2)]
    cache = Availability(other.stock, monotonic=lambda: 0.0)
    heard: asyncio.Queue[Stock] = asyncio.Queue()

    def seen(sale: str, stock: Stock) -> None:
        cache.seen(sale, stock)
        heard.put_nowait(stock)

    async with beside(other.watch(seen)):
        while await one._client.pubsub_numsub("{news}:stock") != [("{news}:stock", 1)]:
            pass  # the subscription is on its way
        await one.apply([OpenSale(sale_of(1, 1, "s", LONG_MS))])
        await one.apply([Look("s"), Reserve("s", "ada", "n1")])
        assert [(await heard.get())[:3] for _ in range(2)] == [(1, 0, 0), (0, 1, 0)]
        assert await cache.get("s") == await one.stock("s")
        assert cache.snapshot().reads == 0
    await one.close()
    await other.close()


async def test_keys_are_kept_a_day_by_the_engines_clock(server: RedisServer) -> None:
    """Whichever day of the calendar they fall in; after that a key is as good as new."""
    day_ms = 24 * 3_600_000
    clock = ManualClock()
    clock.now_ms = 20_000 * day_ms + day_ms - 1  # the last millisecond of a day
    engine = await RedisEngine.open(server.url, clock=clock, prefix="{keys}:")
    await engine.apply([OpenSale(sale_of(9, 9, "keys")._replace(hold_ms=10 * day_ms))])
    first = Reserve("keys", "u", "h1", "k", "f")
    for later_ms, repeated in ((0, False), (1, True), (day_ms - 1, True), (day_ms, False), (day_ms + 1, True)):
        clock.now_ms = 20_000 * day_ms + day_ms - 1 + later_ms
        [outcome] = await engine.apply([first._replace(hold=f"h{later_ms}")])
        assert isinstance(outcome, Done)
        assert outcome.repeated is repeated, later_ms
    await engine.close()


async def test_a_batch_sees_what_its_own_commands_did(server: RedisServer) -> None:
    """Reserved, paid, sold, and the next one refused, all in one batch; the answers show each moment, not the last."""
    engine = await RedisEngine.open(server.url, prefix="{batch}:")
    outcomes = await engine.apply(
        [
            OpenSale(sale_of(1, 1, "b")),
            Reserve("b", "u", "h", "k", "f"),
            Reserve("b", "u", "other", "k", "f"),
            Pay("h", "p", "f"),
            Confirm("h", "ch"),
            Reserve("b", "v", "h2"),
        ]
    )
    states = [outcome.hold.state if outcome.hold else None for outcome in outcomes]
    assert states == [None, "held", "held", "paying", "sold", None]
    assert [tuple(outcome.stock[:3]) for outcome in outcomes] == [
        (1, 0, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0), (0, 0, 1), (0, 0, 1),
    ]  # fmt: skip
    evidence = await engine.evidence("b")
    assert evidence is not None
    assert audit(evidence, is_quiet=True) == []
    await engine.close()


async def test_more_than_lua_takes_in_one_call(server: RedisServer) -> None:
    """A wave of expiries ends thousands of holds in one batch."""
    clock = ManualClock()
    engine = await RedisEngine.open(server.url, clock=clock, prefix="{wave}:")
    await engine.apply([OpenSale(sale_of(9000, 1, "w"))])
    for at in range(0, 9000, 3000):
        await engine.apply([Reserve("w", f"u{n}", f"h{n}", f"k{n}", "f") for n in range(at, at + 3000)])
    clock.now_ms += LONG_MS
    [outcome] = await engine.apply([Look("w")])
    assert tuple(outcome.stock[:3]) == (9000, 0, 0)
    evidence = await engine.evidence("w")
    assert evidence is not None
    assert audit(evidence, is_quiet=True) == []
    assert len(await engine.events("", 17, 5000)) == 5000
    await engine.close()
