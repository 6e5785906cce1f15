"""Measure what an order costs on its way: over HTTP, through the forwarder, and on each event bus.

    python -m tests.checkout.bench_orders [--seconds 4] [--events 20000]

One order is one request (`POST /checkout`) and three decisions: held, paying, sold. The figures for each processor
second are those of the shop's process, of the forwarder, or of the process that publishes and takes, without servers.
"""

import argparse
import asyncio
import itertools
import json
import resource
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from checkout.bus.bus import Bus, Message
from checkout.bus.embedded import EmbeddedBus
from checkout.bus.nats import NatsBus
from checkout.bus.opening import event_of
from checkout.bus.redis import RedisBus
from checkout.engines.durable import Unconfirmed
from checkout.engines.redis import RedisEngine
from checkout.forwarder import Forwarder
from checkout.values import Command, Confirm, Event, OpenSale, Pay, Reserve, Sale
from tests.checkout.bench_http import crowd, shop
from tests.checkout.bench_reads import process_id
from tests.checkout.servers import NO_SYNC, cpu_s, nats_server, postgres_server, redis_server

NUMBERS = itertools.count()
CLIENTS = 32
AT_ONCE = 500
SALE = Sale("launch", "Bench", 10_000_000, 100, "EUR", 0, 0, 3_600_000, 1)


def order() -> bytes:
    body = json.dumps({"card": "ok"})
    return (
        "POST /checkout HTTP/1.1\r\nHost: shop\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        f"X-Stanchion-Ticket: o{next(NUMBERS)}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def row(name: str, count: int, took_s: float, used_s: float) -> None:
    print(f"| {name} | {count / took_s:,.0f} | {count / used_s:,.0f} |", flush=True)


async def bench_http(seconds: float) -> None:
    options = ("--seconds-per-checkout", "0.001", "--checkouts-per-second", "1000000")
    with tempfile.TemporaryDirectory() as folder, shop(folder, *options) as port, process_id(port) as pid:
        await crowd(port, order, 4, 0.5)
        before_s = cpu_s(pid)
        load = await crowd(port, order, CLIENTS, seconds)
        if load.statuses.keys() != {201}:
            raise SystemExit(f"orders: {load.statuses}")
        row("orders over HTTP, sqlite", len(load.took), load.seconds, cpu_s(pid) - before_s)


async def bench_forwarder(events: int) -> None:
    with redis_server() as redis, postgres_server(*NO_SYNC) as postgres:
        stock = await RedisEngine.open(redis.url)
        await stock.apply([OpenSale(SALE)])
        for start in range(0, events // 3, 80):
            batch: list[Command] = []
            for number in range(start, start + 80):
                hold = f"h{number:08}"
                batch += [Reserve("launch", f"u{number}", hold), Pay(hold), Confirm(hold, f"ch{number}")]
            await stock.apply(batch)
        await stock.close()
        stock = await RedisEngine.open(redis.url, copy=Unconfirmed())
        forwarder = await Forwarder.open(stock, postgres.url)
        started_s, used_s = time.monotonic(), own_cpu_s()
        await forwarder.reconcile()
        took_s, used_s = time.monotonic() - started_s, own_cpu_s() - used_s
        row("forwarder, events into PostgreSQL", events, took_s, used_s)
        await forwarder.close()
        await stock.close()


def trail(count: int) -> list[Message]:
    user, hold, end_ms = "ticket:0123456789abcdef0123456789abcdef", "0123456789abcdef", 1_800_000_120_000
    numbers = (5, 5, 5, 5, 4, 6, end_ms)
    return [
        Message.of(seq, Event(seq, "launch", hold, user, "sold", "cashier", "", end_ms, *numbers, "", "", f"ch_{hold}"))
        for seq in range(1, count + 1)
    ]


async def bench_bus(name: str, bus: Bus, events: int) -> None:
    sent = trail(events)
    started_s, used_s = time.monotonic(), own_cpu_s()
    for at in range(0, events, AT_ONCE):
        await bus.publish("sales", sent[at : at + AT_ONCE])
    row(f"{name}: publish", events, time.monotonic() - started_s, own_cpu_s() - used_s)
    started_s, used_s, done = time.monotonic(), own_cpu_s(), 0
    while done < events:
        taken = await bus.take("sales", "bench", 200, 1.0)
        for delivery in taken:
            event_of(delivery.message)
        await bus.acknowledge("sales", "bench", taken)
        done += len(taken)
    row(f"{name}: take, read, acknowledge", events, time.monotonic() - started_s, own_cpu_s() - used_s)


async def run(seconds: float, events: int) -> None:
    print("| way | a second | for each processor second |\n| --- | ---: | ---: |")
    await bench_http(seconds)
    await bench_forwarder(events)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis, nats = stack.enter_context(redis_server()), stack.enter_context(nats_server())
        for name, bus in (
            ("embedded bus", await EmbeddedBus.open(str(folder / "bus.db"))),
            ("Redis Streams", RedisBus(redis.url)),
            ("NATS JetStream", await NatsBus.open(nats.url)),
        ):
            await bench_bus(name, bus, events)
            await bus.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="what an order costs on its way")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--events", type=int, default=20_000)
    options = parser.parse_args()
    asyncio.run(run(options.seconds, options.events))
