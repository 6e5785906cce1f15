"""The shop never oversells when its store lies. These sales are short; `make soak-shop` plays long ones.

The audit finds every one of these faults before the repair, and nothing after it.
"""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from checkout.engines.postgres import PostgresEngine
from checkout.engines.sqlite import SqliteEngine
from checkout.errors import StockUnknown, StoreError
from checkout.values import Done, OpenSale, ReadStock, Reserve, State
from tests.checkout.engines.contract import LONG_MS, sale_of
from tests.checkout.selling import audit_rules, sell
from tests.checkout.servers import NO_SYNC, postgres_server
from tests.checkout.store_lies import Plan, report, run

T = TypeVar("T")
SHORT: list[tuple[str, str, int]] = [("redis", "aof-cut-25", 1), ("sqlite", "file-replaced", 1)]


@pytest.mark.serial
@pytest.mark.parametrize(("engine", "fault", "shops"), SHORT)
async def test_a_sale_survives_a_store_that_lies(engine: str, fault: str, shops: int) -> None:
    """Nobody beyond the stock is told "sold", nobody pays without an order, and no answer becomes false."""
    plan = Plan(engine, fault, shops, stock=60, times=1, seed=3, every_s=(0.3, 0.8), hold_s=3.0)
    result = await run(plan)
    assert report(engine, fault, shops, plan.stock, result) == []
    assert result.faults == plan.times
    assert result.sold > 0


# -- SQLite ------------------------------------------------------------------------------------------------------


def copy_over(copy: Path, path: Path) -> None:
    shutil.copyfile(copy, path)


def put_in_place(copy: Path, path: Path) -> None:
    shutil.copy(copy, copy.with_suffix(".again"))
    copy.with_suffix(".again").replace(path)


def delete_store(_copy: Path, path: Path) -> None:
    path.unlink()


