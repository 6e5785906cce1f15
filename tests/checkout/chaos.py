"""A sale under kill -9: real shop processes, real stores and thousands of buyers, judged by the checker.

    python -m tests.checkout.chaos --engine postgres --stock 10000 --rounds 50 --seed 1

With SQLite one process is API, writer, sweeper and queue worker, so a kill ends all of them. With PostgreSQL two such
processes run, a leader and a standby. With Redis two shops decide side by side, and the forwarder and the sweeper (with
the delay queue's worker) are separate processes. A round kills one victim at a random moment and starts it again. The
bank and the buyers are part of this process and are never killed: the responses that the buyers received and the
journal of the bank are evidence that no store can forge.

Events, best sellers and notices are compared with the trail as well (`chaos_events.py`). Products are changed, read and
searched meanwhile, and compared with the operator's record (`chaos_catalogue.py`).

    Every third buyer checks out a cart. Of the others with a unit, 30 % leave without paying, 10 % are declined, 5 %
    cancel, 5 % pay and lose the bank's answer. Every request is repeated with its key until it is answered.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from checkout.audit import Finding, audit
from checkout.bank import Bank
from checkout.bank_client import bank_app
from checkout.evidence import ClientRecord
from checkout.tasks import background
from tests.checkout.chaos_catalogue import PRODUCT, TOKEN, TOKEN_ENV, CatalogueLoad
from tests.checkout.chaos_events import SECRET, SECRET_ENV, Events
from tests.checkout.quiet import redis_evidence, wait_quiet
from tests.checkout.servers import NatsServer, PostgresServer, RedisServer, postgres_server, redis_server
from tests.checkout.shop_processes import SALE, Process, ShopProcess, end_all, serving_app
from tests.ports import free_port

BUYERS_AT_ONCE = 64
RETRY_S = 0.5  # between two attempts while others still pay
MAX_ATTEMPTS = 60
RESTART_S = 0.2


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
    client_records: list[ClientRecord] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    buyers: int = 0
    sold: int = 0
    seconds: float = 0.0
    worst_s: float = 0.0
    calls: int = 0
    carts: int = 0
    catalogue: str = ""


class Buyer:
    """A visitor that reserves and then pays, leaves, cancels or is declined. Requests are repeated until answered."""

    def __init__(
        self, client: ClientSession, urls: list[str], number: int, chance: random.Random, result: Result, *, carts: bool
    ) -> None:
        """carts: every third buyer checks out a cart. The shop must have the catalogue for it."""
        self._client = client
        self._urls = urls
        self.user = f"ticket:b{number}"
        self._headers = {"X-Stanchion-Ticket": f"b{number}"}
        self._chance = chance
        self._result = result
        self._is_over = False
        self._has_cart = carts and number % 3 == 0

    async def shop(self, ended: asyncio.Event) -> None:
        """Try to buy until the visitor has an order or gives up, or the sale ends. Each attempt has its own keys."""
        for attempt in range(MAX_ATTEMPTS):
            if await self._attempt(attempt) or ended.is_set():
                return

    async def _attempt(self, attempt: int) -> bool:
        key = f"{attempt}-{self._chance.getrandbits(64):x}"
        if self._has_cart:
            return await self._check_out(key)
        status, body = await self._ask(f"/api/sales/{SALE}/holds", key, {})
        if status != 201:
            if self._is_over or body.get("type", "").endswith("per-user"):
                return True
            await asyncio.sleep(RETRY_S)
            return False
        hold, scoped = body["hold"], f"{self.user}/{key}"
        self._result.client_records.append(ClientRecord("held", SALE, self.user, scoped, hold))
        luck = self._chance.random()
        if luck < 0.30:
            return True
        if luck < 0.35:
            await self._ask(f"/api/holds/{hold}/cancellation", key + "c", {})
            return True
        card = "decline" if luck < 0.45 else "lost" if luck < 0.50 else "ok"
        status, _ = await self._ask(f"/api/holds/{hold}/payment", key + "p", {"card": card})
        if status == 201:
            self._result.client_records.append(ClientRecord("sold", SALE, self.user, scoped, hold))
        return status == 201

    async def _check_out(self, key: str) -> bool:
        """Buy by a cart. The form is not paid by some, as without a cart."""
        self._headers["Cookie"] = f"shop_cart={self._chance.getrandbits(128):032x}"
        status, cart = await self._ask("/api/cart/lines/watch", key, {"product": "watch", "units": 1}, "PUT")
        luck = self._chance.random()
        if luck < 0.30:
            return True
        card = "decline" if luck < 0.40 else "lost" if luck < 0.45 else "ok"
        body = {"card": card, "agreement": cart["agreement"]}
        status, bought = await self._ask("/api/cart/checkout", key, body)
        if status == 201:
            hold = bought["lines"][0]["hold"]
            scoped = f"{self.user}/cart/{hold}"
            self._result.client_records.append(ClientRecord("sold", SALE, self.user, scoped, hold))
            self._result.carts += 1
        elif not self._is_over and not bought.get("type", "").endswith("per-user"):
            await asyncio.sleep(RETRY_S)
            return False
        return True

    async def _ask(self, path: str, key: str, body: dict[str, Any], method: str = "POST") -> tuple[int, dict[str, Any]]:
        """Repeat one request with its key until it is answered. 503, 504 and 409 key-running do not count."""
        started = time.monotonic()
        for tries in range(10_000):
            url = self._urls[tries % len(self._urls)]
            try:
                headers = {**self._headers, "Idempotency-Key": key}
                async with self._client.request(method, url + path, json=body, headers=headers) as answer:
                    response = await answer.json(content_type=None)
                    self._is_over = answer.headers.get("Stanchion-Command") == "sold-out"
                    running = answer.status == 409 and response.get("type", "").endswith("key-running")
                    if answer.status not in (503, 504) and not running:
                        self._result.worst_s = max(self._result.worst_s, time.monotonic() - started)
                        return answer.status, response
                    pause = 0.2
            except (ClientError, TimeoutError, OSError, json.JSONDecodeError):
                pause = 0.1
            await asyncio.sleep(pause)
        raise AssertionError(f"{path} with key {key} was never answered")


async def run(plan: Plan) -> Result:
    """Play the sale and check it."""
    started = time.monotonic()
    result = Result(buyers=int(plan.stock * plan.buyers_per_unit))
    chance = random.Random(plan.seed)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bank = Bank(0.01)
        bank_url = await stack.enter_async_context(serving_app(bank_app(bank)))
        engine, servers = stack.enter_context(running_stores(plan.engine, folder))
        events = await Events.start(engine, folder, stack)
        servers = {**servers, **events.servers}
        products = folder / "products.yaml"
        products.write_text(yaml.safe_dump({"products": [PRODUCT]}))
        count = 1 if plan.engine == "sqlite" else 2
        shops = [
            ShopProcess(
                folder,
                free_port(),
                engine,
                bank_url,
                stock=plan.stock,
                hold_s=plan.hold_s,
                sections={**events.sections, "catalogue": {"file": str(products)}},
                secrets={SECRET_ENV: SECRET, TOKEN_ENV: TOKEN},
            )
            for _ in range(count)
        ]
        parts = {}
        if plan.engine == "redis":
            parts = {name: Process(name, shops[0].file) for name in ("forwarder", "sweeper")}
        processes = [*shops, *parts.values()]
        stack.callback(end_all, processes)
        await stack.enter_async_context(background(keep_running(processes)))
        ended, urls = asyncio.Event(), [shop.url for shop in shops]
        catalogue = CatalogueLoad(urls, plan.seed)
        connector = TCPConnector(limit=BUYERS_AT_ONCE, force_close=True)
        client = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(10), connector=connector))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(catalogue.run(ended))
            tasks.create_task(_killer(plan, shops, parts, servers, chance, result, ended))
            numbers = iter(range(result.buyers))
            crowd = [
                tasks.create_task(buyers(numbers, client, urls, plan.seed, result, ended, carts=True))
                for _ in range(BUYERS_AT_ONCE)
            ]
            await asyncio.wait(crowd)
            ended.set()
        evidence = await wait_quiet(engine, bank)
        evidence = replace(evidence, client_records=result.client_records, movements=bank.movements)
        result.findings = audit(evidence, is_quiet=True)
        if engine["kind"] == "redis":
            in_redis = replace(await redis_evidence(engine), client_records=result.client_records)
            result.findings += audit(in_redis, is_quiet=True)
        result.findings += await events.findings(engine, evidence, urls)
        result.findings += await catalogue.findings({"engine": engine, "events": events.sections["events"]})
        result.catalogue = str(catalogue)
        result.calls = events.receiver.calls
        result.sold = evidence.stock.sold
    result.seconds = time.monotonic() - started
    return result


async def buyers(
    numbers: Iterator[int],
    client: ClientSession,
    urls: list[str],
    seed: int,
    result: Result,
    ended: asyncio.Event,
    *,
    carts: bool,
) -> None:
    for number in numbers:
        if ended.is_set():
            return
        await Buyer(client, urls, number, random.Random(f"{seed}/{number}"), result, carts=carts).shop(ended)


async def _killer(
    plan: Plan,
    shops: list[ShopProcess],
    parts: dict[str, Process],
    servers: dict[str, RedisServer | PostgresServer | NatsServer],
    chance: random.Random,
    result: Result,
    ended: asyncio.Event,
) -> None:
    """Kill one victim a round at a random moment. `keep_running` starts it again."""
    for _ in range(plan.rounds):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), chance.uniform(*plan.kill_every_s))
            return
        name = chance.choice(["shop", *parts, *servers])
        if name in servers:
            servers[name].kill()
            await asyncio.to_thread(servers[name].start)
        else:
            victim = parts[name] if name in parts else chance.choice(shops)
            if plan.engine == "postgres" and isinstance(victim, ShopProcess):
                name = "leader" if victim.is_listening() else "standby"
            victim.kill()
        result.kills[name] += 1


async def keep_running(processes: Sequence[Process]) -> None:
    """Start every process that has ended, as systemd would."""
    while True:
        for process in processes:
            process.start()
        await asyncio.sleep(RESTART_S)


@contextlib.contextmanager
def running_stores(kind: str, folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
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
        f"sold {result.sold}, {len(result.client_records)} answers recorded, slowest answer {result.worst_s:.1f} s; "
        f"{result.carts} by a cart, {result.calls} notices, {result.catalogue}; "
        f"{len(result.findings)} findings, {result.seconds:.0f} s, seed {options.seed}"
    )
    for finding in result.findings[:20]:
        print(f"  {finding.rule}: {finding.text}")
    return 1 if result.findings or result.sold != options.stock else 0


if __name__ == "__main__":
    sys.exit(main())
