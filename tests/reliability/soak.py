"""Half an hour at half load against a real edge with two workers: `make soak` (MINUTES=30).

    checkout     CAPACITY admissions a second. Every minute, half of a minute's visitors come within ten seconds and the
                 other half over the rest: half of the capacity on average, and a line that comes and goes
    catalogue    a room without a line, BROWSERS newcomers a second, two requests each

What a worker remembers of visitors is bounded by number, not by time. So its tables are filled first: with open rooms,
as many visitors are admitted, and as many are told that all is sold out, as the longest tables hold. Then the resident
set should not grow.

A leak into space that the tables leave would not show, because most of them are two generations and go up and down. So
living blocks of the interpreter are counted as well (heap/sitecustomize.py), after a reload has removed the rooms and
all tables: between the filling and the half hour, and after it. Prints a table; the exit code is 1 if a bound is
broken. Runs of less than JUDGED_MINUTES neither fill nor judge the memory.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import aiohttp
import psutil
import yaml
from aiohttp import web

from edge.cli.demo.crowd import Crowd, CrowdPlan
from edge.rooms.redeemed_tickets import MOST
from tests.edge.observed import Shop, most_in_a_window
from tests.edge.running import RunningEdge, running_edge, running_upstream, wait_until, with_rooms
from tests.reliability.document import replace_table
from tests.reliability.soaked import CAPACITY, JUDGED_MINUTES, Soaked

__all__ = ["soak"]

BROWSERS = 500.0
CONNECTIONS = 20
#: Visits before a new connection is made, so that both workers get their part.
VISITS_A_CONNECTION = 50
#: Two-generation tables have their full size, and memory is as scattered as it gets, when both were replaced.
GENERATIONS = 3
#: Requests of each newcomer that fills the tables: a head is kept from the second time on.
KEPT_AFTER = 3
#: Each worker keeps 16,384 rendered arrivals. Visitors of the same millisecond share one.
TOLD = 300_000
SEED = 20_261_121
SAMPLE_S = 5.0
#: A worker looks for garbage and counts what is left every second.
COUNTED_S = 4.0


async def soak(folder: Path, minutes: float, seed: int) -> Soaked:
    soaked, shop, chance = Soaked(minutes), Shop(), random.Random(seed)

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.path.startswith("/checkout"):
            return await shop.handle(request)
        said = request.path.partition("/say/")[2]
        return web.Response(text="catalogue", headers={"Stanchion-Command": said} if said else {})

    async with running_upstream(handle) as upstream:
        rooms = [
            {"name": name, "match": {"paths": [f"/{name}*"]}, "capacity": {"admissions_per_second": capacity}}
            for name, capacity in (("checkout", CAPACITY), ("catalogue", 100_000.0))
        ]
        text = yaml.safe_dump(with_rooms(upstream, *rooms))
        heap = folder / "heap"
        heap.mkdir()
        path = os.pathsep.join(filter(None, (str(Path(__file__).parent / "heap"), os.environ.get("PYTHONPATH"))))
        async with (
            running_edge(text, folder, STANCHION_HEAP=str(heap), PYTHONPATH=path) as edge,
            asyncio.TaskGroup() as group,
        ):
            if minutes >= JUDGED_MINUTES:
                await _tell_many(edge)
                await _fill(edge, soaked)
                soaked.bare.append(await _bare(edge, heap))
                await _fill(edge, soaked)
                print(f"{soaked.requests:,} requests have filled the tables", file=sys.stderr)
                shop.admitted_at.clear()
            browses = partial(_browse, edge, soaked, "/catalogue", CONNECTIONS / BROWSERS)
            others = [group.create_task(browses()) for _ in range(CONNECTIONS)]
            others.append(group.create_task(_watch(edge, soaked)))
            minute_s = min(60.0, minutes * 60.0)
            waves = []
            for _ in range(max(1, round(minutes))):
                waves.append(group.create_task(_wave(edge, soaked, chance, minute_s)))
                await asyncio.sleep(minute_s)
            await asyncio.wait(waves)
            for task in others:
                task.cancel()
            await asyncio.wait(others)
            if minutes >= JUDGED_MINUTES:
                soaked.bare.append(await _bare(edge, heap))
            soaked.restarts = sum(node["restarts"] for node in (await edge.status())["nodes"])
    admissions = [float(moment) for moments in shop.admitted_at.values() for moment in moments]
    soaked.most_a_second = most_in_a_window(admissions, 1.0)
    return soaked


async def _wave(edge: RunningEdge, soaked: Soaked, chance: random.Random, minute_s: float) -> None:
    """Play a minute's visitors, half of them in its first sixth. The order is judged wave by wave."""
    half = max(1, round(CAPACITY / 2 * minute_s / 2))
    plan = CrowdPlan(half, minute_s / 6, half / (minute_s * 5 / 6), impatient=0.0, buy=False, total=2 * half)
    soaked.crowds.append(Crowd(edge.url, "/checkout", plan, chance))
    await soaked.crowds[-1].play()


