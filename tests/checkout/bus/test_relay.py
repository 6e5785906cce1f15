"""The relay publishes every event once, whatever the bus loses, and stops if the store is another one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkout.bus.bus import Message
from checkout.bus.embedded import EmbeddedBus
from checkout.bus.relay import OtherHistory, Relay
from tests.checkout.bus.contract import messages


class Trail:
    """A store that only grows. Its numbers have gaps."""

    def __init__(self) -> None:
        self.kept: list[Message] = []

    def grow(self, count: int) -> None:
        start = self.kept[-1].number if self.kept else 0
        self.kept += messages(*(start + 1 + 3 * at for at in range(count)))

    async def read(self, after: int, limit: int) -> list[Message]:
        return [message for message in self.kept if message.number > after][:limit]


@given(st.lists(st.tuples(st.sampled_from(["grow", "step", "crash", "flush"]), st.integers(0, 1), st.integers(1, 9))))
@settings(deadline=None, max_examples=40)
async def test_every_event_is_published_once(steps: list[tuple[str, int, int]]) -> None:
    """Two relays that carry the same trail, crashes of them and a bus that loses everything: the topic is the trail."""
    trail, bus = Trail(), await EmbeddedBus.open(":memory:")
    relays = [Relay(bus, "t", trail.read) for _ in range(2)]
    for kind, which, count in steps:
        if kind == "grow":
            trail.grow(count)
        elif kind == "step":
            await relays[which].step()
        elif kind == "crash":
            relays[which] = Relay(bus, "t", trail.read)
        else:
            await bus.clear("t")
    await relays[0].step()
    assert await bus.after("t", 0, 1000) == trail.kept
    await bus.close()


async def test_a_loss_during_a_publication_is_repaired() -> None:
    """A bus that loses its messages between the look and the publication would have a gap."""
    trail, bus = Trail(), await EmbeddedBus.open(":memory:")
    trail.grow(5)
    lose = False

    async def read(after: int, limit: int) -> list[Message]:
        nonlocal lose
        found = await trail.read(after, limit)
        if lose and found:
            lose = False
            await bus.clear("t")
        return found

    relay = Relay(bus, "t", read)
    await relay.step()
    trail.grow(4)
    lose = True
    await relay.step()
    assert await bus.after("t", 0, 100) == trail.kept
    await bus.close()


async def test_another_history_blocks_the_relay() -> None:
    """A store that has lost its end, or a new store on an old bus, is not mixed with what the bus has."""
    trail, bus = Trail(), await EmbeddedBus.open(":memory:")
    trail.grow(5)
    await Relay(bus, "t", trail.read).step()
    del trail.kept[3:]
    relay = Relay(bus, "t", trail.read)
    with pytest.raises(OtherHistory, match="restore a newer one"):
        await relay.step()
    assert relay.is_blocked
    await bus.clear("t")
    await relay.step()
    assert not relay.is_blocked
    assert await bus.after("t", 0, 100) == trail.kept
    await bus.close()


@pytest.mark.parametrize("number", [7, 100])
async def test_a_foreign_message_is_noticed_at_once(number: int) -> None:
    """Another program publishes on the topic, in front of what follows or in place of it. Nothing is left out silently.

    With the trail at 13, number 7 is ignored by the bus, and number 100 would hide the next events.
    """
    trail, bus = Trail(), await EmbeddedBus.open(":memory:")
    trail.grow(5)
    relay = Relay(bus, "t", trail.read)
    await relay.step()
    await bus.publish("t", [Message.of(number, "foreign")])
    trail.grow(2)
    if number == 7:
        await relay.step()
    else:
        for _ in range(2):
            with pytest.raises(OtherHistory, match="another program"):
                await relay.step()
        assert relay.is_blocked
        await bus.clear("t")
        await relay.step()
    assert await bus.after("t", 0, 100) == trail.kept
    assert not relay.is_blocked
    await bus.close()
