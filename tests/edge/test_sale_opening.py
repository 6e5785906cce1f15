"""A scheduled sale over real sockets, on two nodes: hundreds wait before it opens, and none is admitted early.

The times are those of the server: a pass says when it was given, and a ticket when it was taken.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.edge.whole import Edge, whole_edge
from waiting_room.draw import Draw, commitment_of

CROWD = 300
CAPACITY = 150.0
LEAD_S = 12.0


@dataclass
class Buyer:
    """A visitor who keeps appointments. place: where the order of the sale puts them."""

    ticket: str = ""
    arrived: float = 0.0
    admitted: float = 0.0
    polls: int = 0
    states: frozenset[str] = frozenset()
    early: dict[str, Any] | None = None
    """The first status document."""

    async def buy(self, edge: Edge, after_s: float) -> None:
        await asyncio.sleep(after_s)
        jar = aiohttp.DummyCookieJar()
        cookie = ""
        # A connection for each poll, so that any of the nodes may answer.
        async with aiohttp.ClientSession(cookie_jar=jar, connector=aiohttp.TCPConnector(force_close=True)) as session:
            while not self.admitted:
                sent = {"Accept": "application/json", **({"Cookie": cookie} if cookie else {})}
                async with session.get(f"{edge.running.url}/_stanchion/status?room=checkout", headers=sent) as answer:
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


async def played(folder: Path, order: str, **sale: Any) -> tuple[list[Buyer], dict[str, Any], float, Edge]:
    """Play the opening. Return the buyers, the sale as the API shows it, and when it opened."""
    now = time.time()
    opens_at = round(now + LEAD_S, 3)
    sales = [{"name": "drop", "prequeue_at": stamp(now - 1), "opens_at": stamp(opens_at), "order": order, **sale}]
    polling = {"min_seconds": 0.5, "max_seconds": 2.0}
    room = {"capacity": {"admissions_per_second": CAPACITY}, "polling": polling, "sales": sales}
    async with whole_edge(folder, room=room) as edge:
        buyers = [Buyer() for _ in range(CROWD)]
        begun = time.time()
        assert begun < opens_at - 4.0, "the machine is too slow for this test's lead"
        await asyncio.gather(*(buyer.buy(edge, 2.5 * at / CROWD) for at, buyer in enumerate(buyers)))
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{edge.running.admin}/v1/rooms/checkout/sales") as answer,
        ):
            shown = await answer.json()
        assert (shown["phase"], shown["sale"]) == ("open", "drop")
        return buyers, shown["sales"][0], opens_at, edge


def judged(buyers: list[Buyer], opens_at: float, places: list[float]) -> float:
    """Check times and return the share of pairs that were admitted in the wrong order (Kendall's distance)."""
    admitted = [buyer.admitted for buyer in buyers]
    assert min(admitted) >= opens_at, "nobody is admitted early"
    assert min(admitted) < opens_at + 0.2, "the first is admitted at once"
    in_first_second = sum(1 for each in admitted if each < opens_at + 1.0)
    assert in_first_second >= 0.8 * CAPACITY, "the capacity is used from the first second"
    wrong = sum(
        1
        for (a, place_a), (b, place_b) in combinations(zip(admitted, places, strict=True), 2)
        if (a - b) * (place_a - place_b) < 0
    )
    pairs = len(buyers) * (len(buyers) - 1) / 2
    return wrong / pairs


@pytest.mark.serial
async def test_a_sale_opens_at_its_time_in_order_of_arrival(tmp_path: Path) -> None:
    buyers, sale, opens_at, _ = await played(tmp_path, "arrival")
    assert sale["draw"] is None
    assert judged(buyers, opens_at, [buyer.arrived for buyer in buyers]) < 0.03
    first = buyers[0].early
    assert first is not None
    assert (first["state"], first["opens_at"]) == ("early", sale["opens_at"])
    assert "draw" not in first
    assert max(buyer.polls for buyer in buyers) < 40


@pytest.mark.serial
async def test_a_sale_opens_in_the_drawn_order(tmp_path: Path) -> None:
    buyers, sale, opens_at, _ = await played(tmp_path, "draw")
    first = buyers[0].early
    assert first is not None
    assert (first["state"], first["position"], first["draw"]["seed"]) == ("early", None, None)
    assert first["ticket"] == buyers[0].ticket
    seed = bytes.fromhex(sale["draw"]["seed"])
    assert commitment_of(seed) == sale["draw"]["commitment"] == first["draw"]["commitment"]
    draw = Draw(seed, opens_at - 60.0, opens_at)
    places = [float(draw.place(buyer.ticket)) for buyer in buyers]
    assert judged(buyers, opens_at, places) < 0.03
    arrived = sorted(range(CROWD), key=lambda at: buyers[at].arrived)
    drawn = sorted(range(CROWD), key=lambda at: places[at])
    assert arrived != drawn
