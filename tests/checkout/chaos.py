"""A sale under kill -9: real shop processes, real stores, thousands of buyers, and a checker that believes
nobody.

    python -m tests.checkout.chaos --engine postgres --stock 10000 --rounds 50 --seed 1

With SQLite one process is API, writer, sweeper and queue worker, and killing it kills them all at whatever they
are doing. With PostgreSQL two such processes run, leader and standby. With Redis two shops decide side by
side, and the forwarder and the sweeper (with the delay queue's worker) are processes of their own. A round is one kill
of one victim at a random moment; the victim is started again. The bank and the buyers live here and are
never killed: what the buyers were told and what the bank wrote down is the evidence that no store can
forge.

    30 % of the buyers with a unit walk away at payment, 10 % are declined, 5 % cancel, 5 % pay at a bank
    whose answer is lost. Every request is repeated with its key until it is answered.
"""

import argparse
import asyncio
import contextlib
import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg
import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

from checkout.audit import Finding, audit
from checkout.bank import Bank
from checkout.bank_client import bank_app
from checkout.clock import wall_ms
from checkout.engines.postgres import read_evidence as read_postgres
from checkout.engines.redis import RedisEngine
from checkout.engines.sqlite import read_evidence as read_sqlite
from checkout.evidence import Evidence, Told
from checkout.tasks import beside
from tests.checkout.servers import PostgresServer, RedisServer, postgres_server, redis_server
from tests.ports import free_port

SALE = "launch"
BUYERS_AT_ONCE = 64
PATIENCE_S = 0.5  # between two attempts while others still pay
MOST_WAITS = 60
RESTART_S = 0.2
MAX_QUIET_S = 60.0


@dataclass
class Plan:
    engine: str = "sqlite"
    stock: int = 10_000
    rounds: int = 50
    seed: int = 1
    kill_every_s: tuple[float, float] = (0.3, 3.0)
    buyers_per_unit: float = 3.0
    hold_s: float = 3.0


@dataclass
class Result:
    kills: Counter[str] = field(default_factory=Counter)
    told: list[Told] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    buyers: int = 0
    sold: int = 0
    seconds: float = 0.0
    worst_s: float = 0.0


