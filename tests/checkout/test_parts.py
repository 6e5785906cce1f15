"""The forwarder and the sweeper as separate processes, and the audit of a shop with its stock in Redis."""

import asyncio
import json
import re
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
from checkout.expiry import QUEUE_EVERY_S
from checkout.settings import parse
from tests.checkout.servers import NO_SYNC, PostgresServer, RedisServer, postgres_server, redis_server
from tests.checkout.shop_processes import Process, end_all
from tests.ports import free_port

DEADLINE_S = 90.0


@dataclass
class Parts:
    """A shop of several processes that can be killed and started."""

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
    await db.execute("DROP TABLE IF EXISTS refusals, events, orders, holds, stock, sales, batches, epochs")
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
    """Delete everything in Redis."""
    client = redis.Redis.from_url(server.url)
    client.flushall()
    client.close()


async def ask(url: str, method: str = "GET", ticket: str = "t", key: str = "") -> tuple[int, str]:
    """Send one request, and repeat it until the shop listens."""
    headers = {"X-Stanchion-Ticket": ticket, "Accept": "application/json", **({"Idempotency-Key": key} if key else {})}
    async with ClientSession() as client, asyncio.timeout(DEADLINE_S):
        while True:
            try:
                async with client.request(method, url, headers=headers) as answer:
                    return answer.status, await answer.text()
            except ClientError:
                await asyncio.sleep(0.05)


async def start(parts: Parts) -> None:
    """Start the forwarder and the shop. A shop that has waited too long for the forwarder is started again."""
    parts.forwarder.start()
    async with ClientSession() as client, asyncio.timeout(DEADLINE_S):
        while True:
            parts.shop.start()
            try:
                async with client.get(f"{parts.url}/health"):
                    return
            except ClientError:
                await asyncio.sleep(0.1)


async def wait_clock(parts: Parts, until_ms: float) -> None:
    """Wait until the shop's clock shows a time."""
    async with asyncio.timeout(DEADLINE_S):
        while json.loads((await ask(f"{parts.url}/api/sales/launch"))[1])["now_ms"] < until_ms:
            await asyncio.sleep(0.05)


async def wait_metric(parts: Parts, line: str) -> None:
    """Wait until the shop's metrics contain a line."""
    async with asyncio.timeout(DEADLINE_S):
        while line not in (await ask(parts.url + "/metrics"))[1].splitlines():
            await asyncio.sleep(0.05)


async def test_each_part_does_its_own_work(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the sweeper no hold ends, without the forwarder nothing is answered; after a kill they go on."""
    await start(parts)
    status, hold = await ask(f"{parts.url}/api/sales/launch/holds", "POST", "a", "k1")
    assert status == 201
    assert (await ask(f"{parts.url}/checkout", "POST", "b"))[0] == 201
    # A sweeper inside the shop would have ended the hold by then.
    await wait_clock(parts, json.loads(hold)["ends_ms"] + 1000 * QUEUE_EVERY_S)
    await wait_metric(parts, 'shop_units{sale="launch",state="held"} 1.0')
    parts.sweeper.start()
    await wait_metric(parts, 'shop_units{sale="launch",state="free"} 1.0')
    await wait_metric(parts, "shop_events_unforwarded 0.0")
    parts.forwarder.kill()
    parts.forwarder.start()
    # The hold is short: it may end while the forwarder starts, because a buyer gets no answer in this time.
    async with asyncio.timeout(DEADLINE_S):
        while (await ask(f"{parts.url}/checkout", "POST", "c"))[0] != 201:
            pass
    await wait_metric(parts, "shop_events_unforwarded 0.0")
    await wait_metric(parts, "shop_store_up 1.0")
    assert await asyncio.to_thread(main, ["audit", "launch", "--config", str(parts.file)]) == 0
    printed = capsys.readouterr().out.splitlines()
    results = [re.sub(r"\d+ events", "", line) for line in printed]
    assert results == [f"launch in {store}: , 0 free, 0 held, 2 sold: clean" for store in ("redis", "postgres")]
    forged = redis.Redis.from_url(parts.redis.url)
    forged.delete("{shop}:orders")
    forged.close()
    assert await asyncio.to_thread(main, ["audit", "launch", "--config", str(parts.file), "--json"]) == 1
    assert {(row["store"], row["rule"]) for row in json.loads(capsys.readouterr().out)} == {("redis", "orders")}


async def test_a_shop_without_forwarder_does_not_start_on_an_emptied_redis(parts: Parts) -> None:
    """It starts when the forwarder has rebuilt the stock from the orders, and sold units stay sold."""
    await start(parts)
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
def test_separate_parts_need_a_stock_in_redis(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For other stores the commands and the setting are errors, not ignored."""
    file = tmp_path / "shop.yaml"
    file.write_text("engine: {kind: sqlite}")
    assert main([command, "--config", str(file)]) == 2
    assert "needs the stock in Redis" in capsys.readouterr().err
    assert main(["serve", "--without", command]) == 2
    assert "has one writer" in capsys.readouterr().err


async def test_the_audit_reads_postgres(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    """The audit reads the stores that the settings name."""
    raw = {"engine": {"kind": "postgres", "url": parts.postgres.url}, "listen": "127.0.0.1:0", "product": {"stock": 7}}
    parts.file.write_text(yaml.safe_dump(raw))
    async with running_shop(parse(raw)):
        pass
    assert await asyncio.to_thread(main, ["audit", "launch", "--config", str(parts.file)]) == 0
    assert "launch in postgres: 1 events, 7 free, 0 held, 0 sold: clean" in capsys.readouterr().out
    assert await asyncio.to_thread(main, ["audit", "other", "--config", str(parts.file)]) == 2
    assert "no sale 'other'" in capsys.readouterr().err
