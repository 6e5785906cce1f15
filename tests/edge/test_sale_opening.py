"""A scheduled sale over real sockets, on two nodes: hundreds wait before it opens, and none is admitted early.

The times are those of the server: a pass says when it was given, and a ticket when it was taken.
"""

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.edge.opening import Buyer, judged, shop_at, stamp
from tests.edge.whole import whole_edge
from waiting_room.draw import Draw, commitment_of

CROWD = 300
CAPACITY = 100.0
LEAD_S = 4.5


async def played(folder: Path, order: str) -> tuple[list[Buyer], dict[str, Any], float, float]:
    """Play the opening. Return the buyers, the sale by the API, when it opened, and how late the machine was."""
    polling = {"min_seconds": 0.5, "max_seconds": 2.0}
    async with (
        whole_edge(folder, room={"capacity": {"admissions_per_second": CAPACITY}, "polling": polling}) as edge,
        aiohttp.ClientSession() as session,
    ):
        url = f"{edge.running.admin}/v1/rooms/checkout/sales"
        opens_at = round(time.time() + LEAD_S, 3)
        sale = {"name": "drop", "prequeue_at": stamp(opens_at - 60), "opens_at": stamp(opens_at), "order": order}
        async with session.post(url, json=sale) as answer:
            assert answer.status == 200, await answer.text()
        buyers, late_s = await shop_at([edge.running.url], CROWD, 1.5)
        async with session.get(url) as answer:
            shown = await answer.json()
        assert (shown["phase"], shown["sale"]) == ("open", "drop")
        return buyers, shown["sales"][0], opens_at, late_s


@pytest.mark.serial
async def test_a_sale_opens_at_its_time_in_order_of_arrival(tmp_path: Path) -> None:
    buyers, sale, opens_at, late_s = await played(tmp_path, "arrival")
    assert sale["draw"] is None
    assert judged(buyers, opens_at, [buyer.arrived for buyer in buyers], CAPACITY, late_s) < 0.06
    first = buyers[0].early
    assert first is not None
    assert (first["state"], first["opens_at"]) == ("early", sale["opens_at"])
    assert "draw" not in first
    assert max(buyer.polls for buyer in buyers) < 40


@pytest.mark.serial
async def test_a_sale_opens_in_the_drawn_order(tmp_path: Path) -> None:
    buyers, sale, opens_at, late_s = await played(tmp_path, "draw")
    first = buyers[0].early
    assert first is not None
    assert (first["state"], first["position"], first["draw"]["seed"]) == ("early", None, None)
    assert first["ticket"] == buyers[0].ticket
    seed = bytes.fromhex(sale["draw"]["seed"])
    assert commitment_of(seed) == sale["draw"]["commitment"] == first["draw"]["commitment"]
    draw = Draw(seed, opens_at - 60.0, opens_at)
    places = [float(draw.place(buyer.ticket)) for buyer in buyers]
    assert judged(buyers, opens_at, places, CAPACITY, late_s) < 0.06
    arrived = sorted(range(CROWD), key=lambda at: buyers[at].arrived)
    drawn = sorted(range(CROWD), key=lambda at: places[at])
    assert arrived != drawn
