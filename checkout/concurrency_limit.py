"""The real limit of a checkout: a fixed number of purchases run at once, a fixed number wait, all others are refused.

    limit    purchases that may run at once = checkouts per second x seconds per checkout, rounded up (Little's law)
    backlog  purchases that may wait for one of these

Above limit + backlog `enter` refuses at once. The limit stands in for the database connections, worker threads and
payment contracts that make a real checkout collapse. A waiting room in front exists so that the limit never refuses.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from checkout.settings import CapacitySettings


class Overloaded(Exception):
    """The limit and its backlog are full."""


@dataclass(frozen=True, slots=True)
class ConcurrencySnapshot:
    limit: int
    backlog: int
    running: int
    waiting: int
    most_concurrent: int
    """The most purchases that ran or waited at the same time."""
    served: int
    refused: int


class ConcurrencyLimit:
    """Admits purchases up to the limit; `async with limit.enter():` is one purchase."""

    def __init__(self, limit: int, backlog: int) -> None:
        self._limit = limit
        self._backlog = backlog
        self._permits = asyncio.Semaphore(limit)
        self._entered = 0
        self._most_entered = 0
        self._served = 0
        self._refused = 0

    @classmethod
    def for_capacity(cls, capacity: CapacitySettings) -> "ConcurrencyLimit":
        limit = max(1, math.ceil(capacity.checkouts_per_second * capacity.seconds_per_checkout))
        return cls(limit, math.ceil(capacity.checkouts_per_second * capacity.backlog_seconds))

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Run the block as one purchase. Raises `Overloaded` if the limit and the backlog are full."""
        if self._entered >= self._limit + self._backlog:
            self._refused += 1
            raise Overloaded
        self._entered += 1
        self._most_entered = max(self._most_entered, self._entered)
        try:
            async with self._permits:
                yield
            self._served += 1
        finally:
            self._entered -= 1

    def snapshot(self) -> ConcurrencySnapshot:
        waiting = max(0, self._entered - self._limit)
        return ConcurrencySnapshot(
            limit=self._limit,
            backlog=self._backlog,
            running=self._entered - waiting,
            waiting=waiting,
            most_concurrent=self._most_entered,
            served=self._served,
            refused=self._refused,
        )