async def _fill(edge: RunningEdge, soaked: Soaked) -> None:
    """Admit more visitors than a worker remembers in each room, then restore the capacity."""
    settings = edge.file.read_text()
    await _reload(edge, settings.replace(f"admissions_per_second: {CAPACITY}", "admissions_per_second: 100000.0"))
    for name in ("checkout", "catalogue"):
        browses = partial(_browse, edge, soaked, f"/{name}", 0.0, KEPT_AFTER)
        newcomers = [asyncio.ensure_future(browses()) for _ in range(CONNECTIONS)]
        while True:
            await asyncio.sleep(1.0)
            [room] = [room for room in (await edge.status())["rooms"] if room["room"] == name]
            if min(node["admitted"] for node in room["nodes"]) > GENERATIONS * MOST:
                break
        for task in newcomers:
            task.cancel()
        await asyncio.gather(*newcomers, return_exceptions=True)
    await _reload(edge, settings)


async def _bare(edge: RunningEdge, heap: Path) -> list[int]:
    """Remove the rooms and the watch for robots, count the living blocks of each worker, and restore all."""
    settings = edge.file.read_text()
    other = {"name": "other", "match": {"paths": ["/other"]}, "capacity": {"admissions_per_second": 1.0}}
    bare = {"rooms": [other], "abuse": {"bots": {"action": "ignore"}}}
    await _reload(edge, yaml.safe_dump(yaml.safe_load(settings) | bare))
    (heap / "collect").touch()
    await asyncio.sleep(COUNTED_S)
    (heap / "collect").unlink()
    counted = [int((heap / str(pid)).read_text()) for pid in await edge.worker_pids()]
    await _reload(edge, settings)
    return counted


async def _tell_many(edge: RunningEdge) -> None:
    """Tell many visitors that all is sold out, which fills the table of rendered arrivals."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with (
        aiohttp.ClientSession(edge.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as insider,
        aiohttp.ClientSession(edge.url, cookie_jar=aiohttp.DummyCookieJar(), connector=connector) as others,
    ):
        for command, count in (("sold-out", TOLD), ("restock", 0)):
            async with insider.get(f"/catalogue/say/{command}") as answer:
                assert answer.status == 200
            await asyncio.sleep(1.0)
            for _ in range(count // CONNECTIONS):
                await asyncio.gather(*(_poll(others) for _ in range(CONNECTIONS)))


async def _poll(session: aiohttp.ClientSession) -> None:
    async with session.get("/catalogue", headers={"Accept": "application/json"}) as answer:
        assert (await answer.json())["state"] == "sold_out"


async def _reload(edge: RunningEdge, settings: str) -> None:
    def count() -> int:
        return sum(line["message"] == "settings reloaded" for line in edge.log)

    before = count()
    edge.file.write_text(settings)
    edge.send(signal.SIGHUP)

    async def is_done() -> bool:
        return count() > before

    await wait_until(is_done, "the settings are reloaded")


async def _browse(edge: RunningEdge, soaked: Soaked, path: str, pause_s: float, requests: int = 2) -> None:
    """Send newcomers one after the other."""
    while True:
        await _browse_on_one_connection(edge, soaked, path, pause_s, requests)


async def _browse_on_one_connection(
    edge: RunningEdge, soaked: Soaked, path: str, pause_s: float, requests: int
) -> None:
    """The first request of each newcomer gets a pass, the others show it."""
    host, port = edge.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    ask = b"GET %b HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\n%%b\r\n" % path.encode()
    try:
        for _ in range(VISITS_A_CONNECTION):
            cookie = b""
            for _ in range(requests):
                writer.write(ask % cookie)
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                await reader.readexactly(int(fields[b"content-length"]))
                soaked.answers[head[9:12].decode()] += 1
                cookie = next(
                    (b"Cookie: %b\r\n" % line.split(b": ", 1)[1].partition(b";")[0]
                     for line in head.split(b"\r\n") if line.lower().startswith(b"set-cookie: ")), cookie
                )  # fmt: skip
            await asyncio.sleep(pause_s)
    except (OSError, asyncio.IncompleteReadError) as fault:
        soaked.answers[type(fault).__name__] += 1
    finally:
        writer.close()


async def _watch(edge: RunningEdge, soaked: Soaked) -> None:
    """Sample each worker's resident set."""
    pids = await edge.worker_pids()
    while True:
        for at, pid in enumerate(pids):
            soaked.rss_kib.setdefault(at, []).append(psutil.Process(pid).memory_info().rss // 1024)
        await asyncio.sleep(SAMPLE_S)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the table of this document")
    options = parser.parse_args()
    began = time.strftime("%Y-%m-%d %H:%M")
    with tempfile.TemporaryDirectory() as folder:
        soaked = asyncio.run(soak(Path(folder), options.minutes, options.seed))
    table = soaked.table(os.environ.get("COMMIT") or began)
    print(table)
    if options.write:
        replace_table(options.write, "soak", table)
    for fault in soaked.faults():
        print(f"broken bound: {fault}", file=sys.stderr)
    return int(bool(soaked.faults()))


if __name__ == "__main__":
    sys.exit(main())
