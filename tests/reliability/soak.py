"""Half an hour at half load against a real edge with two workers: `make soak` (MINUTES=30).

    checkout     CAPACITY a second. Every minute a rush of half a minute's visitors within ten seconds, then the other
                 half over the rest: half of the capacity on average, and a line that comes and goes
    catalogue    a room without a line, BROWSERS newcomers a second, two requests each

What a worker remembers of visitors is bounded by number, not by time, so its tables are filled first: in both rooms so
many come in, through doors that are wide open, and so many are told that all is sold out, as the longest tables hold.
Then the resident set should stand still.

It would hide what leaks into room that the tables leave: most are two generations, so what they hold goes up and down.
So what lives is counted as well, in blocks that the interpreter has given out (heap/sitecustomize.py), when a reload
has taken the rooms away and all tables with them: between the filling and the half hour, and after it. Prints a table;
ends with 1 when a bound does not hold. Runs under JUDGED_MINUTES neither fill nor judge the memory.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
import psutil
import yaml
from aiohttp import web

from edge.cli.demo.crowd import Crowd, CrowdPlan, Visit
from edge.rooms.redeemed_tickets import MOST
from tests.edge.observed import Shop, most_in_a_window, overtaken_share
from tests.edge.running import RunningEdge, running_edge, running_upstream, wait_until, with_rooms
from tests.reliability.document import replace_table

__all__ = ["Soaked", "soak"]

CAPACITY = 40.0
BROWSERS = 500.0
CONNECTIONS = 20
#: After so many visits a connection is made anew, so that both workers get their part.
VISITS_A_CONNECTION = 50
#: Tables of two generations are as large as they get, and their memory as scattered, when both have been replaced.
GENERATIONS = 3
#: Requests of each newcomer that is to fill them: a head is kept from the second time on.
KEPT_AFTER = 3
#: 16,384 moments are kept at each worker, and who comes within one millisecond comes at one moment.
TOLD = 300_000
SEED = 20_261_121
SAMPLE_S = 5.0
JUDGED_MINUTES = 20.0
#: By so much the resident set may be larger in the second half than in the first,
MOST_GROWTH = 0.02
#: and what lives without rooms after all than before: one block in a thousand requests, or less.
MOST_LEFT = 0.005
#: A worker looks for garbage and counts what is left every second.
COUNTED_S = 4.0
#: Of the pairs of visitors.
MOST_OVERTAKEN = 0.05


@dataclass
class Soaked:
    """What was seen.

    rss_kib: by worker, every SAMPLE_S seconds. bare: blocks that live without rooms, before and after, by worker.
    """

    minutes: float
    crowds: list[Crowd] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    most_a_second: int = 0
    rss_kib: dict[int, list[int]] = field(default_factory=dict)
    bare: list[list[int]] = field(default_factory=list)
    restarts: int = 0

    @property
    def visits(self) -> list[Visit]:
        return [visit for crowd in self.crowds for visit in crowd.visits]

    @property
    def overtaken(self) -> float:
        """In the worst wave: between two waves there is hardly a pair to be overtaken."""
        return max(overtaken_share(crowd.visits) for crowd in self.crowds)

    @property
    def requests(self) -> int:
        return self.answers.total() + sum(visit.states.total() for visit in self.visits)

    @property
    def errors(self) -> list[str]:
        """Everything but an answer that should be."""
        said = [f"{count} x {what}" for what, count in self.answers.items() if what != "200"]
        states = sum((visit.states for visit in self.visits), Counter[str]())
        said += [f"{count} x {what}" for what, count in states.items() if what not in ("200 waiting", "200 admitted")]
        said += [what for visit in self.visits for what in visit.dropped]
        return said + [f"visitor {visit.number} never got in" for visit in self.visits if visit.admitted is None]

    @property
    def lives(self) -> list[tuple[int, int, int]]:
        """Each worker, and the blocks that live in it without rooms: before and after."""
        before, after = self.bare
        return [(at, *each) for at, each in enumerate(zip(before, after, strict=True))]

    def faults(self) -> list[str]:
        """The bounds that do not hold."""
        said = self.errors
        if self.overtaken > MOST_OVERTAKEN:
            said.append(f"{self.overtaken:.1%} of pairs overtaken")
        if self.most_a_second > 2 * CAPACITY + 1:
            said.append(f"{self.most_a_second} admissions within a second")
        if self.restarts:
            said.append(f"{self.restarts} workers died")
        if self.minutes >= JUDGED_MINUTES:
            grown = [("its resident set", at, growth(seen), MOST_GROWTH) for at, seen in self.rss_kib.items()]
            grown += [("what lives without rooms", at, lives / was - 1.0, MOST_LEFT) for at, was, lives in self.lives]
            said += [f"worker {at}: {what} grew by {by:.1%}" for what, at, by, most in grown if by > most]
        return said

    def table(self, commit: str) -> str:
        rows = [
            "| minutes | visitors in line | requests | errors | pairs overtaken | most let in within a second |",
            "| --- | --- | --- | --- | --- | --- |",
            f"| {self.minutes:g} | {len(self.visits):,} | {self.requests:,} | {len(self.errors)}"
            f" | {self.overtaken:.2%} | {self.most_a_second} |",
            "",
            "| worker | resident at first | at half time | at the end | most in the second half against the first |"
            " blocks that live without rooms, before | after |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for worker, seen in self.rss_kib.items():
            first, half, last = (f"{kib / 1024:.1f} MiB" for kib in (seen[0], seen[len(seen) // 2], seen[-1]))
            lives = [f"{bare[worker]:,}" for bare in self.bare] or ["not counted"] * 2
            rows.append(f"| {worker} | {first} | {half} | {last} | {growth(seen):+.1%} | {' | '.join(lives)} |")
        return "\n".join([*rows, "", f"Measured on {commit}."])


def growth(seen: list[int]) -> float:
    """By how much more the most of the second half is than that of the first."""
    half = max(1, len(seen) // 2)
    return max(seen[half:] or seen[-1:]) / max(seen[:half]) - 1.0


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
    """A minute's visitors, half of them in its first sixth; the order is judged wave by wave."""
    half = max(1, round(CAPACITY / 2 * minute_s / 2))
    plan = CrowdPlan(half, minute_s / 6, half / (minute_s * 5 / 6), impatient=0.0, buy=False, total=2 * half)
    soaked.crowds.append(Crowd(edge.url, "/checkout", plan, chance))
    await soaked.crowds[-1].play()


