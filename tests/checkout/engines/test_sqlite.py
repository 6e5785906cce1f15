"""The SQLite store keeps the contract, and its own promises: one writer a file, one transaction a batch."""

import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from checkout.engines.sqlite import SqliteEngine
from checkout.errors import NotLeader, StoreError
from checkout.values import Done, Look, OpenSale, Refused, Reserve
from tests.checkout.engines.contract import LONG_MS, ManualClock, OnLoop, StoreMachine, sale_of

T = TypeVar("T")


class SqliteMachine(StoreMachine):
    """The contract on a file, closed and opened again by `start_again`."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.loop = OnLoop()
        self.folder = tempfile.mkdtemp()
        self.engine = self.run(self.open_engine())

    def open_engine(self) -> Awaitable[SqliteEngine]:
        return SqliteEngine.open(f"{self.folder}/shop.db", clock=self.clock, lazy_expiry=self.is_lazy)

    def run(self, work: Awaitable[T]) -> T:
        return self.loop(work)  # type: ignore[no-any-return]

    def restart(self) -> None:
        self.run(self.engine.close())
        self.engine = self.run(self.open_engine())

    def teardown(self) -> None:
        self.run(self.engine.close())
        self.loop.close()
        shutil.rmtree(self.folder)


class OtherLayersMachine(SqliteMachine):
    """The same without the store's own expiry: only the delay queue and the sweep end holds."""

    is_lazy = False


LIMITS = settings(max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
SqliteMachine.TestCase.settings = OtherLayersMachine.TestCase.settings = LIMITS
TestContract = SqliteMachine.TestCase
TestContractOfOtherLayers = OtherLayersMachine.TestCase


async def test_second_writer_is_refused(tmp_path: Path) -> None:
    """A file has one shop; the second is told so at once, and may start when the first has ended."""
    path = str(tmp_path / "shop.db")
    first = await SqliteEngine.open(path)
    with pytest.raises(NotLeader):
        await SqliteEngine.open(path)
    await first.close()
    await (await SqliteEngine.open(path)).close()


async def test_failed_batch_leaves_nothing(tmp_path: Path) -> None:
    """When the store refuses a batch, nothing of it happened, and the next batch goes on from the truth."""
    path = str(tmp_path / "shop.db")
    engine = await SqliteEngine.open(path)
    await engine.apply([OpenSale(sale_of(5, 1, "s", LONG_MS))])
    other = sqlite3.connect(path)
    other.execute("CREATE TRIGGER no BEFORE INSERT ON holds BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(StoreError, match="disk full"):
        await engine.apply([Reserve("s", f"u{n}", f"h{n}", f"k{n}") for n in range(3)])
    other.execute("DROP TRIGGER no")
    other.close()
    outcomes = await engine.apply([Look("s"), Reserve("s", "u1", "h9", "k1"), Reserve("s", "u1", "h10", "k1")])
    assert [outcome.stock.free for outcome in outcomes] == [5, 4, 4]
    assert isinstance(outcomes[2], Done)
    assert outcomes[2].repeated
    await engine.close()


async def test_keys_are_kept_a_day(tmp_path: Path) -> None:
    """A key answers alike for 24 hours, over a restart too, and is forgotten afterwards."""
    clock = ManualClock()
    path = str(tmp_path / "shop.db")
    engine = await SqliteEngine.open(path, clock=clock)
    await engine.apply([OpenSale(sale_of(0, 1, "s"))])
    for passed_ms, is_known in ((0, True), (86_400_000 - 1, True), (86_400_001, False)):
        refused = await engine.apply([Reserve("s", "u", "h", "k", "a")])
        assert isinstance(refused[0], Refused)
        start_ms = clock.now_ms
        clock.now_ms += passed_ms
        await engine.close()
        engine = await SqliteEngine.open(path, clock=clock)
        other = (await engine.apply([Reserve("s", "u", "h", "k", "b")]))[0]
        assert isinstance(other, Refused)
        assert (other.reason == "key_reused") == is_known
        clock.now_ms = start_ms + 200_000_000  # the next case starts with a key that is long forgotten
    await engine.close()
