"""The whole of it: a real edge with two workers, a real shop behind it, a bank, and a crowd for too few units.

What is told and when is the visitors' own observation; what was sold is read from the shop's trail by the checker that
believes nobody.
"""

import asyncio
import sqlite3
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from checkout.audit import audit
from checkout.bank import Bank
from checkout.bank_client import bank_app
from checkout.clock import wall_ms
from checkout.engines.sqlite import read_evidence
from checkout.evidence import Evidence
from checkout.tasks import beside
from tests.checkout.chaos import SALE, Plan, ShopProcess, serving_app
from tests.edge.observed import overtaken_share
from tests.edge.running import RunningEdge, one_room, running_edge, wait_until
from tests.ports import free_port
from tests.sale.buyers import Buyer, Buyers, BuyersPlan

pytestmark = pytest.mark.serial

STOCK = 500
HOLD_S = 12.0
CAPACITY = 60


def settings(shop_url: str) -> str:
    return one_room(
        shop_url,
        paths=["/checkout*", "/api/*"],
        capacity={"admissions_per_second": CAPACITY, "burst_seconds": 1.0},
        polling={"min_seconds": 1, "max_seconds": 4},
        stock={"path": "/stock", "interval_seconds": 0.5, "claim_seconds": 10},
    )


@dataclass
class Said:
    """What the edge said of itself, some time between asked and heard."""

    asked: float
    heard: float
    room: dict[str, Any]


@dataclass
class Sale:
    buyers: list[Buyer]
    evidence: Evidence
    rooms: list[Said]
    last_order_at: float


async def play(folder: Path) -> Sale:
    now = asyncio.get_running_loop().time
    rooms: list[Said] = []
    ordered_at: list[float] = []

    async with AsyncExitStack() as stack:
        bank = Bank(0.01)
        bank_url = await stack.enter_async_context(serving_app(bank_app(bank)))
        database = folder / "shop.db"
        plan = Plan(stock=STOCK, hold_s=HOLD_S)
        shop = ShopProcess(folder, free_port(), {"kind": "sqlite", "path": str(database)}, plan, bank_url)
        stack.callback(shop.kill, 15)
        shop.start()
        edge = await stack.enter_async_context(running_edge(settings(shop.url), folder))

        async def shop_answers() -> bool:
            return (await edge.status())["rooms"][0]["stock"] == STOCK

        await wait_until(shop_answers, "the edge knows the stock before anybody came")
        buyers = Buyers(edge.url, BuyersPlan(), SALE, lambda: ordered_at.append(now()))
        async with beside(watch(edge, rooms)):
            await buyers.play()
        db = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
        found = read_evidence(db, SALE, wall_ms())
        db.close()
        assert found is not None
        evidence = replace(found, told=buyers.told, movements=bank.movements)
        return Sale(buyers.all, evidence, rooms, ordered_at[-1])


async def watch(edge: RunningEdge, rooms: list[Said]) -> None:
    now = asyncio.get_running_loop().time
    while True:
        asked = now()
        room = (await edge.status())["rooms"][0]
        rooms.append(Said(asked, now(), room))
        await asyncio.sleep(0.25)


async def test_a_sale_to_its_last_unit(tmp_path: Path) -> None:
    """3,000 visitors, 500 units, people who leave, bots, tabs, declined cards, holds left behind: every unit is sold
    once, in the order of arrival, and whoever waits always knows how it stands.
    """
    sale = await play(tmp_path)
    assert audit(sale.evidence, is_quiet=True) == []
    assert sale.evidence.stock[:3] == (0, 0, STOCK)
    check_one_place_bought_one_unit(sale)
    check_the_order(sale)
    check_that_nobody_rushed_in_for_nothing(sale)
    check_all_held_was_told(sale)
    check_the_end_was_told(sale)


def check_one_place_bought_one_unit(sale: Sale) -> None:
    """Whatever a visitor opens beside it: the ticket of the pass is the user. Whoever has bought is done with that
    place; a tab that they left open is told so by a new one, at the end of the line, which is good for a unit as well.
    """
    print(sum((buyer.answers for buyer in sale.buyers), Counter()))
    assert sum(len(buyer.orders) for buyer in sale.buyers) == STOCK
    assert len({told.user for told in sale.evidence.told if told.kind == "sold"}) == STOCK
    tried_twice = [buyer for buyer in sale.buyers if buyer.kind == "tabs" and buyer.answers["per-user"]]
    assert tried_twice, "no second tab tried to take a second unit"


