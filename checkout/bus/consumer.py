"""A consumer of a group: take messages, apply them, and only then acknowledge them.

    apply all ──▶ acknowledge
       └─ an error ──▶ one by one ──▶ applied: acknowledge
                          ├─ the store does not answer: keep them, and try again after a pause
                          └─ any other error: given out again; after `max_tries` tries it is poison, and buried

`apply` must be safe to repeat, because a consumer can die between `apply` and `acknowledge`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from checkout.bus.bus import Bus, Delivery, Message
from checkout.errors import StoreError

LOG = logging.getLogger(__name__)
MAX_TRIES = 5
AT_ONCE = 200
WAIT_S = 1.0
AGAIN_S = 0.5

Apply = Callable[[Sequence[Message]], Awaitable[None]]


class Consumer:
    """`run` is a service. topic, group: what it takes from the bus."""

    def __init__(self, bus: Bus, topic: str, group: str, apply: Apply, *, max_tries: int = MAX_TRIES) -> None:
        self._bus = bus
        self.topic = topic
        self.group = group
        self._apply = apply
        self._max_tries = max_tries
        self._kept: list[Delivery] = []
        self.applied = 0
        self.failed = 0
        self.buried = 0

    def __repr__(self) -> str:
        return f"<Consumer {self.group} of {self.topic}, {self.applied} applied, {self.buried} buried>"

    async def run(self) -> None:
        """Apply messages for ever. A `StoreError` is logged, and the same messages are tried again."""
        while True:
            try:
                await self.step(WAIT_S)
            except StoreError as error:
                LOG.warning("%s: %s", self.group, error)
                await asyncio.sleep(AGAIN_S)

    async def step(self, wait_s: float = 0.0) -> int:
        """Apply what there is and return the number of messages that are done. Raises `StoreError`."""
        deliveries = self._kept or await self._bus.take(self.topic, self.group, AT_ONCE, wait_s)
        self._kept = deliveries
        if not deliveries:
            return 0
        try:
            await self._apply([delivery.message for delivery in deliveries])
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 - one of them is to blame, and is found below
            done = await self._one_by_one(deliveries)
        else:
            await self._done(deliveries)
            done = len(deliveries)
        self._kept = []
        return done

    async def _one_by_one(self, deliveries: Sequence[Delivery]) -> int:
        """Find the message that cannot be applied. The others are applied in order."""
        done = 0
        for at, delivery in enumerate(deliveries):
            self._kept = list(deliveries[at:])
            try:
                await self._apply([delivery.message])
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - counted, and buried with its traceback in the log
                self.failed += 1
                await self._refuse(delivery, error)
            else:
                await self._done([delivery])
                done += 1
        return done

    async def _refuse(self, delivery: Delivery, error: Exception) -> None:
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        number = delivery.message.number
        if delivery.tries < self._max_tries:
            LOG.warning("%s cannot apply message %d of %s: %s", self.group, number, self.topic, cause)
            return
        LOG.error("%s buries message %d of %s", self.group, number, self.topic, exc_info=error)
        await self._bus.bury(self.topic, self.group, delivery, cause)
        self.buried += 1

    async def _done(self, deliveries: Sequence[Delivery]) -> None:
        await self._bus.acknowledge(self.topic, self.group, deliveries)
        self.applied += len(deliveries)
