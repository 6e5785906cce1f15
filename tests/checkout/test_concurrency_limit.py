"""The concurrency limit: a fixed number of purchases run, a fixed number wait, the others are refused."""

import asyncio

import pytest

from checkout.concurrency_limit import ConcurrencyLimit, Overloaded
from checkout.settings import parse


@pytest.mark.parametrize(
    ("rate", "seconds", "backlog_s", "limit", "backlog"),
    [(3, 2, 2, 6, 6), (0.1, 1, 0, 1, 0), (2.5, 1, 1, 3, 3)],
)
def test_the_limit_follows_littles_law(rate: float, seconds: float, backlog_s: float, limit: int, backlog: int) -> None:
    """Purchases at once = rate x time of a purchase, rounded up, at least one."""
    capacity = {"checkouts_per_second": rate, "seconds_per_checkout": seconds, "backlog_seconds": backlog_s}
    snapshot = ConcurrencyLimit.for_capacity(parse({"capacity": capacity}).capacity).snapshot()
    assert (snapshot.limit, snapshot.backlog) == (limit, backlog)


async def test_a_failed_purchase_frees_its_place() -> None:
    """A purchase that fails or is cancelled no longer counts as running, and not as served."""
    limit = ConcurrencyLimit(1, 0)
    for error in (ValueError, asyncio.CancelledError):
        with pytest.raises(error):
            async with limit.enter():
                raise error
    async with limit.enter():
        with pytest.raises(Overloaded):
            async with limit.enter():
                pass
    snapshot = limit.snapshot()
    assert (snapshot.running, snapshot.waiting, snapshot.served, snapshot.refused) == (0, 0, 1, 1)
