"""The Redis store: the contract, no loss after kill -9, and no server without AOF."""

import asyncio
from collections.abc import Awaitable, Iterator

import pytest

from checkout.audit import audit
from checkout.availability import Availability
from checkout.engines.redis import RedisEngine
from checkout.errors import ConfigurationError, StockUnknown, StoreError
from checkout.tasks import background
from checkout.values import Confirm, Done, OpenSale, Pay, ReadStock, Reserve, Stock
from tests.checkout.engines.contract import LONG_MS, ManualClock, StoreMachine, limited, sale_of
from tests.checkout.servers import RedisServer, redis_server


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        RedisMachine.server = running
        yield running


class RedisMachine(StoreMachine):
    """The contract on a real Redis. `start_again` is a new client on the same data."""

    server: RedisServer

    def open_engine(self) -> Awaitable[RedisEngine]:
        return RedisEngine.open(self.server.url, clock=self.clock, lazy_expiry=self.is_lazy)


class OtherLayersMachine(RedisMachine):
    """The contract without the store's own layer of expiry: only the delay queue and the sweep end holds."""

    is_lazy = False


RedisMachine.TestCase.settings = OtherLayersMachine.TestCase.settings = limited(25)
TestContract = RedisMachine.TestCase
TestContractOfOtherLayers = OtherLayersMachine.TestCase


async def test_kill_9_loses_no_confirmed_outcome(server: RedisServer) -> None:
    """After kill -9 the sale, its numbers and keys are complete. While it is down commands fail and none hangs."""
    engine = await RedisEngine.open(server.url, prefix="{kill}:")
    await engine.apply([OpenSale(sale_of(3, 1, "s", LONG_MS))])
    await engine.apply([Reserve("s", "ada", "h1", "k1", "f")])
    server.kill()
    with pytest.raises(StoreError):
        await engine.apply([ReadStock("s")])
    server.start()
    with pytest.raises(StockUnknown):  # another run of the server: it may have lost something
        await engine.apply([ReadStock("s")])
    await engine.arm_alone()
    again = (await engine.apply([Reserve("s", "ada", "h2", "k1", "f")]))[0]
    assert isinstance(again, Done)
    assert again.repeated
    assert again.hold is not None
    assert again.hold.id == "h1"
    assert again.stock[:3] == (2, 1, 0)
    await engine.close()


async def test_a_server_without_aof_is_refused() -> None:
    """A Redis without AOF is a configuration error, and the message says what to set."""
    with (
        redis_server("--appendonly", "no") as volatile,
        pytest.raises(ConfigurationError, match="appendonly yes"),
    ):
        await RedisEngine.open(volatile.url)


async def test_other_processes_receive_every_change(server: RedisServer) -> None:
    """A change by one process reaches the cache of another process as a message with a version."""
    one, other = [await RedisEngine.open(server.url, prefix="{news}:") for _ in range(2)]
    cache = Availability(other.stock, monotonic=lambda: 0.0)
    received: asyncio.Queue[Stock] = asyncio.Queue()

    def on_change(sale: str, stock: Stock) -> None:
        cache.update(sale, stock)
        received.put_nowait(stock)

    async with background(other.watch(on_change)):
        while await one._client.pubsub_numsub("{news}:stock") != [("{news}:stock", 1)]:
            pass  # the subscription is not active yet
        await one.apply([OpenSale(sale_of(1, 1, "s", LONG_MS))])
        await one.apply([ReadStock("s"), Reserve("s", "ada", "n1")])
        assert [(await received.get())[:3] for _ in range(2)] == [(1, 0, 0), (0, 1, 0)]
        assert await cache.get("s") == await one.stock("s")
        assert cache.snapshot().reads == 0
    await one.close()
    await other.close()


async def test_keys_are_kept_for_a_day_of_the_engines_clock(server: RedisServer) -> None:
    """A key is kept for 24 hours, also over midnight. After that it counts as new."""
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


async def test_a_command_sees_the_earlier_commands_of_its_batch(server: RedisServer) -> None:
    """One batch reserves, pays, sells and refuses. Each outcome shows the state after its own command."""
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


async def test_a_batch_may_end_more_holds_than_lua_takes_arguments(server: RedisServer) -> None:
    """Thousands of holds can expire in one batch."""
    clock = ManualClock()
    engine = await RedisEngine.open(server.url, clock=clock, prefix="{wave}:")
    await engine.apply([OpenSale(sale_of(9000, 1, "w"))])
    for at in range(0, 9000, 3000):
        await engine.apply([Reserve("w", f"u{n}", f"h{n}", f"k{n}", "f") for n in range(at, at + 3000)])
    clock.now_ms += LONG_MS
    [outcome] = await engine.apply([ReadStock("w")])
    assert tuple(outcome.stock[:3]) == (9000, 0, 0)
    evidence = await engine.evidence("w")
    assert evidence is not None
    assert audit(evidence, is_quiet=True) == []
    assert len(await engine.events("", 17, 5000)) == 5000
    await engine.close()
