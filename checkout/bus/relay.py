"""Publish the numbered events of a store on a topic of the bus. The relay's position is the topic's last message.

    read the events after the last message ──▶ publish ──▶ only then is the position behind them

So the relay keeps nothing of its own: after a crash it goes on where the topic ends, and any number of relays may carry
the same events. A bus that has lost messages is filled again from the store:

    the topic ends earlier than before              publish again from there
    a message in the middle is missing              clear the topic and publish everything again
    the topic has events that the store never had   stop: the store or the topic was replaced
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from checkout.bus.bus import Bus, BusError, Message
from checkout.errors import StoreError

LOG = logging.getLogger(__name__)
AT_ONCE = 500
EVERY_S = 0.2
AGAIN_S = 2.0  # after an error

Source = Callable[[int, int], Awaitable[list[Message]]]
"""Return at most so many (second argument) messages after a number (first argument), in order."""


class OtherHistory(BusError):
    """The topic has a message that the store does not have: another store, or a store that lost its end."""


class Relay:
    """`run` is a service. is_kept: whether the source keeps what was published, as a trail does."""

    def __init__(self, bus: Bus, topic: str, source: Source, *, is_kept: bool = True) -> None:
        self._bus = bus
        self.topic = topic
        self._source = source
        self._is_kept = is_kept
        self._position: int | None = None
        self.is_blocked = False
        """Whether the relay has stopped, because topic and store have different histories."""

    def __repr__(self) -> str:
        return f"<Relay to {self.topic}, at {self._position}>"

    async def run(self) -> None:
        """Carry over for ever. A `StoreError` is logged, and the relay goes on after a pause."""
        while True:
            try:
                await self.step()
                await asyncio.sleep(EVERY_S)
            except StoreError as error:
                LOG.warning("the relay to %r waits: %s", self.topic, error)
                await asyncio.sleep(AGAIN_S)

    async def step(self) -> int:
        """Carry over what is new and return its number. Raises `StoreError`; after that it may be called again."""
        position, total = await self._find_position(), 0
        while messages := await self._source(position, AT_ONCE):
            await self._bus.publish(self.topic, messages)
            if not await self._has(position):
                LOG.error("the event bus has lost messages of %r; all are published again", self.topic)
                await self._bus.clear(self.topic)
                position = self._position = 0
                continue
            await self._check_arrival(messages[-1])
            position = self._position = messages[-1].number
            total += len(messages)
            if len(messages) < AT_ONCE:
                break
        return total

    async def behind(self) -> int:
        """Return the number of events that the bus lacks, counted up to `AT_ONCE`. Raises `StoreError`."""
        last = await self._bus.last(self.topic)
        return len(await self._source(last.number if last else 0, AT_ONCE))

    async def _find_position(self) -> int:
        last = await self._bus.last(self.topic)
        found = last.number if last else 0
        if self._position is None or found < self._position:
            if self._position is not None:
                LOG.error("the event bus ends at message %d of %r, but had %d", found, self.topic, self._position)
            if last is not None and self._is_kept and await self._source(found - 1, 1) != [last]:
                raise self._other_history(found)
            self.is_blocked = False
            self._position = found
        return self._position

    async def _check_arrival(self, sent: Message) -> None:
        """Raise `OtherHistory` if the topic took something else in place of what was sent: a foreign message."""
        if self._is_kept and await self._bus.after(self.topic, sent.number - 1, 1) != [sent]:
            last = await self._bus.last(self.topic)
            self._position = None
            raise self._other_history(last.number if last else 0)

    def _other_history(self, number: int) -> OtherHistory:
        self.is_blocked = True
        return OtherHistory(
            f"the event bus has message {number} of {self.topic!r}, and the store does not have this event. "
            "If the store was restored from an old copy, restore a newer one. If the store is meant to be new, or if "
            "another program has published there, remove the messages: "
            f"checkout events --config FILE --clear {self.topic}"
        )

    async def _has(self, number: int) -> bool:
        """Return whether the topic still has this message. Without it there is a gap before what was just added."""
        if not number or not self._is_kept:
            return True
        found = await self._bus.after(self.topic, number - 1, 1)
        return bool(found) and found[0].number == number
