"""Best sellers and the oversell alarm over a real relay and bus equal a recount of the trail, whatever is lost."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.core import Metric

from checkout.best_sellers import HOUR_MS, HOURS
from checkout.bus.bus import Message
from checkout.bus.embedded import EmbeddedBus
from checkout.bus.opening import SALES
from checkout.bus.relay import Relay
from checkout.leaderboard import Leaderboard
from checkout.sale_list import SaleList
from checkout.values import Event
from tests.checkout.test_best_sellers import START, event, recount

STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("event"),
            st.sampled_from(["a", "b"]),
            st.sampled_from(["sold", "sold", "held"]),
            st.integers(-2 * HOURS, HOURS),
        ),
        st.tuples(st.just("clock"), st.just(""), st.just(""), st.integers(-HOURS, 3 * HOURS)),
        st.tuples(
            st.sampled_from(["relay", "count", "relay dies", "shop dies", "bus is empty"]),
            st.just(""),
            st.just(""),
            st.integers(0, 1),
        ),
    ),
    max_size=40,
)


class Store:
    """A trail, with the number of units that its sales have."""

    def __init__(self) -> None:
        opened = [event(seq, sale, "opened", START) for seq, sale in enumerate(("a", "b"), 1)]
        self.trail = [each._replace(free=3) for each in opened]

    async def read(self, after: int, limit: int) -> list[Message]:
        return [Message.of(each.seq, each) for each in self.trail if each.seq > after][:limit]


def oversold(metric: Metric) -> dict[str, float]:
    return {sample.labels["sale"]: sample.value for sample in metric.samples}


@pytest.fixture(scope="module")
def no_sales() -> SaleList:
    return SaleList(None)  # type: ignore[arg-type]  # the counts ask for no sale


@given(steps=STEPS)
@settings(deadline=None, max_examples=40)
async def test_no_event_is_lost_or_counted_twice(steps: list[tuple[str, str, str, int]], no_sales: SaleList) -> None:
    """Two relays and a shop that die, and a bus that loses everything: the numbers are those of the recount."""
    store, bus, now = Store(), await EmbeddedBus.open(":memory:"), [START]
    relays = [Relay(bus, SALES, store.read) for _ in range(2)]
    shown = Leaderboard(bus, no_sales, lambda: now[0] * HOUR_MS)
    for kind, sale, what, number in steps:
        if kind == "event":
            store.trail.append(event(store.trail[-1].seq + 1 + number % 3, sale, what, START + number))
        elif kind == "clock":
            now[0] = max(now[0], START + number)
        elif kind == "relay":
            await relays[number].step()
        elif kind == "count":
            await shown.step()
        elif kind == "relay dies":
            relays[number] = Relay(bus, SALES, store.read)
        elif kind == "shop dies":
            shown = Leaderboard(bus, no_sales, lambda: now[0] * HOUR_MS)
        else:
            await bus.clear(SALES)
    await relays[0].step()
    await shown.step()
    counted: list[Event] = store.trail
    assert await bus.after(SALES, 0, 1000) == await store.read(0, 1000)
    latest = max([now[0], *(each.at_ms // HOUR_MS for each in counted)])
    assert shown.units_7d() == recount(counted, latest)
    fresh = Leaderboard(bus, no_sales, lambda: now[0] * HOUR_MS)
    await fresh.step()
    assert fresh.units_7d() == shown.units_7d()
    sold = Counter(each.sale for each in counted if each.kind == "sold")
    assert oversold(fresh.metric()) == {sale: max(0, sold[sale] - 3) for sale in ("a", "b")}
    assert oversold(shown.metric()) == oversold(fresh.metric())
    await bus.close()
