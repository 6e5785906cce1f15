"""Measure one shop process over HTTP, and whether heavy sign-ups slow its checkout down.

    python -m tests.checkout.bench_http [--seconds 3] [--rounds 3]

This process makes the load with raw sockets; each client sends its next request when it has its response. The shop has
one core, the load the other. Reservations are from distinct buyers, each with a key, on a SQLite file. Isolation
compares checkout's P99 with and without clients that sign up, in turns, as the median of the ratios of the rounds.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.ports import free_port

NUMBERS = itertools.count()
PACED, PACE_S = 50, 0.1  # clients and the time between the requests of each


@dataclass
class Load:
    """The response times and statuses of a group of clients."""

    took: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    def rate(self) -> float:
        return len(self.took) / self.seconds

    def percentile_ms(self, share: float) -> float:
        return sorted(self.took)[min(len(self.took) - 1, int(len(self.took) * share))] * 1000


def reservation() -> bytes:
    number = next(NUMBERS)
    return (
        "POST /api/sales/launch/holds HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n"
        f"X-Stanchion-Ticket: t{number}\r\nIdempotency-Key: k{number}\r\n\r\n"
    ).encode()


def availability() -> bytes:
    return b"GET /api/sales/launch/availability HTTP/1.1\r\nHost: shop\r\n\r\n"


def sign_up() -> bytes:
    body = json.dumps({"email": f"u{next(NUMBERS)}@example.org", "password": "correct horse"})
    return f"POST /api/accounts HTTP/1.1\r\nHost: shop\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def crowd(port: int, request: Callable[[], bytes], clients: int, seconds: float, each_s: float = 0.0) -> Load:
    """Run clients with one connection and one request at a time. each_s: time between two requests, 0 for none."""
    load, until = Load(), time.monotonic() + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (started := time.monotonic()) < until:
            writer.write(request())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            load.took.append(time.monotonic() - started)
            status = int(head[9:12])
            load.statuses[status] = load.statuses.get(status, 0) + 1
            pace = max(each_s, 0.05 if status == 503 else 0.0)
            if pace:
                await asyncio.sleep(max(0.0, started + pace - time.monotonic()))
        writer.close()

    started = time.monotonic()
    await asyncio.gather(*(client() for _ in range(clients)))
    load.seconds = time.monotonic() - started
    return load


@contextmanager
def shop(folder: str, *options: str) -> Iterator[int]:
    """Run a shop with a large stock and yield its port. options: further ones of `checkout serve`."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "checkout",
        "serve",
        "--listen",
        f"127.0.0.1:{port}",
        "--stock",
        "10000000",
    ]
    command += ["--database", f"{folder}/{port}.db", "--hold-seconds", "3600", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield port
        finally:
            process.terminate()


def stats(port: int) -> dict[str, dict[str, int]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as answer:
        seen: dict[str, dict[str, int]] = json.load(answer)
    return seen


def row(name: str, load: Load) -> None:
    print(
        f"| {name} | {load.rate():,.0f} | {load.percentile_ms(0.5):.1f} | {load.percentile_ms(0.95):.1f} "
        f"| {load.percentile_ms(0.99):.1f} | {load.statuses} |"
    )


async def run(seconds: float, rounds: int) -> None:
    print("| load | requests/s | P50 ms | P95 ms | P99 ms | answers |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory() as folder:
        with shop(folder) as port:
            for clients in (8, 32, 64, 128, 256):
                row(f"reservations, {clients} clients", await crowd(port, reservation, clients, seconds))
            reserving, reading = await asyncio.gather(
                crowd(port, reservation, 8, seconds), crowd(port, availability, 32, seconds)
            )
            row("availability, 32 clients, beside 8 that reserve", reading)
            row("the 8 that reserve", reserving)
            seen = (await asyncio.to_thread(stats, port))["availability"]
            share = 1 - seen["reads"] / max(1, sum(seen.values()))
            print(f"\navailability: {seen}, {share:.2%} answered without a read of the store\n")
        ratios, without, with_ = [], [], []
        with shop(folder) as port:
            await crowd(port, sign_up, 1, 0.1)  # the pool's process starts
            for number in range(rounds):
                sides = [await side(port, seconds, signs_up=(number + turn) % 2 == 1) for turn in range(2)]
                alone, loaded = sides if number % 2 == 0 else sides[::-1]
                without.append(alone)
                with_.append(loaded)
                ratios.append(loaded / alone)
        alone, loaded = statistics.median(without), statistics.median(with_)
        print(f"isolation at {PACED / PACE_S:.0f} reservations/s: checkout's P99 {alone:.1f} ms alone,")
        print(f"{loaded:.1f} ms beside sign-ups; median of {rounds} ratios {statistics.median(ratios):.2f}")


async def side(port: int, seconds: float, *, signs_up: bool) -> float:
    """Return checkout's P99 in ms at a steady rate, alone or beside clients that sign up as fast as they can."""
    if not signs_up:
        return (await crowd(port, reservation, PACED, seconds, PACE_S)).percentile_ms(0.99)
    reserving, _ = await asyncio.gather(
        crowd(port, reservation, PACED, seconds, PACE_S), crowd(port, sign_up, 12, seconds)
    )
    return reserving.percentile_ms(0.99)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="what one shop process answers over HTTP")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    asyncio.run(run(options.seconds, options.rounds))