def check_the_order(sale: Sale) -> None:
    """In and served in the order of arrival, within what the line promises: half of all are off by less than a second
    of its capacity, nearly all by less than three. (`check_the_bounds` in tests/edge allows 5 % of the pairs of 1,500
    visitors to be overtaken: that is off by some two seconds on average.) A lottery is off by a third of them all.
    """
    by_ticket = {f"ticket:{buyer.ticket}": buyer for buyer in sale.buyers if buyer.kind != "bot"}
    served = [
        by_ticket[event.user] for event in sale.evidence.events if event.kind == "held" and event.user in by_ticket
    ]
    let_in = sorted(
        (buyer for buyer in by_ticket.values() if buyer.visit.admitted), key=lambda buyer: buyer.visit.admitted or 0
    )
    print(f"{overtaken_share([buyer.visit for buyer in let_in]):.1%} of pairs overtaken")
    for what, order in (("let in", let_in), ("served", served)):
        off = sorted(abs(at - now) for now, at in enumerate(places(order)))
        median, p95 = off[len(off) // 2], off[len(off) * 95 // 100]
        print(f"{what}: {len(order)}, off by {median} at the median, {p95} at P95, {off[-1]} at most")
        assert median < CAPACITY
        assert p95 < 3 * CAPACITY
    seen = sorted((buyer for buyer in sale.buyers if buyer.first_seen_ms), key=lambda buyer: buyer.first_seen_ms)
    last = max(at for at, buyer in enumerate(seen) if buyer.visit.admitted and buyer.kind != "bot")
    passed_over = [b for b in seen[: last - 3 * CAPACITY] if b.kind == "patient" and b.visit.admitted is None]
    assert passed_over == [], [(buyer.number, buyer.heard[-3:]) for buyer in passed_over]


def places(order: list[Buyer]) -> list[int]:
    """For each in this order, which place they would have had by their arrival."""
    by_arrival = sorted(range(len(order)), key=lambda at: order[at].visit.arrived)
    place = [0] * len(order)
    for rank, at in enumerate(by_arrival):
        place[at] = rank
    return place


def check_that_nobody_rushed_in_for_nothing(sale: Sale) -> None:
    """One comes in for a unit that is free or comes back: who is let in finds one, but for a few who were too slow."""
    let_in = [buyer for buyer in sale.buyers if buyer.visit.admitted]
    too_late = [buyer for buyer in let_in if buyer.answers["sold-out"] and not buyer.answers["held"]]
    print(f"{len(let_in)} let in for {STOCK} units, {len(too_late)} of them found none")
    assert len(too_late) <= 0.05 * len(let_in)


def check_all_held_was_told(sale: Sale) -> None:
    """While all is held, whoever asks hears so, with how many still pay; some of them later get what came back."""
    spans = [
        (before.heard, after.asked)
        for before, between, after in zip(sale.rooms, sale.rooms[1:], sale.rooms[2:], strict=False)
        if all(said.room["stock"] == 0 and said.room["held"] for said in (before, between, after))
    ]
    asked = [
        heard for start, end in spans for buyer in sale.buyers for heard in buyer.heard if start < heard.began < end
    ]
    knew = [heard for heard in asked if heard.state == "sold_out" and heard.held and not heard.is_final]
    told = [buyer for buyer in sale.buyers if any(heard.held and heard.state == "sold_out" for heard in buyer.heard)]
    served_later = sum(len(buyer.orders) for buyer in told)
    print(f"{len(told)} were told that all is held, {served_later} of them bought; {len(knew)} of {len(asked)} answers")
    assert len(told) >= 100
    assert served_later > 0
    assert len(knew) >= 0.95 * len(asked)


def check_the_end_was_told(sale: Sale) -> None:
    """Everybody who still waits is told with their first poll after the last unit is sold, and needs to ask no more."""
    late = Counter[int]()
    for buyer in sale.buyers:
        if buyer.visit.admitted is None and buyer.visit.left is None:
            late[sum(heard.began > sale.last_order_at and not heard.is_final for heard in buyer.heard)] += 1
            assert buyer.heard[-1].is_final
            assert buyer.heard[-1].state == "sold_out"
    print(f"told of the end: {late}")
    assert late[0] >= 1000
    assert max(late) <= 1, "news may cross one poll on its way to the other worker, not two"