def damage(_copy: Path, path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


FILE_FAULTS = [copy_over, put_in_place, delete_store, damage]


@pytest.mark.parametrize("fault", FILE_FAULTS)
@pytest.mark.parametrize("is_running", [True, False])
async def test_an_older_file_is_rebuilt_from_the_journal(
    fault: Callable[[Path, Path], None], is_running: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under a running shop and before a start: every sold unit stays sold, and the trail says what happened."""
    path, copy = tmp_path / "shop.db", tmp_path / "copy.db"
    engine = await SqliteEngine.open(str(path))
    await engine.apply([OpenSale(sale_of(9, 9, "launch", LONG_MS))])
    await sell(engine, 0, 2)
    source, target = sqlite3.connect(path), sqlite3.connect(copy)
    source.backup(target)
    target.close()
    await sell(engine, 2, 3)
    source.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # otherwise the newer pages would be in the log, beside the file
    source.close()
    settings = {"kind": "sqlite", "path": str(path)}
    assert await audit_rules(settings, tmp_path, capsys) == set()
    if not is_running:
        await engine.close()
    fault(copy, path)
    if not is_running:
        if fault is not delete_store:
            assert await audit_rules(settings, tmp_path, capsys) & {"rolled-back", "damaged"}
        engine = await SqliteEngine.open(str(path))
    [outcome] = await engine.apply([ReadStock("launch")])
    assert outcome.stock[:3] == (4, 0, 5)
    assert isinstance((await engine.apply([Reserve("launch", "u4", "other", "k4", "f")]))[0], Done)
    trail = await engine.events("launch")
    assert [event.cause for event in trail if event.kind == "rebuilt"]
    await engine.close()
    assert await audit_rules(settings, tmp_path, capsys) == set()


@pytest.mark.parametrize("is_in_a_batch", [False, True])
async def test_another_file_in_place_of_the_store_is_not_taken_for_it(
    is_in_a_batch: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not if the log beside it makes it look whole, and not if it comes while the shop writes a batch."""
    path, copy = tmp_path / "shop.db", tmp_path / "copy.db"
    at_next_reading: list[Callable[[], object]] = []

    def clock() -> int:
        while at_next_reading:
            at_next_reading.pop()()
        return 1_000

    engine = await SqliteEngine.open(str(path), clock=clock)
    await engine.apply([OpenSale(sale_of(9, 9, "launch", LONG_MS))])
    await sell(engine, 0, 2)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    await sell(engine, 2, 2)
    if is_in_a_batch:
        at_next_reading.append(lambda: copy.replace(path))
    else:
        copy.replace(path)
    await sell(engine, 4, 1)
    await sell(engine, 5, 1)
    assert [event.kind for event in await engine.events("launch")].count("rebuilt") == 1
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await sell(engine, 6, 1)
    assert (await engine.apply([ReadStock("launch")]))[0].stock[:3] == (2, 0, 7)
    await engine.close()
    assert await audit_rules({"kind": "sqlite", "path": str(path)}, tmp_path, capsys) == set()


async def test_a_replaced_journal_stops_the_sale(tmp_path: Path) -> None:
    """If somebody replaces the journal of a running shop, nothing can be proved, so nothing is sold."""
    engine = await SqliteEngine.open(str(tmp_path / "shop.db"))
    await engine.apply([OpenSale(sale_of(9, 9, "launch", LONG_MS))])
    (tmp_path / "shop.db.journal").write_bytes(b"")
    with pytest.raises(StockUnknown, match="journal"):
        await engine.apply([ReadStock("launch")])
    await engine.close()


async def test_a_journal_that_was_cut_short_continues(tmp_path: Path) -> None:
    """A kill in the middle of a line costs nothing: the store has the batch, and the journal gets it again."""
    path = str(tmp_path / "shop.db")
    engine = await SqliteEngine.open(path)
    await engine.apply([OpenSale(sale_of(9, 9, "launch", LONG_MS))])
    await sell(engine, 0, 2)
    await engine.close()
    journal = tmp_path / "shop.db.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])
    engine = await SqliteEngine.open(path)
    await engine.close()
    events = [event for line in journal.read_bytes().splitlines() for event in json.loads(line)[1]]
    assert [event[0] for event in events] == list(range(1, 8))


# -- PostgreSQL --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_journal", [True, False])
async def test_a_restored_postgres_is_noticed(
    has_journal: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a journal the leader repairs it. Without one it sells nothing until it is started again.

    Nobody is told meanwhile that an order does not exist.
    """
    journal = str(tmp_path / "journal") if has_journal else ""
    with postgres_server(*NO_SYNC) as postgres:
        engine = await PostgresEngine.open(postgres.url, journal=journal)
        await engine.apply([OpenSale(sale_of(9, 9, "launch", LONG_MS))])
        await sell(engine, 0, 2)
        for copy in (postgres.save, postgres.restore):
            postgres.kill()
            await asyncio.to_thread(copy)
            await asyncio.to_thread(postgres.start)
            await answered(partial(engine.apply, [ReadStock("launch")])) if copy == postgres.save else None
            await sell(engine, 2, 3) if copy == postgres.save else None
        settings = {"kind": "postgres", "url": postgres.url, "journal": journal}
        if has_journal:
            assert await audit_rules(settings, tmp_path, capsys) == {"rolled-back"}
            hold = await answered(partial(engine.hold, "h4"))
            assert (hold and hold.state) == State.SOLD
            [outcome] = await engine.apply([ReadStock("launch")])
            assert outcome.stock[:3] == (4, 0, 5)
            assert await audit_rules(settings, tmp_path, capsys) == set()
        else:
            with pytest.raises(StockUnknown, match="restored to an older state"):
                await answered(partial(engine.hold, "h4"))
            with pytest.raises(StockUnknown, match="restored to an older state"):
                await engine.stock("launch")
            with pytest.raises(StockUnknown, match="restored to an older state"):
                await engine.apply([ReadStock("launch")])
        await engine.close()


async def answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Return what the store answers when it answers again."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask()
            except StockUnknown:
                raise
            except StoreError:  # the server is still starting
                await asyncio.sleep(0.05)
