"""What every event bus promises. A test file for each bus makes it and inherits these tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import pytest

from checkout.bus.bus import Bus, Delivery, Message

OpenBus = Callable[[float], AbstractAsyncContextManager[Bus]]
"""Open one more connection to the same bus. The argument is the lease in seconds."""
LONG_S = 60.0


def messages(*numbers: int) -> list[Message]:
    return [Message.of(number, {"n": number, "text": "ä\n" * 3}) for number in numbers]


def numbers(deliveries: list[Delivery]) -> list[int]:
    return [delivery.message.number for delivery in deliveries]


async def take_some(bus: Bus, topic: str, group: str, limit: int = 100) -> list[Delivery]:
    """Take messages, and wait for the first as long as a busy machine may need."""
    async with asyncio.timeout(30):
        while not (found := await bus.take(topic, group, limit, wait_s=1.0)):
            pass
    return found


class BusContract:
    """Subclasses have a fixture `connect` that returns an `OpenBus` on an empty bus."""

    SHORT_S: ClassVar[float] = 0.2
    """A lease that ends within a test."""

    @pytest.fixture
    async def bus(self, connect: OpenBus) -> AsyncIterator[Bus]:
        async with connect(LONG_S) as bus:
            yield bus

    async def test_a_topic_keeps_what_was_published_in_order(self, bus: Bus) -> None:
        """Numbers may have gaps. A reader starts after any number."""
        assert await bus.last("t") is None
        assert await bus.after("t", 0, 10) == []
        sent = messages(1, 2, 5, 30_000_000_000, 30_000_000_007)
        await bus.publish("t", sent[:2])
        await bus.publish("t", sent[2:])
        await bus.publish("t", [])
        assert await bus.last("t") == sent[-1]
        assert await bus.after("t", 0, 10) == sent
        assert await bus.after("t", 2, 2) == sent[2:4]
        assert await bus.after("t", 4, 10) == sent[2:]
        assert await bus.after("t", 30_000_000_007, 10) == []
        assert sent[0].value == {"n": 1, "text": "ä\nä\nä\n"}

    async def test_what_is_published_again_is_there_once(self, bus: Bus, connect: OpenBus) -> None:
        """A publisher that does not know what has arrived sends everything again. Several may do so at once."""
        sent = messages(*range(1, 41))
        await bus.publish("t", sent[:7])
        await bus.publish("t", sent[:7])
        async with connect(LONG_S) as other:
            await asyncio.gather(*(each.publish("t", sent[at:30]) for at in range(0, 7, 2) for each in (bus, other)))
            await other.publish("t", sent)
        await bus.publish("t", sent[3:9])
        assert await bus.after("t", 0, 100) == sent

    async def test_each_group_gets_every_message(self, bus: Bus) -> None:
        """A group begins at the first message, however late it comes. Topics are separate."""
        await bus.publish("t", messages(1, 2, 3))
        await bus.publish("other", messages(9))
        assert numbers(await take_some(bus, "t", "a", 2)) == [1, 2]
        assert numbers(await take_some(bus, "t", "a")) == [3]
        assert numbers(await take_some(bus, "t", "b")) == [1, 2, 3]
        assert numbers(await take_some(bus, "other", "a")) == [9]
        assert await bus.take("t", "a", 10) == []

    async def test_the_consumers_of_a_group_share_the_messages(self, bus: Bus, connect: OpenBus) -> None:
        """While a lease runs, no other consumer gets the message."""
        await bus.publish("t", messages(*range(1, 21)))
        async with connect(LONG_S) as other:
            taken = numbers(await take_some(bus, "t", "g", 5)) + numbers(await take_some(other, "t", "g", 100))
            assert sorted(taken) == list(range(1, 21))
            assert await other.take("t", "g", 10) == []

    async def test_a_waiting_consumer_is_told_at_once(self, bus: Bus, connect: OpenBus) -> None:
        """A consumer that waits gets a message that another process publishes."""
        async with connect(LONG_S) as other, asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(take_some(other, "t", "g"))
            await bus.publish("t", messages(1))
        assert numbers(waiting.result()) == [1]

    async def test_what_is_not_acknowledged_comes_again(self, connect: OpenBus) -> None:
        """A consumer that dies loses nothing: when its lease ends, the next one gets the message."""
        async with connect(self.SHORT_S) as first:
            await first.publish("t", messages(1, 2, 3))
            taken = await take_some(first, "t", "g")
            assert [delivery.tries for delivery in taken] == [1, 1, 1]
            await first.acknowledge("t", "g", taken[1:2])
        async with connect(self.SHORT_S) as second:
            again = dict[int, int]()
            async with asyncio.timeout(30):
                while again.keys() != {1, 3}:
                    for delivery in await second.take("t", "g", 10, wait_s=1.0):
                        again[delivery.message.number] = delivery.tries
                        await second.acknowledge("t", "g", [delivery])
            assert min(again.values()) >= 2
            assert (await second.state("t", "g")).lag == 0

    async def test_the_lag_counts_what_is_left(self, bus: Bus) -> None:
        """A group that never came has everything left."""
        await bus.publish("t", messages(1, 2, 3, 4))
        assert (await bus.state("t", "g")).lag == 4
        taken = await take_some(bus, "t", "g", 3)
        state = await bus.state("t", "g")
        assert (state.waiting, state.taken, state.dead) == (1, 3, 0)
        await bus.acknowledge("t", "g", taken)
        await bus.acknowledge("t", "g", taken)
        await bus.acknowledge("t", "g", [])
        assert (await bus.state("t", "g")).lag == 1
        assert (await bus.state("none", "g")).lag == 0

    async def test_poison_is_kept_apart(self, bus: Bus) -> None:
        """A buried message is not given out again. It is kept with its cause."""
        await bus.publish("t", messages(1, 2))
        bad, good = await take_some(bus, "t", "g")
        await bus.bury("t", "g", bad, "not a hold: é")
        await bus.acknowledge("t", "g", [good])
        assert await bus.take("t", "g", 10) == []
        assert [tuple(letter) for letter in await bus.dead_letters("t", "g")] == [(bad.message, "not a hold: é")]
        assert await bus.dead_letters("t", "other") == []
        state = await bus.state("t", "g")
        assert (state.lag, state.dead) == (0, 1)
        assert numbers(await take_some(bus, "t", "other")) == [1, 2]

    async def test_a_cleared_topic_begins_anew(self, bus: Bus) -> None:
        """Lower numbers count again, and groups begin at the first message."""
        await bus.publish("t", messages(100, 101))
        await bus.publish("other", messages(5))
        (first, _) = await take_some(bus, "t", "g")
        await bus.bury("t", "g", first, "bad")
        await bus.clear("t")
        assert (await bus.last("t"), (await bus.state("t", "g")).dead) == (None, 0)
        await bus.publish("t", messages(1))
        assert numbers(await take_some(bus, "t", "g")) == [1]
        assert await bus.last("other") == messages(5)[0]

    async def test_messages_survive_the_end_of_every_process(self, connect: OpenBus) -> None:
        """What was published and what was acknowledged is known to the next connection."""
        async with connect(LONG_S) as bus:
            await bus.publish("t", messages(1, 2, 3))
            taken = await take_some(bus, "t", "g", 2)
            await bus.acknowledge("t", "g", taken)
        async with connect(LONG_S) as bus:
            assert await bus.last("t") == messages(3)[0]
            assert numbers(await take_some(bus, "t", "g")) == [3]
