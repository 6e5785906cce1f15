"""The SQLite store: the contract, one writer for each file, one transaction for each batch."""

import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable
from pathlib import Path

import pytest

from checkout.engines.sqlite import SqliteEngine
from checkout.errors import NotLeader, StoreError
from checkout.values import Done, OpenSale, ReadStock, Refused, Reserve
from tests.checkout.engines.contract import LONG_MS, ManualClock, StoreMachine, limited, sale_of


class SqliteMachine(StoreMachine):
    """The contract on a file. `start_again` closes the file and opens it again."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp()
        super().__init__()

    def open_engine(self) -> Awaitable[SqliteEngine]:
        return SqliteEngine.open(f"{self.folder}/shop.db", clock=self.clock, lazy_expiry=self.is_lazy)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


class OtherLayersMachine(SqliteMachine):
    """The contract without the store's own layer of expiry: only the delay queue and the sweep end holds."""

    is_lazy = False


SqliteMachine.TestCase.settings = OtherLayersMachine.TestCase.settings = limited(25)
TestContract = SqliteMachine.TestCase
TestContractOfOtherLayers = OtherLayersMachine.TestCase


async def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    """A second shop on the same file fails at once, and may start when the first has ended."""
    path = str(tmp_path / "shop.db")
    first = await SqliteEngine.open(path)
    with pytest.raises(NotLeader):
        await SqliteEngine.open(path)
    await first.close()
    await (await SqliteEngine.open(path)).close()


async def test_a_failed_batch_leaves_nothing(tmp_path: Path) -> None:
    """If the store refuses a batch, nothing of it happens, and the next batch starts from the stored state."""
    path = str(tmp_path / "shop.db")
    engine = await SqliteEngine.open(path)
    await engine.apply([OpenSale(sale_of(5, 1, "s", LONG_MS))])
    other = sqlite3.connect(path)
    other.execute("CREATE TRIGGER no BEFORE INSERT ON holds BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(StoreError, match="disk full"):
        await engine.apply([Reserve("s", f"u{n}", f"h{n}", f"k{n}") for n in range(3)])
    other.execute("DROP TRIGGER no")
    other.close()
    outcomes = await engine.apply([ReadStock("s"), Reserve("s", "u1", "h9", "k1"), Reserve("s", "u1", "h10", "k1")])
    assert [outcome.stock.free for outcome in outcomes] == [5, 4, 4]
    assert isinstance(outcomes[2], Done)
    assert outcomes[2].repeated
    await engine.close()


async def test_keys_are_kept_for_a_day(tmp_path: Path) -> None:
    """A key keeps its outcome for 24 hours, also over a restart, and is forgotten afterwards."""
    clock = ManualClock()
    path = str(tmp_path / "shop.db")
    engine = await SqliteEngine.open(path, clock=clock)
    await engine.apply([OpenSale(sale_of(0, 1, "s"))])
    for passed_ms, is_kept in ((0, True), (86_400_000 - 1, True), (86_400_001, False)):
        refused = await engine.apply([Reserve("s", "u", "h", "k", "a")])
        assert isinstance(refused[0], Refused)
        start_ms = clock.now_ms
        clock.now_ms += passed_ms
        await engine.close()
        engine = await SqliteEngine.open(path, clock=clock)
        other = (await engine.apply([Reserve("s", "u", "h", "k", "b")]))[0]
        assert isinstance(other, Refused)
        assert (other.reason == "key_reused") == is_kept
        clock.now_ms = start_ms + 200_000_000  # by the next case the key has been forgotten
    await engine.close()
