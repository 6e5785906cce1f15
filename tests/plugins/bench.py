"""Measure what the line costs in each way: CPU of edge and load balancer together, for one request.

    python -m tests.plugins.bench [--write docs/performance.md] [--seconds 4]

Each row is one load balancer in one way. `alone` is the same load balancer, with the same configuration, in front of
the shop without Stanchion. Requests come from wrk over 32 connections. CPU is what the processes used, user and system,
divided by the requests; the shop's own is left out. The edge has one worker.
"""

import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import psutil

from edge.cli.behind.balancer import Balancer
from edge.cli.plugin.render import render
from edge.cli.plugin.site import Address, Site
from tests.plugins.attached import PAGE, Bench, attached
from tests.plugins.program import chosen, parser_of, write_table
from tests.ports import free_port

ROWS = (
    *(("nginx", way) for way in ("accel", "auth-request", "split", "path")),
    *(("haproxy", way) for way in ("forward-auth", "split", "path")),
    *(("envoy", "ext-authz-grpc"), ("envoy", "path"), ("caddy", "forward-auth"), ("traefik", "forward-auth")),
)
SHOP = """
worker_processes 1;
daemon off;
pid <FOLDER>/shop.pid;
error_log <FOLDER>/shop.log;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path <FOLDER>/a; proxy_temp_path <FOLDER>/b; fastcgi_temp_path <FOLDER>/c;
    uwsgi_temp_path <FOLDER>/d; scgi_temp_path <FOLDER>/e;
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:<PORT>;
        root <FOLDER>/files;
    }
}
"""


def prepare(folder: Path, port: int) -> Path:
    """Write the shop's files and its configuration; return the latter."""
    files = folder / "files" / "fast"
    files.mkdir(parents=True)
    (files / "1k").write_bytes(b"x" * 1024)
    (files / "100k").write_bytes(b"x" * 102_400)
    conf = folder / "shop.conf"
    conf.write_text(SHOP.replace("<FOLDER>", str(folder)).replace("<PORT>", str(port)))
    return conf


@asynccontextmanager
async def running_files(folder: Path) -> AsyncIterator[str]:
    """Run a shop that serves files of 1 kB and 100 kB under /fast; yield its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec("/usr/sbin/nginx", "-c", prepare(folder, port), "-g", "user root;")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


def cpu_s(pids: list[int]) -> float:
    """Return the CPU seconds of processes and all their children."""
    total = 0.0
    for pid in pids:
        for each in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            times = each.cpu_times()
            total += times.user + times.system
    return total


async def cost_us(url: str, headers: dict[str, str], pids: list[int], seconds: float) -> float:
    """Return the CPU microseconds of one request."""
    fields = [argument for name, value in headers.items() for argument in ("-H", f"{name}: {value}")]
    before = cpu_s(pids)
    process = await asyncio.create_subprocess_exec(
        *("wrk", "-t1", "-c32", f"-d{seconds:g}s", *fields, url), stdout=asyncio.subprocess.PIPE
    )
    told = (await process.communicate())[0].decode()
    used = cpu_s(pids) - before
    found = re.search(r"(\d+) requests in", told)
    assert found, told
    assert "Non-2xx" not in told or "/shut" in url, told
    return used / int(found[1]) * 1e6


async def measured(name: str, way: str, seconds: float) -> list[float]:
    """Return poll, page, 1 kB and 100 kB in this way, then 1 kB and 100 kB of the load balancer alone."""
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as other:
        folder = Path(made)
        async with (
            running_files(Path(other)) as shop_url,
            attached(name, way, folder, is_secure=False, shop_url=shop_url, log={"access": "none"}) as bench,
        ):
            inside = await _cookie_of(bench, "/fast/1k")
            await bench.shut()
            ticket = await _cookie_of(bench, "/shut")
            edge_pid, balancer = bench.edge.process.pid, bench.balancer
            assert balancer.process is not None
            pids = [edge_pid, balancer.process.pid]
            page = {"Accept": "text/html", "Cookie": ticket}
            found = [
                await cost_us(f"{bench.url}/_stanchion/status?room=shut", {"Cookie": ticket}, pids, seconds),
                await cost_us(f"{bench.url}/shut", page, pids, seconds),
            ]
            agent = {"Cookie": inside, "User-Agent": PAGE["User-Agent"]}
            found += [await cost_us(f"{bench.url}/fast/{size}", agent, pids, seconds) for size in ("1k", "100k")]
        async with running_files(Path(other) / "again") as shop_url:
            alone = await _alone(name, balancer.site, shop_url, folder)
            try:
                assert alone.process is not None
                await _wait_answered(f"{alone.url}/fast/1k")
                for size in ("1k", "100k"):
                    url = f"{alone.url}/fast/{size}"
                    found.append(await cost_us(url, agent, [alone.process.pid], seconds))
            finally:
                await alone.stop()
    return found


async def _wait_answered(url: str) -> None:
    """Wait until the load balancer serves. Traefik listens before it has read its routes."""
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            async with session.get(url) as response:
                if response.status == 200:
                    return
            await asyncio.sleep(0.05)


async def _cookie_of(bench: Bench, path: str) -> str:
    visitor = bench.browser()
    await visitor.ask(path)
    return "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())


async def _alone(name: str, site: Site, shop_url: str, folder: Path) -> Balancer:
    """Start the load balancer in front of the shop itself."""
    shop = Address.parse(shop_url)
    bare = replace(site, way="path", asks=shop, listen=Address("127.0.0.1", free_port()))
    balancer = Balancer(name, bare, render(name, bare), folder)
    # The split way's, which HAProxy would load.
    (folder / "stanchion-keys.cfg").unlink(missing_ok=True)
    await balancer.start(asks_edge=False)
    return balancer


def row(name: str, way: str, found: list[float]) -> str:
    poll, page, small, large, alone_small, alone_large = found
    return (
        f"| {name} {way} | {poll:.0f} | {page:.0f} | {small:.0f} ({small / alone_small:.2f}) | "
        f"{large:.0f} ({large / alone_large:.2f}) | {alone_small:.0f} | {alone_large:.0f} |"
    )


def main() -> int:
    parser = parser_of("tests.plugins.bench", __doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    rows = [
        "| way | poll | page | inside, 1 kB | inside, 100 kB | alone, 1 kB | alone, 100 kB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, way in chosen(options.only, ROWS):
        rows.append(row(name, way, asyncio.run(measured(name, way, options.seconds))))
        print(rows[-1], flush=True)
    if options.write is not None:
        write_table(options.write, "ways", "\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
