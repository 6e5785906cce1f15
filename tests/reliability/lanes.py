"""Lanes over real sockets: two workers, a room of two lanes with 30 and 70 %, and visitors that follow their
appointments. All figures are what the shop observed, not what the edge reports.

    python -m tests.reliability.lanes                both lanes full; the named lane empty; the general lane empty

Each visitor has own cookies and connections. The load balancer in front (a trusted proxy: the visitors' own address)
says by a field which of them are members.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from edge.cli.demo.browser import Browser, HttpBrowser
from edge.cli.demo.crowd import Crowd, CrowdPlan
from tests.edge.running import running_edge, running_upstream, with_rooms

__all__ = ["LANE", "SHARE", "Observed", "lanes_of", "play"]

CAPACITY = 20.0
SHARE = 0.3
LANE = "members"
FIELD = "X-Customer-Tier"


def lanes_of(upstream: str, **room: Any) -> dict[str, Any]:
    """Return the settings of two workers and a room with two lanes."""
    lane = {"name": LANE, "share": 100 * SHARE, "header": {"name": FIELD, "values": ["gold"]}}
    tree = with_rooms(
        upstream,
        {
            "name": "checkout",
            "match": {"paths": ["/checkout*"]},
            "capacity": {"admissions_per_second": CAPACITY},
            "polling": {"min_seconds": 1.0, "max_seconds": 5.0},
            "lanes": [lane],
            **room,
        },
    )
    return {**tree, "trusted_proxies": ["127.0.0.0/8"], "record": {"folder": "record"}}


@dataclass(slots=True)
class Observed:
    """admitted: of the members and of the others within the window, by the shop. arrivals: of admitted visitors
    from a lane, in the order of their admission."""

    admitted: tuple[int, int]
    seconds: float
    arrivals: tuple[list[float], list[float]]

    @property
    def share(self) -> float:
        return self.admitted[0] / max(1, sum(self.admitted))

    @property
    def use(self) -> float:
        return sum(self.admitted) / (CAPACITY * self.seconds)

    def disorder(self, lane: int) -> float:
        """Return the share of pairs of a lane that were admitted in the wrong order, of a sample."""
        sample = self.arrivals[lane][:: max(1, len(self.arrivals[lane]) // 400)]
        pairs = list(combinations(sample, 2))
        return sum(first > second for first, second in pairs) / max(1, len(pairs))

    def __str__(self) -> str:
        return (
            f"members {self.share:6.1%} of {sum(self.admitted)} admissions, capacity used {self.use:6.1%}, pairs in the"
            f" wrong order: members {self.disorder(0):.2%}, others {self.disorder(1):.2%}"
        )


class Shop:
    """Notes when each ticket came first, and in which lane it says it is."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}
        self.is_member: dict[str, bool] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        ticket = request.headers.get("X-Stanchion-Ticket", "")
        if ticket:
            self.came.setdefault(ticket, asyncio.get_running_loop().time())
            self.is_member.setdefault(ticket, FIELD in request.headers)
        return web.Response(text="the shop")

    def count(self, since: float, until: float, *, members: bool) -> int:
        return sum(since <= at < until and self.is_member[ticket] == members for ticket, at in self.came.items())


def browser_of(address: Callable[[], str], headers: dict[str, str]) -> Callable[[], Any]:
    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Browser]:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, headers=headers) as session:
            yield HttpBrowser(session, address)

    return opened


async def play(folder: Path, members: int, others: int, settle_s: float, seconds: float, seed: int = 1) -> Observed:
    """Play a sale: `members` and `others` arrive within two seconds. Observe for `seconds`, from `settle_s` on."""
    shop, loop = Shop(), asyncio.get_running_loop()
    async with (
        running_upstream(shop.handle) as upstream,
        running_edge(yaml.safe_dump(lanes_of(upstream)), folder) as edge,
    ):
        crowds = []
        for count, headers in ((members, {FIELD: "gold"}), (others, {})):
            plan = CrowdPlan(rush=max(1, count), rush_s=2.0, total=count, impatient=0.0, buy=False)
            address = f"{edge.url}/checkout"
            browser = browser_of(lambda address=address: address, headers)  # type: ignore[misc]
            crowds.append(Crowd(edge.url, "/checkout", plan, random.Random(seed + count), browser))
        tasks = [asyncio.ensure_future(crowd.play()) for crowd in crowds]
        start = loop.time() + settle_s
        await asyncio.sleep(settle_s + seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    end = start + seconds
    admitted = shop.count(start, end, members=True), shop.count(start, end, members=False)
    orders = []
    for crowd in crowds:
        done = sorted((v.admitted, v.arrived) for v in crowd.visits if v.admitted is not None)
        orders.append([arrived for _, arrived in done])
    return Observed(admitted, seconds, (orders[0], orders[1]))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to observe")
    options = parser.parse_args(argv)
    settle_s, fault = 5.0, False
    total = CAPACITY * (options.seconds + settle_s) * 1.15 + 80
    for name, members, others in (
        ("both full", int(SHARE * total), int((1 - SHARE) * total)),
        ("members empty", 0, int(total)),
        ("others empty", int(total), 0),
    ):
        with tempfile.TemporaryDirectory() as folder:
            got = asyncio.run(play(Path(folder), members, others, settle_s, options.seconds))
        print(f"{name:14} {got}", flush=True)
        if members and others:
            fault |= abs(got.share - SHARE) > 0.02 * SHARE
        fault |= got.use < 0.99
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