async def _fill(edge: RunningEdge, soaked: Soaked) -> None:
    """Let in as many as a worker remembers, and some more, in each room; then set the capacity to what it is to be."""
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
    """Take the rooms and the watch for robots away, count what lives in each worker, and set all up again."""
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
    """Tell visitors that all is sold out and when they first came: texts of that are kept, so many."""
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
    """Newcomers, one after the other."""
    while True:
        await _browse_on_one_connection(edge, soaked, path, pause_s, requests)


async def _browse_on_one_connection(
    edge: RunningEdge, soaked: Soaked, path: str, pause_s: float, requests: int
) -> None:
    """Of each newcomer the first request makes a pass, the others show it."""
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
    """Each worker's resident set."""
    pids = await edge.worker_pids()
    while True:
        for at, pid in enumerate(pids):
            soaked.rss_kib.setdefault(at, []).append(psutil.Process(pid).memory_info().rss // 1024)
        await asyncio.sleep(SAMPLE_S)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--write", type=Path, metavar="FILE", help="the document whose table is replaced")
    options = parser.parse_args()
    began = time.strftime("%Y-%m-%d %H:%M")
    with tempfile.TemporaryDirectory() as folder:
        soaked = asyncio.run(soak(Path(folder), options.minutes, options.seed))
    table = soaked.table(os.environ.get("COMMIT") or began)
    print(table)
    if options.write:
        replace_table(options.write, "soak", table)
    for fault in soaked.faults():
        print(f"does not hold: {fault}", file=sys.stderr)
    return int(bool(soaked.faults()))


if __name__ == "__main__":
    sys.exit(main())
