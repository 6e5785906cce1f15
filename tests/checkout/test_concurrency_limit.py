"""The slots: so many at once, so many waiting, no more."""

import asyncio

import pytest

from checkout.concurrency_limit import ConcurrencyLimit, Overrun
from checkout.settings import parse


@pytest.mark.parametrize(
    ("rate", "seconds", "backlog_s", "slots", "backlog"),
    [(3, 2, 2, 6, 6), (0.1, 1, 0, 1, 0), (2.5, 1, 1, 3, 3)],
)
def test_slots_follow_littles_law(rate: float, seconds: float, backlog_s: float, slots: int, backlog: int) -> None:
    """Purchases at once = rate x time of a purchase, rounded up, and at least one."""
    capacity = {"checkouts_per_second": rate, "seconds_per_checkout": seconds, "backlog_seconds": backlog_s}
    snapshot = ConcurrencyLimit.for_capacity(parse({"capacity": capacity}).capacity).snapshot()
    assert (snapshot.slots, snapshot.backlog) == (slots, backlog)


async def test_slot_is_given_back_whatever_happens() -> None:
    """A purchase that fails or is cancelled leaves no slot taken, and does not count as served."""
    slots = ConcurrencyLimit(1, 0)
    for error in (ValueError, asyncio.CancelledError):
        with pytest.raises(error):
            async with slots.enter():
                raise error
    async with slots.enter():
        with pytest.raises(Overrun):
            async with slots.enter():
                pass
    snapshot = slots.snapshot()
    assert (snapshot.working, snapshot.waiting, snapshot.served, snapshot.refused) == (0, 0, 1, 1)
