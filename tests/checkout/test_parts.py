"""Forwarder and sweeper as processes of their own, beside shops that serve without them; the audit of such a shop."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import redis
import yaml
from aiohttp import ClientError, ClientSession

from checkout.app import running_shop
from checkout.cli import main
from checkout.errors import StoreError
from checkout.settings import parse
from tests.checkout.chaos import Process, end_all
from tests.checkout.servers import NO_SYNC, PostgresServer, RedisServer, postgres_server, redis_server
from tests.ports import free_port

DEADLINE_S = 20.0


@dataclass
class Parts:
    """A shop in pieces. Every piece can be killed and started."""

    url: str
    file: Path
    shop: Process
    forwarder: Process
    sweeper: Process
    redis: RedisServer
    postgres: PostgresServer

    def raw(self, port: int = 0) -> dict[str, object]:
        settings: dict[str, object] = yaml.safe_load(self.file.read_text())
        return settings | {"listen": f"127.0.0.1:{port}"}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RedisServer, PostgresServer]]:
    with redis_server() as stock, postgres_server(*NO_SYNC) as orders:
        yield stock, orders


@pytest.fixture
async def parts(tmp_path: Path, servers: tuple[RedisServer, PostgresServer]) -> AsyncIterator[Parts]:
    stock, orders = servers
    flush(stock)
    db = await asyncpg.connect(orders.url)
    await db.execute("DROP TABLE IF EXISTS refusals, events, orders, holds, stock, sales")
    await db.close()
    with ExitStack() as stack:
        port, file = free_port(), tmp_path / "shop.yaml"
        settings = {
            "listen": f"127.0.0.1:{port}",
            "engine": {"kind": "redis", "url": stock.url, "orders_url": orders.url},
            "without": ["forwarder", "sweeper"],
            "product": {"stock": 2, "hold_seconds": 0.5},
            "capacity": {"checkouts_per_second": 1000.0, "seconds_per_checkout": 0.0},
        }
        file.write_text(yaml.safe_dump(settings))
        processes = [Process(command, file) for command in ("serve", "forwarder", "sweeper")]
        stack.callback(end_all, processes)
        yield Parts(f"http://127.0.0.1:{port}", file, *processes, stock, orders)


def flush(server: RedisServer) -> None:
    """All is forgotten."""
    client = redis.Redis.from_url(server.url)
    client.flushall()
    client.close()


async def ask(url: str, method: str = "GET", ticket: str = "t", key: str = "") -> tuple[int, str]:
    """One request, repeated until somebody listens."""
    headers = {"X-Stanchion-Ticket": ticket, "Accept": "application/json", **({"Idempotency-Key": key} if key else {})}
    async with ClientSession() as client, asyncio.timeout(DEADLINE_S):
        while True:
            try:
                async with client.request(method, url, headers=headers) as answer:
                    return answer.status, await answer.text()
            except ClientError:
                await asyncio.sleep(0.05)


async def wait_metric(parts: Parts, line: str) -> None:
    """Until the shop's metrics hold a line."""
    async with asyncio.timeout(DEADLINE_S):
        while line not in (await ask(parts.url + "/metrics"))[1].splitlines():
            await asyncio.sleep(0.05)


async def test_each_part_does_its_own_work(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing ends and nothing arrives while the parts do not run; after a kill they go on where they were."""
    parts.shop.start()
    assert (await ask(f"{parts.url}/api/sales/launch/holds", "POST", "a", "k1"))[0] == 201
    assert (await ask(f"{parts.url}/checkout", "POST", "b"))[0] == 201
    await asyncio.sleep(1.0)  # the hold is over now, and nothing must come of it
    await wait_metric(parts, 'shop_units{sale="launch",state="held"} 1.0')
    await wait_metric(parts, "shop_events_unforwarded 5.0")
    parts.sweeper.start()
    await wait_metric(parts, 'shop_units{sale="launch",state="free"} 1.0')
    await wait_metric(parts, "shop_events_unforwarded 6.0")
    parts.forwarder.start()
    await wait_metric(parts, "shop_events_unforwarded 0.0")
    parts.forwarder.kill()
    parts.forwarder.start()
    assert (await ask(f"{parts.url}/checkout", "POST", "c"))[0] == 201
    await wait_metric(parts, "shop_events_unforwarded 0.0")
    await wait_metric(parts, "shop_store_up 1.0")
    assert await asyncio.to_thread(main, ["audit", "launch", "--config", str(parts.file)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"launch in {store}: 9 events, 0 free, 0 held, 2 sold: clean" for store in ("redis", "postgres")]
    forged = redis.Redis.from_url(parts.redis.url)
    forged.delete("{shop}:orders")
    forged.close()
    assert await asyncio.to_thread(main, ["audit", "launch", "--config", str(parts.file), "--json"]) == 1
    assert {(row["store"], row["rule"]) for row in json.loads(capsys.readouterr().out)} == {("redis", "orders")}


async def test_a_shop_without_forwarder_does_not_sell_from_a_redis_that_forgot(parts: Parts) -> None:
    """It refuses to start until the forwarder has rebuilt the stock from the orders; then what was sold stays sold."""
    parts.shop.start()
    parts.forwarder.start()
    assert (await ask(f"{parts.url}/checkout", "POST", "b"))[0] == 201
    await wait_metric(parts, "shop_events_unforwarded 0.0")
    parts.shop.kill()
    parts.forwarder.kill()
    flush(parts.redis)
    with pytest.raises(StoreError, match="start the forwarder first"):
        async with running_shop(parse(parts.raw())):
            pass
    parts.forwarder.start()
    async with asyncio.timeout(DEADLINE_S):
        while True:
            parts.shop.start()
            try:
                async with ClientSession() as client_session, client_session.get(f"{parts.url}/stock") as answer:
                    assert (await answer.json())["sold"] == 1
                    break
            except ClientError:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("command", ["forwarder", "sweeper"])
def test_only_a_stock_in_redis_has_parts(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With one writer there is nothing to take out of its process: said, not ignored."""
    file = tmp_path / "shop.yaml"
    file.write_text("engine: {kind: sqlite}")
    assert main([command, "--config", str(file)]) == 2
    assert "only a stock in Redis" in capsys.readouterr().err
    assert main(["serve", "--without", command]) == 2
    assert "has one writer" in capsys.readouterr().err


async def test_audit_of_postgres(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    """The stores that the settings name are the ones that are read."""
    raw = {"engine": {"kind": "postgres", "url": parts.postgres.url}, "listen": "127.0.0.1:0", "product": {"stock": 7}}
    parts.file.write_text(yaml.safe_dump(raw))
    async with running_shop(parse(raw)):
        pass
    assert await asyncio.to_thread(main, ["audit", "launch", "--config", str(parts.file)]) == 0
    assert "launch in postgres: 1 events, 7 free, 0 held, 0 sold: clean" in capsys.readouterr().out
    assert await asyncio.to_thread(main, ["audit", "other", "--config", str(parts.file)]) == 2
    assert "no sale 'other'" in capsys.readouterr().err