class Process:
    """A `checkout COMMAND --config FILE` that can be killed and started again."""

    def __init__(self, command: str, file: Path) -> None:
        self._command = [sys.executable, "-m", "checkout", command, "--config", str(file)]
        self._log = file.with_name(f"{file.stem}-{command}.log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Unless it runs."""
        if self._process is None or self._process.poll() is not None:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()


def end_all(processes: Sequence[Process]) -> None:
    """In order, all at the same time."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.kill(signal.SIGTERM)


class ShopProcess(Process):
    """One `checkout serve`, always on the same port."""

    def __init__(self, folder: Path, port: int, engine: dict[str, Any], plan: "Plan", bank: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.file = folder / f"shop-{port}.yaml"
        settings = {
            "listen": f"127.0.0.1:{port}",
            "sale": SALE,
            "engine": engine,
            "without": ["forwarder", "sweeper"] if engine["kind"] == "redis" else [],
            "product": {"stock": plan.stock, "hold_seconds": plan.hold_s},
            "capacity": {"checkouts_per_second": 1e6, "seconds_per_checkout": 0.01},
            "payment": {"url": bank, "timeout_seconds": 2.0},
        }
        self.file.write_text(yaml.safe_dump(settings))
        super().__init__("serve", self.file)

    def is_listening(self) -> bool:
        """A standby does not listen until it leads."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Buyer:
    """One visitor: reserves, then pays, walks away, cancels or is declined; asks again until answered."""

    def __init__(
        self, client: ClientSession, urls: list[str], number: int, draw: random.Random, result: Result
    ) -> None:
        self._client = client
        self._urls = urls
        self.user = f"ticket:b{number}"
        self._headers = {"X-Stanchion-Ticket": f"b{number}"}
        self._draw = draw
        self._result = result
        self._is_over = False

    async def shop(self, ended: asyncio.Event) -> None:
        """Up to three attempts, each with keys of its own; while others still pay, what they leave is
        waited for.
        """
        for attempt in range(MOST_WAITS):
            if await self._attempt(attempt) or ended.is_set():
                return

    async def _attempt(self, attempt: int) -> bool:
        key = f"{attempt}-{self._draw.getrandbits(64):x}"
        status, body = await self._ask(f"/api/sales/{SALE}/holds", key, {})
        if status != 201:
            if self._is_over or body.get("type", "").endswith("per-user"):
                return True
            await asyncio.sleep(PATIENCE_S)
            return False
        hold, scoped = body["hold"], f"{self.user}/{key}"
        self._result.told.append(Told("held", SALE, self.user, scoped, hold))
        luck = self._draw.random()
        if luck < 0.30:
            return True
        if luck < 0.35:
            await self._ask(f"/api/holds/{hold}/cancellation", key + "c", {})
            return True
        card = "decline" if luck < 0.45 else "lost" if luck < 0.50 else "ok"
        status, _ = await self._ask(f"/api/holds/{hold}/payment", key + "p", {"card": card})
        if status == 201:
            self._result.told.append(Told("sold", SALE, self.user, scoped, hold))
        return status == 201

    async def _ask(self, path: str, key: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Repeat one request with its key until somebody answers it; 503 and 409 key-running are no answers
        yet.
        """
        started = time.monotonic()
        for tries in range(10_000):
            url = self._urls[tries % len(self._urls)]
            try:
                headers = {**self._headers, "Idempotency-Key": key}
                async with self._client.post(url + path, json=body, headers=headers) as answer:
                    told = await answer.json(content_type=None)
                    self._is_over = answer.headers.get("Stanchion-Command") == "sold-out"
                    running = answer.status == 409 and told.get("type", "").endswith("key-running")
                    if answer.status not in (503, 504) and not running:
                        self._result.worst_s = max(self._result.worst_s, time.monotonic() - started)
                        return answer.status, told
                    pause = 0.2
            except (ClientError, TimeoutError, OSError, json.JSONDecodeError):
                pause = 0.1
            await asyncio.sleep(pause)
        raise AssertionError(f"{path} with key {key} was never answered")


async def run(plan: Plan) -> Result:
    """Play the sale and judge it."""
    started = time.monotonic()
    result = Result(buyers=int(plan.stock * plan.buyers_per_unit))
    draw = random.Random(plan.seed)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bank = Bank(0.01)
        bank_url = await stack.enter_async_context(serving_app(bank_app(bank)))
        engine, servers = stack.enter_context(_stores(plan.engine, folder))
        count = 1 if plan.engine == "sqlite" else 2
        shops = [ShopProcess(folder, free_port(), engine, plan, bank_url) for _ in range(count)]
        parts = {}
        if plan.engine == "redis":
            parts = {name: Process(name, shops[0].file) for name in ("forwarder", "sweeper")}
        processes = [*shops, *parts.values()]
        stack.callback(end_all, processes)
        await stack.enter_async_context(beside(_keep_running(processes)))
        ended = asyncio.Event()
        connector = TCPConnector(limit=BUYERS_AT_ONCE, force_close=True)
        client = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(10), connector=connector))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_killer(plan, shops, parts, servers, draw, result, ended))
            urls = [shop.url for shop in shops]
            numbers = iter(range(result.buyers))
            crowd = [
                tasks.create_task(_queue_up(numbers, client, urls, plan.seed, result, ended))
                for _ in range(BUYERS_AT_ONCE)
            ]
            await asyncio.wait(crowd)
            ended.set()
        evidence = await _quiet(engine, bank)
        told = replace(evidence, told=result.told, movements=bank.movements)
        result.findings = audit(told, is_quiet=True)
        if engine["kind"] == "redis":
            result.findings += audit(replace(await _redis_evidence(engine), told=result.told), is_quiet=True)
        result.sold = evidence.stock.sold
    result.seconds = time.monotonic() - started
    return result


async def _queue_up(
    numbers: Iterator[int],
    client: ClientSession,
    urls: list[str],
    seed: int,
    result: Result,
    ended: asyncio.Event,
) -> None:
    for number in numbers:
        if ended.is_set():
            return
        await Buyer(client, urls, number, random.Random(f"{seed}/{number}"), result).shop(ended)


async def _killer(
    plan: Plan,
    shops: list[ShopProcess],
    parts: dict[str, Process],
    servers: dict[str, RedisServer | PostgresServer],
    draw: random.Random,
    result: Result,
    ended: asyncio.Event,
) -> None:
    """One victim a round, at a random moment; then it is started again."""
    for _ in range(plan.rounds):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), draw.uniform(*plan.kill_every_s))
            return
        name = draw.choice(["shop", *parts, *servers])
        if name in servers:
            servers[name].kill()
            await asyncio.to_thread(servers[name].start)
        else:
            victim = parts[name] if name in parts else draw.choice(shops)
            if plan.engine == "postgres" and isinstance(victim, ShopProcess):
                name = "leader" if victim.is_listening() else "standby"
            victim.kill()
        result.kills[name] += 1


async def _keep_running(processes: Sequence[Process]) -> None:
    """Start whatever was killed, or gave up because its store was away, as systemd would."""
    while True:
        for process in processes:
            process.start()
        await asyncio.sleep(RESTART_S)


@contextlib.contextmanager
def _stores(kind: str, folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    with ExitStack() as stack:
        if kind == "sqlite":
            yield {"kind": kind, "path": str(folder / "shop.db")}, {}
        elif kind == "postgres":
            postgres = stack.enter_context(postgres_server())
            yield {"kind": kind, "url": postgres.url, "standby": True}, {"postgres": postgres}
        else:
            redis, postgres = stack.enter_context(redis_server()), stack.enter_context(postgres_server())
            engine = {"kind": kind, "url": redis.url, "orders_url": postgres.url}
            yield engine, {"redis": redis, "postgres": postgres}


@asynccontextmanager
async def serving_app(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _quiet(engine: dict[str, Any], bank: Bank) -> Evidence:
    """The durable evidence when nothing is under way any more; what never comes to rest is for the checker
    to say.
    """
    until = time.monotonic() + MAX_QUIET_S
    while True:
        evidence = await _read(engine)
        open_holds = [hold for hold in evidence.holds if hold.state in ("held", "paying") or hold.money == "started"]
        behind = engine["kind"] == "redis" and (await _redis_evidence(engine)).events != evidence.events
        if (not open_holds and not behind) or time.monotonic() > until:
            return evidence
        await asyncio.sleep(0.5)


async def _read(engine: dict[str, Any]) -> Evidence:
    if engine["kind"] == "sqlite":
        db = sqlite3.connect(f"file:{engine['path']}?mode=ro", uri=True, isolation_level=None)
        evidence = read_sqlite(db, SALE, wall_ms())
        db.close()
    else:
        sql = await asyncpg.connect(engine.get("orders_url") or engine["url"])
        evidence = await read_postgres(sql, SALE, wall_ms())
        await sql.close()
    assert evidence is not None, "the sale itself is gone"
    return evidence


async def _redis_evidence(engine: dict[str, Any]) -> Evidence:
    stock = await RedisEngine.open(engine["url"])
    evidence = await stock.evidence(SALE)
    await stock.close()
    assert evidence is not None, "the sale itself is gone"
    return evidence


def main() -> int:
    parser = argparse.ArgumentParser(description="a sale under kill -9")
    plan = Plan()
    parser.add_argument("--engine", choices=["sqlite", "redis", "postgres"], default=plan.engine)
    parser.add_argument("--stock", type=int, default=plan.stock)
    parser.add_argument("--rounds", type=int, default=plan.rounds)
    parser.add_argument("--seed", type=int, default=plan.seed)
    parser.add_argument("--kill-every", type=float, nargs=2, default=plan.kill_every_s, metavar="SECONDS")
    options = parser.parse_args()
    plan = Plan(options.engine, options.stock, options.rounds, options.seed, tuple(options.kill_every))
    result = asyncio.run(run(plan))
    kills = ", ".join(f"{count} x {name}" for name, count in sorted(result.kills.items()))
    print(
        f"{options.engine}: {options.stock} units, {result.buyers} buyers, kills: {kills}; "
        f"sold {result.sold}, told {len(result.told)} times, slowest answer {result.worst_s:.1f} s; "
        f"{len(result.findings)} findings, {result.seconds:.0f} s, seed {options.seed}"
    )
    for finding in result.findings[:20]:
        print(f"  {finding.rule}: {finding.text}")
    return 1 if result.findings or result.sold != options.stock else 0


if __name__ == "__main__":
    sys.exit(main())
