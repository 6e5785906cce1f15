"""The interface of the event bus: topics, each a log of numbered messages, and groups that take each message.

    publisher ──publish──▶ topic 1 2 3 5 8 ... ──take──▶ group "notices": one of its consumers has it under a lease
                             │                             ├─ acknowledge      the group has applied it
                             │                             ├─ (nothing)        given out again when the lease ends
                             │                             └─ bury             poison: moved to the dead letters
                             └──after──▶ a reader that keeps its own position

The publisher numbers the messages of a topic, ascending; gaps are allowed. A number that is not above the last one is
there already and is ignored. So a publisher that does not know what has arrived sends it again, any number of
publishers may send the same messages, and the topic has every message once.

A group gets each message at least once, in order when it is given out for the first time. So what a consumer does must
be safe to repeat; the number of the message tells a repetition.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from checkout.errors import StoreError

LEASE_S = 30.0
"""Seconds for which a consumer has a message before the bus gives it to another one."""


class BusError(StoreError):
    """The bus does not answer. What was sent may have arrived; it is sent again."""


class Message(NamedTuple):
    """number: of the message in its topic, above 0. text: JSON."""

    number: int
    text: str

    @classmethod
    def of(cls, number: int, value: object) -> "Message":
        """Return the message that carries a value of JSON."""
        return cls(number, msgspec.json.encode(value).decode())

    @property
    def value(self) -> Any:
        """The value that the message carries. Raises `msgspec.MsgspecError` if its text is not JSON."""
        return msgspec.json.decode(self.text)


class Delivery(NamedTuple):
    """A message that a consumer has under a lease. tries: how often it was given out, this time included.

    token: what the bus needs to acknowledge it.
    """

    message: Message
    tries: int
    token: str


class DeadLetter(NamedTuple):
    """A message that a group could not apply. cause: one line."""

    message: Message
    cause: str


class GroupState(NamedTuple):
    """What a group has left: messages not given out yet, messages under a lease, dead letters."""

    waiting: int
    taken: int
    dead: int

    @property
    def lag(self) -> int:
        """Messages that the group is not done with."""
        return self.waiting + self.taken


class Bus(ABC):
    """Every method raises `BusError` if the bus does not answer."""

    @abstractmethod
    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Add messages in ascending order of their numbers. When this returns, the bus has them all.

        A message is ignored if its number is not above the last one of the topic.
        """

    @abstractmethod
    async def last(self, topic: str) -> Message | None:
        """Return the last message of a topic, or None if it has none."""

    @abstractmethod
    async def after(self, topic: str, number: int, limit: int) -> list[Message]:
        """Return messages above a number, at most `limit`, in order. This takes nothing from any group."""

    @abstractmethod
    async def take(self, topic: str, group: str, limit: int, wait_s: float = 0.0) -> list[Delivery]:
        """Take messages for a group: messages with an ended lease come first, then new ones.

        If there are none, wait up to `wait_s` for the first. A group that is new begins at the first message.
        """

    @abstractmethod
    async def acknowledge(self, topic: str, group: str, deliveries: Sequence[Delivery]) -> None:
        """Say that the group is done with these messages."""

    @abstractmethod
    async def bury(self, topic: str, group: str, delivery: Delivery, cause: str) -> None:
        """Move a message that can never be applied to the dead letters of the group, and acknowledge it."""

    @abstractmethod
    async def dead_letters(self, topic: str, group: str, limit: int = 100) -> list[DeadLetter]:
        """Return the oldest dead letters of a group."""

    @abstractmethod
    async def state(self, topic: str, group: str) -> GroupState:
        """Return what a group has left. A group that never took anything has the whole topic left."""

    @abstractmethod
    async def clear(self, topic: str) -> None:
        """Remove a topic with its groups and dead letters. The next message may have any number."""

    @abstractmethod
    async def close(self) -> None:
        """Close files and connections. What a consumer has not acknowledged is given out again."""
