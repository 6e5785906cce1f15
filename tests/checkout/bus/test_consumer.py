"""A consumer applies each message, acknowledges only what is applied, and buries poison."""

import asyncio
from collections.abc import Sequence

import pytest

from checkout.bus.bus import Bus, Message
from checkout.bus.consumer import Consumer
from checkout.bus.embedded import EmbeddedBus
from checkout.errors import StoreError
from tests.checkout.bus.contract import messages

LEASE_S = 0.05


class Effects:
    """What a consumer has done. It fails for `poison` always, and for everything while `is_down`."""

    def __init__(self, poison: int = 0) -> None:
        self.poison = poison
        self.is_down = False
        self.done: dict[int, int] = {}

    async def apply(self, batch: Sequence[Message]) -> None:
        if self.is_down:
            raise StoreError("down")
        for message in batch:
            if message.number == self.poison:
                raise KeyError("hold")
            self.done[message.number] = self.done.get(message.number, 0) + 1


async def until_done(consumer: Consumer, bus: Bus) -> None:
    async with asyncio.timeout(30):
        while (await bus.state("t", "g")).lag:
            await consumer.step(0.1)


async def test_poison_is_buried_and_everything_else_is_applied() -> None:
    bus, effects = await EmbeddedBus.open(":memory:", lease_s=LEASE_S), Effects(poison=3)
    await bus.publish("t", messages(1, 2, 3, 4, 5))
    consumer = Consumer(bus, "t", "g", effects.apply, max_tries=3)
    await until_done(consumer, bus)
    assert effects.done.keys() == {1, 2, 4, 5}
    assert [(letter.message.number, letter.cause) for letter in await bus.dead_letters("t", "g")] == [
        (3, "KeyError: 'hold'")
    ]
    assert (consumer.buried, consumer.failed) == (1, 3)
    await bus.close()


async def test_an_outage_buries_nothing() -> None:
    """While a store does not answer, the messages are kept, however often they are tried."""
    bus, effects = await EmbeddedBus.open(":memory:", lease_s=LEASE_S), Effects()
    await bus.publish("t", messages(1, 2))
    consumer, effects.is_down = Consumer(bus, "t", "g", effects.apply, max_tries=2), True
    for _ in range(5):
        with pytest.raises(StoreError):
            await consumer.step()
    effects.is_down = False
    await until_done(consumer, bus)
    assert effects.done == {1: 1, 2: 1}
    assert (await bus.state("t", "g")).dead == 0
    await bus.close()


async def test_a_consumer_that_dies_loses_nothing() -> None:
    """What the dead consumer had taken is applied by the next one."""
    bus, effects = await EmbeddedBus.open(":memory:", lease_s=LEASE_S), Effects()
    await bus.publish("t", messages(*range(1, 6)))
    assert len(await bus.take("t", "g", 3)) == 3
    await until_done(Consumer(bus, "t", "g", effects.apply), bus)
    assert effects.done.keys() == set(range(1, 6))
    await bus.close()
