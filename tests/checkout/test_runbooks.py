"""The shop's entries of docs/runbooks.md, played: the fault, its alarm, the steps, and the end of the alarm."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from checkout.bank import Bank
from checkout.bank_client import bank_app
from checkout.clock import wall_ms
from checkout.values import Event
from tests.checkout.conftest import Serve
from tests.checkout.playing import buy, metric, preflight, run_command, settings_file, until, until_metric
from tests.checkout.servers import NO_SYNC, postgres_server, redis_server
from tests.ports import free_port


async def audit(capsys: pytest.CaptureFixture[str], file: Path, *more: str) -> tuple[int, str]:
    return await run_command(capsys, "audit", "launch", "--config", str(file), *more)


async def test_oversold(serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second program writes orders into the shop's tables. Its rows repeat the right numbers; the alarm counts."""
    with postgres_server(*NO_SYNC) as postgres:
        engine: dict[str, Any] = {"kind": "postgres", "url": postgres.url}
        file = settings_file(tmp_path, engine=engine)
        async with serve(stock=2, engine=engine) as visit:
            assert [await buy(visit.client, user) for user in ("a", "b", "c")] == [201, 201, 409]
            await until_metric(visit.client, "shop_relay_behind", 0)
            await until_metric(visit.client, "shop_oversold_units", 0, sale="launch")
            db = await asyncpg.connect(postgres.url)
            last = Event(*await db.fetchrow("SELECT * FROM events ORDER BY seq DESC LIMIT 1"))
            forged = last._replace(
                seq=last.seq + 1, hold="stray", user="x", at_ms=wall_ms(), kind="sold", charge="ch_x"
            )
            places = ", ".join(f"${at + 1}" for at in range(len(forged)))
            await db.execute(f"INSERT INTO events VALUES ({places})", *forged)
            await until_metric(visit.client, "shop_oversold_units", 1, sale="launch")
            code, said = await audit(capsys, file)
            assert (code, "trail" in said or "orders" in said) == (1, True)
            assert "1 units are sold beyond the total" in (await preflight(capsys, file, "--url", visit.shop.url))[2]
            await db.execute("DELETE FROM events WHERE hold = 'stray'")  # the newest copy of the store is restored
            await db.close()
        assert (await run_command(capsys, "audit", "launch", "--config", str(file)))[0] == 0
        async with serve(stock=2, engine=engine) as visit:
            await until_metric(visit.client, "shop_oversold_units", 0, sale="launch")
            assert await buy(visit.client, "c") == 409


