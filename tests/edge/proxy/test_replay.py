"""One ticket, one place, however often the ticket is shown at the same moment."""

import asyncio
import time

from tests.edge.conftest import KEYS
from waiting_room.ticket import Keyring, Ticket


async def test_a_hundred_uses_of_one_ticket_at_once_are_one_admission(edge_in_front_of, upstream):
    # One admission, and no other for a long time: a busy machine may need seconds for a hundred requests.
    edge = await edge_in_front_of(upstream, rate=0.001)
    now = time.time()
    ticket = "Cookie: stanchion_checkout=" + Keyring(KEYS).seal(Ticket("a" * 22, "checkout", now - 60.0, now))
    visitors = [await edge.connect() for _ in range(100)]
    answers = await asyncio.gather(*(visitor.get("/checkout", ticket) for visitor in visitors))
    assert {answer["Stanchion-State"] for answer in answers} == {"admitted"}
    assert {request["X-Stanchion-Ticket"] for request in upstream.requests} == {"a" * 22}
    assert len({request["X-Stanchion-Admitted-At"] for request in upstream.requests}) == 1
    assert len({answer["Set-Cookie"].partition(";")[0] for answer in answers}) == 1, "they got different passes"
    another = await edge.get("/checkout")
    assert another["Stanchion-State"] == "waiting", "the hundred uses left a place"
