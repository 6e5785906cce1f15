"""The best sellers equal a naive recount on any sequence of events, replays, crashes and clock jumps."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.best_sellers import HOUR_MS, HOURS, BestSellers
from checkout.bus.bus import Message
from checkout.bus.embedded import EmbeddedBus
from checkout.bus.opening import SALES
from checkout.leaderboard import Leaderboard
from checkout.sale_list import SaleList
from checkout.values import Event
from tests.checkout.conftest import Serve

START = 500_000  # an hour


def event(seq: int, sale: str, kind: str, hour: int, ms: int = 0) -> Event:
    return Event(seq, sale, f"h{seq}", "u", kind, "cashier", "", hour * HOUR_MS + ms, 0, 0, 0, 0, 0, 0, 0, "", "", "")


def recount(events: list[Event], now_hour: int) -> dict[str, int]:
    """Count naively: every sold event of the last 168 hours."""
    counts: dict[str, int] = {}
    for one in events:
        hour = one.at_ms // HOUR_MS
        if one.kind == "sold" and now_hour - HOURS < hour <= now_hour:
            counts[one.sale] = counts.get(one.sale, 0) + 1
    return counts


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("event"),
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["sold", "sold", "sold", "held", "expired"]),
            st.integers(-2 * HOURS, 2 * HOURS),
        ),
        st.tuples(st.just("clock"), st.just(""), st.just(""), st.integers(-HOURS, 3 * HOURS)),
        st.tuples(st.just("replay"), st.just(""), st.just(""), st.integers(0, 20)),
        st.tuples(st.just("crash"), st.just(""), st.just(""), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_window_equals_a_recount(steps: list[tuple[str, str, str, int]]) -> None:
    """Late events, clock jumps both ways, replays from any event and rebuilds give the numbers of the recount."""
    best, trail, now = BestSellers(), list[Event](), 0
    for kind, sale, what, number in steps:
        if kind == "event":
            trail.append(event(len(trail) + 1, sale, what, START + number))
            best.take(trail[-1:])
            now = max(now, START + number)
        elif kind == "clock":
            best.advance(START + number)
            now = max(now, START + number)
        elif kind == "replay":
            best.take(trail[-number:] if number else trail)
        else:
            best = BestSellers()
            best.take(trail)
            best.advance(now)
        assert dict(best.top(10)) == recount(trail, now)
        assert best.units("none") == 0
    assert [units for _, units in best.top(10)] == sorted((u for _, u in best.top(10)), reverse=True)


def test_a_window_ends_after_seven_days() -> None:
    """A unit counts for 168 hours, and then no more, even if nothing else is sold."""
    best = BestSellers()
    best.take([event(1, "a", "sold", START)])
    best.advance(START + HOURS - 1)
    assert best.top(1) == [("a", 1)]
    best.advance(START + HOURS)
    assert best.top(1) == []


def test_the_order_is_by_units_then_by_name() -> None:
    best = BestSellers()
    sales = ["b", "a", "c", "c"]
    best.take([event(seq, sale, "sold", START) for seq, sale in enumerate(sales, 1)])
    assert best.top(2) == [("c", 2), ("a", 1)]


async def test_the_leaderboard_counts_paid_orders(serve: Serve, tmp_path: Path) -> None:
    """Only paid units count. After a restart the numbers are the same."""
    engine: dict[str, object] = {"path": str(tmp_path / "shop.db")}
    for is_first in (True, False):
        async with serve(stock=5, engine=engine, title="<Watch>") as visit:
            for user in ("a", "b") if is_first else ():
                headers = {"X-Stanchion-Ticket": user, "Accept": "application/json"}
                async with visit.client.post("/checkout", json={"card": "1"}, headers=headers) as answer:
                    assert answer.status == 201
            async with visit.client.post("/checkout/holds", data={}, headers={"X-Stanchion-Ticket": "c"}) as answer:
                assert answer.status == (200 if is_first else 409)
            async with asyncio.timeout(20):
                while True:
                    async with visit.client.get("/api/best-sellers") as answer:
                        rows = await answer.json()
                    if rows and rows[0]["units_7d"] == 2:
                        break
                    await asyncio.sleep(0.05)
            assert [(row["sale"], row["title"]) for row in rows] == [("launch", "<Watch>")]
            async with visit.client.get("/best-sellers") as answer:
                assert "&lt;Watch&gt;, 249.00 EUR: 2 sold" in await answer.text()
            for limit in ("0", "101", "x", "-1", "1" * 50):
                async with visit.client.get(f"/api/best-sellers?limit={limit}") as answer:
                    assert answer.status == 400


async def test_a_message_without_an_event_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """Another program has published on the topic. The shop goes on, and counts everything else."""
    bus = await EmbeddedBus.open(":memory:")
    good = [event(seq, "a", "sold", START) for seq in (1, 4)]
    await bus.publish(SALES, [Message.of(1, good[0]), Message(2, "{}"), Message(3, ""), Message.of(4, good[1])])
    await bus.publish(SALES, [Message(5, "[1]")])
    shown = Leaderboard(bus, SaleList(None), lambda: START * HOUR_MS)  # type: ignore[arg-type]  # no sale is asked for
    for _ in range(2):
        await shown.step()
    assert shown.units_7d() == {"a": 2}
    assert caplog.text.count("is no event and is left out") == 3
    await bus.close()
