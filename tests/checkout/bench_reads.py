"""Measure how many reads a second one shop process answers, and what a read costs.

    python -m tests.checkout.bench_reads [--seconds 4] [--products 1000]

wrk makes the load with 64 connections, on the other core. Beside it 20 units a second are reserved, so the numbers
change. The products of the catalogue are chosen with a skew (Zipf 1.1). A read costs processor time of the shop:
requests for each processor second is what one core answers, also on a machine that does other work.
"""

import argparse
import asyncio
import json
import random
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.checkout.bench_http import crowd, reservation, shop
from tests.checkout.servers import cpu_s

CONNECTIONS = 64
WRITERS, WRITE_EVERY_S = 2, 0.1
WORDS = ("watch", "strap", "clock", "brass", "steel", "silver", "night", "harbour", "north", "lark", "leather")
LUA = """
local paths = {}
for line in io.lines('%s') do paths[#paths + 1] = line end
local at = 0
request = function()
  at = at %% #paths + 1
  return wrk.format('GET', paths[at])
end
"""


class Read(NamedTuple):
    """One load. per_cpu_s: requests for each processor second of the shop. hits: share answered from memory."""

    name: str
    rate: float
    per_cpu_s: float
    p99_ms: float
    bytes_each: int
    hits: str


def fetch(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def hits(port: int, before: dict[str, float]) -> tuple[str, dict[str, float]]:
    """Return the share of availability requests that was answered without a read of the store, since `before`."""
    text = fetch(port, "/metrics")[1].decode()
    now = {
        name: float(value)
        for name, value in re.findall(r'shop_availability_answers_total\{source="(\w+)"\} (\S+)', text)
    }
    spent = {name: value - before.get(name, 0.0) for name, value in now.items()}
    total = sum(spent.values())
    return (f"{1 - spent['store'] / total:.3%}" if total >= 100 else "-"), now


def write_load(folder: str, paths: list[str]) -> None:
    Path(folder, "paths").write_text("\n".join(paths) + "\n")
    Path(folder, "load.lua").write_text(LUA % f"{folder}/paths")


async def measure(port: int, pid: int, name: str, paths: list[str], seconds: float, folder: str) -> Read:
    """Run wrk on these paths in turn, beside some reservations."""
    write_load(folder, paths)
    _, seen = hits(port, {})
    bytes_each = len(fetch(port, paths[0])[1])
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency", "-s", f"{folder}/load.lua"]
    started_s, started = cpu_s(pid), time.monotonic()
    writing = asyncio.create_task(crowd(port, reservation, WRITERS, seconds, WRITE_EVERY_S))
    wrk = await asyncio.create_subprocess_exec(
        *command, f"http://127.0.0.1:{port}", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output = (await wrk.communicate())[0].decode()
    used_s, took_s = cpu_s(pid) - started_s, time.monotonic() - started
    await writing
    count = int(re.search(r"(\d+) requests in", output)[1])  # type: ignore[index]
    if "Non-2xx" in output:
        raise SystemExit(f"{name}: {output}")
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", output).groups()  # type: ignore[union-attr]
    p99_ms = float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
    share, _ = hits(port, seen)
    return Read(name, count / took_s, count / used_s, p99_ms, bytes_each, share)


def loads(port: int, products: int) -> Iterator[tuple[str, list[str]]]:
    """Yield each kind of read that this shop knows."""
    kinds = [
        ("availability", ["/api/sales/launch/availability"]),
        ("stock for the edge", ["/stock"]),
        ("best sellers", ["/api/best-sellers"]),
        ("product page", ["/"]),
    ]
    chance = random.Random(1)
    weights = [1 / rank**1.1 for rank in range(1, products + 1)]
    chosen = chance.choices(range(products), weights, k=20_000)
    kinds.append(("a product of the catalogue", [f"/api/products/p{number}" for number in chosen]))
    kinds.append(("search", [f"/api/products?q={WORDS[number % len(WORDS)]}" for number in chosen[:2000]]))
    for name, paths in kinds:
        for path in paths[:3]:
            status, _ = fetch(port, path)
            if status != 200:
                raise SystemExit(f"{path} answered {status}")
        yield name, paths


def config(folder: str, products: int) -> str:
    """Write the settings of a shop with this many products, and return the path."""
    rows = [
        {
            "id": f"p{number}",
            "title": f"{WORDS[number % len(WORDS)]} {WORDS[number // 7 % len(WORDS)]} {number}",
            "category": WORDS[number % 3],
            "text": f"{WORDS[number % 5]} of {WORDS[number % 11]}",
            "skus": [{"id": f"p{number}", "title": "One size", "price_cents": 100 + number, "sale": f"p{number}"}],
        }
        for number in range(products)
    ]
    Path(folder, "products.yaml").write_text(json.dumps({"products": rows}))
    path = Path(folder, "shop.yaml")
    path.write_text(json.dumps({"catalogue": {"file": str(Path(folder, "products.yaml"))}}))
    return str(path)


@contextmanager
def process_id(port: int) -> Iterator[int]:
    """Yield the process that listens on a port."""
    import psutil

    for connection in psutil.net_connections("tcp"):
        if connection.status == "LISTEN" and connection.laddr.port == port and connection.pid:
            yield connection.pid
            return
    raise SystemExit(f"nobody listens on port {port}")


async def run(seconds: float, products: int) -> None:
    print("| read | requests/s | for each processor second | P99 ms | bytes | answered from memory |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        port = stack.enter_context(shop(folder, "--config", config(folder, products)))
        pid = stack.enter_context(process_id(port))
        await crowd(port, reservation, 1, 0.5)
        for name, paths in loads(port, products):
            read = await measure(port, pid, name, paths, seconds, folder)
            print(
                f"| {read.name} | {read.rate:,.0f} | {read.per_cpu_s:,.0f} | {read.p99_ms:.1f} "
                f"| {read.bytes_each} | {read.hits} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="how many reads a second one shop process answers")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--products", type=int, default=1000)
    options = parser.parse_args()
    asyncio.run(run(options.seconds, options.products))
