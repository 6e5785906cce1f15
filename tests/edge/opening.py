"""The opening of a sale as its visitors see it, and what a test checks of it. The times are those of the server."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import aiohttp

__all__ = ["Buyer", "judged", "shop_at", "stamp"]

STATUS = "/_stanchion/status?room=checkout"


@dataclass
class Buyer:
    """A visitor that keeps appointments. place: where the order of the sale puts them."""

    ticket: str = ""
    arrived: float = 0.0
    admitted: float = 0.0
    polls: int = 0
    states: frozenset[str] = frozenset()
    early: dict[str, Any] | None = None
    """The first status document."""

    async def buy(self, urls: Sequence[str], after_s: float) -> None:
        await asyncio.sleep(after_s)
        jar = aiohttp.DummyCookieJar()
        cookie = ""
        # A connection for each poll, so that any of the nodes may answer.
        async with aiohttp.ClientSession(cookie_jar=jar, connector=aiohttp.TCPConnector(force_close=True)) as session:
            while not self.admitted:
                sent = {"Accept": "application/json", **({"Cookie": cookie} if cookie else {})}
                async with session.get(random.choice(urls) + STATUS, headers=sent) as answer:
                    document = await answer.json()
                    for line in answer.headers.getall("Set-Cookie", []):
                        cookie = line.partition(";")[0]
                        self._learn(cookie)
                self.polls += 1
                self.states |= {document["state"]}
                self.early = self.early or document
                if not self.admitted:
                    await asyncio.sleep(document["poll_after_seconds"])

    def _learn(self, cookie: str) -> None:
        fields = cookie.partition("=")[2].split(".")
        if fields[0] == "t1":
            self.ticket, self.arrived = fields[2].partition("~")[0], int(fields[3]) / 1000
        elif fields[0] == "p1":
            self.admitted = int(fields[4]) / 1000


def stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


class Stopwatch:
    """Measures by how much this machine runs things late, so that a busy one is not taken for a late opening."""

    def __init__(self) -> None:
        self.late_s = 0.0

    async def run(self) -> None:
        while True:
            due = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            self.late_s = max(self.late_s, time.monotonic() - due)


async def shop_at(urls: Sequence[str], crowd: int, seconds: float) -> tuple[list[Buyer], float]:
    """Let a crowd arrive within some seconds, and buy. Return the buyers, and by how much the machine was late."""
    buyers, watch = [Buyer() for _ in range(crowd)], Stopwatch()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch.run())
        await asyncio.gather(*(buyer.buy(urls, seconds * at / crowd) for at, buyer in enumerate(buyers)))
        watching.cancel()
    return buyers, watch.late_s


def judged(buyers: Sequence[Buyer], opens_at: float, places: Sequence[float], capacity: float, late_s: float) -> float:
    """Check times and return the share of pairs that were admitted in the wrong order (Kendall's distance).

    late_s: by how much the machine was late at most, because it was busy.
    """
    admitted = [buyer.admitted for buyer in buyers]
    assert min(admitted) >= opens_at, "nobody is admitted early"
    assert min(admitted) < opens_at + 0.2 + late_s, "the first is admitted at once"
    in_first_second = sum(1 for each in admitted if each < opens_at + 1.0 + late_s)
    assert in_first_second >= 0.7 * capacity, "the capacity is used from the first second"
    wrong = sum(
        1
        for (a, place_a), (b, place_b) in combinations(zip(admitted, places, strict=True), 2)
        if (a - b) * (place_a - place_b) < 0
    )
    pairs = len(buyers) * (len(buyers) - 1) / 2
    return wrong / pairs
