"""The PostgreSQL store: the contract, one leader at a time, and no loss after kill -9 of the server."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Iterator
from pathlib import Path

import asyncpg
import pytest

from checkout.engines.postgres import PostgresEngine
from checkout.errors import NotLeader, StoreError
from checkout.values import Done, OpenSale, Reserve
from tests.checkout.engines.contract import LONG_MS, StoreMachine, limited, sale_of
from tests.checkout.servers import NO_SYNC, PostgresServer, postgres_server


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[PostgresServer]:
    with postgres_server(*NO_SYNC) as running:
        PostgresMachine.server = running
        yield running


class PostgresMachine(StoreMachine):
    """The contract on a real PostgreSQL. `start_again` is a new client on the same data."""

    server: PostgresServer

    def open_engine(self) -> Awaitable[PostgresEngine]:
        return PostgresEngine.open(self.server.url, clock=self.clock, lazy_expiry=self.is_lazy)


class OtherLayersMachine(PostgresMachine):
    """The contract without the store's own layer of expiry: only the delay queue and the sweep end holds."""

    is_lazy = False


PostgresMachine.TestCase.settings = OtherLayersMachine.TestCase.settings = limited(15)
TestContract = PostgresMachine.TestCase
TestContractOfOtherLayers = OtherLayersMachine.TestCase


async def test_kill_9_loses_no_confirmed_outcome() -> None:
    """After kill -9 of the server its numbers and keys are complete. While it is down commands fail and none hangs."""
    with postgres_server() as mine:
        engine = await PostgresEngine.open(mine.url)
        await engine.apply([OpenSale(sale_of(3, 1, "s", LONG_MS))])
        await engine.apply([Reserve("s", "ada", "h1", "k1", "f")])
        mine.kill()
        for _ in range(2):
            with pytest.raises(StoreError):
                await engine.apply([Reserve("s", "bob", "h3")])
        await asyncio.to_thread(mine.start)
        again = (await engine.apply([Reserve("s", "ada", "h2", "k1", "f")]))[0]
        assert isinstance(again, Done)
        assert again.repeated
        assert again.hold is not None
        assert again.hold.id == "h1"
        assert again.stock[:3] == (2, 1, 0)
        await engine.close()


async def test_a_standby_takes_over(server: PostgresServer) -> None:
    """There is one leader. A second one is refused, and a standby leads as soon as the leader is gone."""
    leader = await PostgresEngine.open(server.url)
    await leader.apply([OpenSale(sale_of(3, 3, "lead", LONG_MS))])
    with pytest.raises(NotLeader):
        await PostgresEngine.open(server.url)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(PostgresEngine.open(server.url, standby=True))
        await leader.apply([Reserve("lead", "ada", "lead-h1")])
        assert not waiting.done()
        await leader.close()
    standby = waiting.result()
    outcome = (await standby.apply([Reserve("lead", "ada", "lead-h2")]))[0]
    assert outcome.stock[:3] == (1, 2, 0)
    await standby.close()


async def test_a_waiting_standby_ends_on_a_signal(server: PostgresServer, tmp_path: Path) -> None:
    """A shop that waits for the lock ends cleanly on SIGTERM."""
    leader = await PostgresEngine.open(server.url)
    config = tmp_path / "shop.yaml"
    config.write_text(f"listen: 127.0.0.1:0\nengine: {{kind: postgres, url: '{server.url}', standby: true}}\n")
    command = [sys.executable, "-m", "checkout", "serve", "--config", str(config)]
    standby = await asyncio.create_subprocess_exec(*command)
    db = await asyncpg.connect(server.url)
    while not await db.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
        assert standby.returncode is None
    await db.close()
    standby.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(standby.wait(), 10) == 0
    await leader.close()


async def test_a_former_leader_cannot_write(server: PostgresServer) -> None:
    """A leader without its session sells nothing, even if it has not noticed. The new leader's numbers stand."""
    old = await PostgresEngine.open(server.url)
    await old.apply([OpenSale(sale_of(1, 3, "fence", LONG_MS))])
    db = await asyncpg.connect(server.url)
    await db.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    await db.close()
    new = await PostgresEngine.open(server.url, standby=True)
    assert isinstance((await new.apply([Reserve("fence", "ada", "fence-1")]))[0], Done)
    with pytest.raises(StoreError):
        await old.apply([Reserve("fence", "bob", "fence-2")])
    with pytest.raises(NotLeader):
        await old.apply([Reserve("fence", "bob", "fence-2")])
    await old.close()
    await new.close()