async def test_the_stock_store_is_down(serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Buyers get a 503 with the way out, and the repeated request gets what the first one made."""
    with postgres_server(*NO_SYNC) as postgres:
        engine: dict[str, Any] = {"kind": "postgres", "url": postgres.url}
        async with serve(stock=5, engine=engine) as visit:
            assert await buy(visit.client, "a") == 201
            assert await metric(visit.client, "shop_store_up") == 1
            await asyncio.to_thread(postgres.kill)
            assert await buy(visit.client, "b") == 503
            await until_metric(visit.client, "shop_store_up", 0)
            async with visit.client.get("/health") as answer:
                assert answer.status == 503
            await asyncio.to_thread(postgres.start)
            await until_metric(visit.client, "shop_store_up", 1)

            async def bought() -> bool:
                return await buy(visit.client, "b") == 201

            await until(bought, "the repeated request is answered")
            assert await buy(visit.client, "b") == 201
            assert (await visit.shop.inventory.stock("launch")) == (3, 0, 2, (await _last(postgres.url)))
        assert (await audit(capsys, settings_file(tmp_path, engine=engine)))[0] == 0


async def _last(url: str) -> int:
    db = await asyncpg.connect(url)
    seq = await db.fetchval("SELECT max(seq) FROM events")
    await db.close()
    return int(seq)


async def test_the_payment_provider_is_down(serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Buyers get a 504. When the provider is back, each payment is settled, and nobody paid twice."""
    port, journal = free_port(), tmp_path / "bank.journal"
    bank = Bank(journal=journal)
    engine: dict[str, Any] = {"path": str(tmp_path / "shop.db")}
    payment: dict[str, object] = {"url": f"http://127.0.0.1:{port}", "timeout_seconds": 5.0}
    async with serve(stock=5, engine=engine, sections={"payment": payment}, hold_seconds=600.0) as visit:
        assert await buy(visit.client, "a") == 504
        assert (await metric(visit.client, "shop_payment_attempts_total", result="no_answer") or 0) >= 1
        assert await metric(visit.client, "shop_payments_unsettled") == 1
        runner = web.AppRunner(bank_app(bank), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        assert await buy(visit.client, "b") == 201

        async def settled() -> bool:
            """The buyer pays again. It is the same charge."""
            return await buy(visit.client, "a") in (201, 409)

        await until(settled, "the first buyer is answered")
        assert await metric(visit.client, "shop_payment_attempts_total", result="answered") != 0
        await runner.cleanup()
    bank.close()
    charged = [move.intent for move in bank.movements if move.kind == "charge"]
    assert len(charged) == len(set(charged))
    file = settings_file(tmp_path, engine=engine)
    assert (await audit(capsys, file, "--bank", str(journal)))[0] == 0


async def test_events_lag(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bus is down, comes back, and loses everything. The sale goes on, and the events are all there in the end."""
    with redis_server() as redis:
        engine: dict[str, Any] = {"path": str(tmp_path / "shop.db")}
        events: dict[str, Any] = {"kind": "redis", "url": redis.url}
        notices: dict[str, Any] = {"webhook": f"http://127.0.0.1:{free_port()}/"}
        monkeypatch.setenv("CHECKOUT_WEBHOOK_SECRET", "a secret of the webhook")
        file = settings_file(tmp_path, engine=engine, events=events, notices=notices)
        async with serve(stock=5, engine=engine, sections={"events": events, "notices": notices}) as visit:
            assert await buy(visit.client, "a") == 201
            await until_metric(visit.client, "shop_relay_behind", 0)
            await asyncio.to_thread(redis.kill)
            await until_metric(visit.client, "shop_bus_up", 0)
            assert await buy(visit.client, "b") == 201
            await asyncio.to_thread(redis.start)
            await until_metric(visit.client, "shop_bus_up", 1)
            await until(lambda: _units(visit.client, 2), "both orders are counted")
            code, said = await run_command(capsys, "events", "--config", str(file), "--clear", "sales")
            assert (code, said) == (0, "sales: removed\n")
            assert await buy(visit.client, "c") == 201
            await until(lambda: _units(visit.client, 3), "everything is published again")
            await until_metric(visit.client, "shop_bus_lag", 0)
            code, said = await run_command(capsys, "events", "--config", str(file), "--dead")
            assert (code, "notices: 0 left, 0 dead letters" in said) == (0, True)
        for name in ("shop.db", "shop.db.journal"):
            (tmp_path / name).unlink()
        async with serve(stock=5, engine=engine, sections={"events": events, "notices": notices}) as visit:
            await until_metric(visit.client, "shop_relay_blocked", 1)
            assert "different histories" in (await preflight(capsys, file, "--url", visit.shop.url))[2]
            assert (await run_command(capsys, "events", "--config", str(file), "--clear", "sales"))[0] == 0
            await until_metric(visit.client, "shop_relay_blocked", 0)
            await until_metric(visit.client, "shop_relay_behind", 0)
        assert (await run_command(capsys, "events", "--config", str(file), "--clear", "luck"))[0] == 2


async def _units(client: Any, units: int) -> bool:
    async with client.get("/api/best-sellers") as answer:
        rows = await answer.json()
    return bool(rows) and rows[0]["units_7d"] == units
