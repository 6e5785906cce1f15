"""The real limit of a checkout: so many purchases at once, so many waiting for their turn, no more.

Over the limit `enter` refuses at once. It is the stand-in for the database connections, worker threads and
payment contracts that make a real checkout tip over; a waiting room in front exists so that it never has to
refuse.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from checkout.settings import CapacitySettings


class Overrun(Exception):
    """More came than the checkout can take."""


@dataclass(frozen=True, slots=True)
class ConcurrencySnapshot:
    slots: int
    backlog: int
    working: int
    waiting: int
    most_concurrent: int
    served: int
    refused: int


class ConcurrencyLimit:
    def __init__(self, slots: int, backlog: int) -> None:
        self._slots = slots
        self._backlog = backlog
        self._turn = asyncio.Semaphore(slots)
        self._inside = 0
        self._most_inside = 0
        self._served = 0
        self._refused = 0

    @classmethod
    def for_capacity(cls, capacity: CapacitySettings) -> "ConcurrencyLimit":
        slots = max(1, math.ceil(capacity.checkouts_per_second * capacity.seconds_per_checkout))
        return cls(slots, math.ceil(capacity.checkouts_per_second * capacity.backlog_seconds))

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Hold one slot. Raises `Overrun` when all slots and the whole backlog are taken."""
        if self._inside >= self._slots + self._backlog:
            self._refused += 1
            raise Overrun
        self._inside += 1
        self._most_inside = max(self._most_inside, self._inside)
        try:
            async with self._turn:
                yield
            self._served += 1
        finally:
            self._inside -= 1

    def snapshot(self) -> ConcurrencySnapshot:
        waiting = max(0, self._inside - self._slots)
        return ConcurrencySnapshot(
            self._slots,
            self._backlog,
            self._inside - waiting,
            waiting,
            self._most_inside,
            self._served,
            self._refused,
        )
