"""The bus in NATS JetStream: one stream for each topic, one durable pull consumer for each group.

    stream shop-TOPIC               subject shop.TOPIC               header Shop-Number
    stream shop-TOPIC-dead-GROUP    subject shop.TOPIC.dead.GROUP    headers Shop-Number, Shop-Cause (URL-encoded)

JetStream numbers the messages of a stream without gaps; this number is called sequence here. Every publication names
the sequence that it expects before it (`Nats-Expected-Last-Sequence`), so of two publishers one is refused, looks where
the stream ends, and goes on there. That keeps the promise of `Bus.publish` without any other lock.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import quote, unquote

import nats
from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header, RawStreamMsg, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from checkout.bus.bus import LEASE_S, Bus, BusError, DeadLetter, Delivery, GroupState, Message

LOG = logging.getLogger(__name__)
CONNECT_S = 2.0
TIMEOUT_S = 5.0
LOOK_S = 0.1  # the time that the server has to say that there is nothing
AT_ONCE = 256  # requests on the wire
MAX_TAKEN = 10_000  # messages of a group under a lease
TRIES = 50
NUMBER, CAUSE = "Shop-Number", "Shop-Cause"
WRONG_LAST_SEQUENCE = 10071

Pull = JetStreamContext.PullSubscription


class NatsBus(Bus):
    """`NatsBus.open(url)`. The connection comes back by itself when the server does."""

    def __init__(self, client: Client, lease_s: float) -> None:
        self._client = client
        self._stream = client.jetstream(timeout=TIMEOUT_S)
        self._lease_s = lease_s
        self._ends: dict[str, tuple[int, int]] = {}
        self._read_to: dict[str, tuple[int, int]] = {}
        self._pulls: dict[tuple[str, str], Pull] = {}

    @classmethod
    async def open(cls, url: str, *, lease_s: float = LEASE_S) -> "NatsBus":
        """Connect. Raises `BusError` if the server does not answer."""
        try:
            async with asyncio.timeout(CONNECT_S):
                client = await nats.connect(url, error_cb=_log, max_reconnect_attempts=-1, reconnect_time_wait=0.2)
        except (Error, OSError, TimeoutError) as error:
            raise BusError(f"the event bus {url}: {_text(error)}") from error
        return cls(client, lease_s)

    async def close(self) -> None:
        await self._client.close()

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        async with _errors():
            for _ in range(TRIES):
                sequence, last = self._ends.pop(topic) if topic in self._ends else await self._end(topic)
                left = [message for message in messages if message.number > last][:AT_ONCE]
                if not left:
                    self._ends[topic] = sequence, last
                    return
                await self._add(topic, sequence, left)
        raise BusError(f"the event bus: other publishers of {topic!r} were faster at every try")

    async def last(self, topic: str) -> Message | None:
        async with _errors():
            try:
                return _message(await self._stream.get_last_msg(_stream(topic), _subject(topic)))
            except NotFoundError:
                return None

    async def after(self, topic: str, number: int, limit: int) -> list[Message]:
        async with _errors():
            try:
                state = (await self._stream.stream_info(_stream(topic))).state
            except NotFoundError:
                return []
            known, sequence = self._read_to.get(topic, (-1, 0))
            if known != number or sequence > state.last_seq:
                sequence = await self._find(topic, number, state.first_seq, state.last_seq)
            found: list[Message] = []
            for at in range(sequence + 1, min(sequence + limit, state.last_seq) + 1, AT_ONCE):
                end = min(at + AT_ONCE, sequence + limit + 1, state.last_seq + 1)
                found += map(_message, await asyncio.gather(*(self._get(topic, each) for each in range(at, end))))
            if found:
                self._read_to[topic] = found[-1].number, sequence + len(found)
            if found and found[0].number <= number:  # the stream was made anew since the last read
                self._read_to.pop(topic)
                return await self.after(topic, number, limit)
            return found

    async def take(self, topic: str, group: str, limit: int, wait_s: float = 0.0) -> list[Delivery]:
        async with _errors():
            pull = await self._pull(topic, group)
            found = await self._fetch(pull, limit, LOOK_S)
            if not found and wait_s:
                found = await self._fetch(pull, 1, wait_s)
                if found and limit > 1:
                    found += await self._fetch(pull, limit - 1, LOOK_S)
            return sorted(found, key=lambda delivery: delivery.message.number)

    async def acknowledge(self, topic: str, group: str, deliveries: Sequence[Delivery]) -> None:
        async with _errors():
            for delivery in deliveries:
                await self._client.publish(delivery.token, b"+ACK")
            if deliveries:
                await self._client.flush()
                await self._stream.consumer_info(_stream(topic), group)  # the server handles it behind them

    async def bury(self, topic: str, group: str, delivery: Delivery, cause: str) -> None:
        async with _errors():
            config = StreamConfig(name=_stream(topic, group), subjects=[_subject(topic, group)])
            await self._stream.add_stream(config)
            number = str(delivery.message.number)
            headers = {NUMBER: number, CAUSE: quote(cause, safe=" "), Header.MSG_ID.value: number}
            await self._stream.publish(_subject(topic, group), delivery.message.text.encode(), headers=headers)
            await self._client.publish(delivery.token, b"+TERM")
            await self._client.flush()

    async def dead_letters(self, topic: str, group: str, limit: int = 100) -> list[DeadLetter]:
        async with _errors():
            name = _stream(topic, group)
            try:
                state = (await self._stream.stream_info(name)).state
            except NotFoundError:
                return []
            last = min(state.last_seq, state.first_seq + limit - 1)
            rows = [await self._stream.get_msg(name, seq) for seq in range(state.first_seq, last + 1)]
            return [DeadLetter(_message(row), unquote((row.headers or {}).get(CAUSE, ""))) for row in rows]

    async def state(self, topic: str, group: str) -> GroupState:
        async with _errors():
            dead = await self._length(_stream(topic, group))
            try:
                info = await self._stream.consumer_info(_stream(topic), group)
            except NotFoundError:
                return GroupState(await self._length(_stream(topic)), 0, dead)
            return GroupState(info.num_pending or 0, info.num_ack_pending or 0, dead)

    async def clear(self, topic: str) -> None:
        async with _errors():
            names = [info.config.name or "" for info in await self._stream.streams_info()]
            for name in names:
                if name == _stream(topic) or name.startswith(f"{_stream(topic)}-dead-"):
                    await self._stream.delete_stream(name)
            self._ends.pop(topic, None)
            self._read_to.pop(topic, None)

    # -- publishing ------------------------------------------------------------------------------------------

    async def _end(self, topic: str) -> tuple[int, int]:
        """Return the last sequence of a topic and the number of its last message. Make the stream if there is none."""
        try:
            row = await self._stream.get_last_msg(_stream(topic), _subject(topic))
        except NotFoundError:
            await self._make(topic)
            return 0, 0
        return row.seq or 0, _message(row).number

    async def _add(self, topic: str, sequence: int, messages: Sequence[Message]) -> None:
        """Publish messages behind this sequence. If another publisher was faster, nothing is stored."""
        first, *others = [
            self._send(topic, sequence + at, message) for at, message in enumerate(messages)
        ]  # the first one alone, so that the others are sent in order
        replies = [await first, *await asyncio.gather(*others)]
        if all(replies):
            self._ends[topic] = sequence + len(messages), messages[-1].number

    async def _send(self, topic: str, expected: int, message: Message) -> bool:
        headers = {NUMBER: str(message.number), Header.EXPECTED_LAST_SEQUENCE.value: str(expected)}
        try:
            await self._stream.publish(_subject(topic), message.text.encode(), headers=headers)
        except APIError as error:
            if error.err_code != WRONG_LAST_SEQUENCE:
                raise
            return False
        except NoStreamResponseError:
            return False  # the topic was cleared meanwhile
        return True

    async def _make(self, topic: str) -> None:
        config = StreamConfig(name=_stream(topic), subjects=[_subject(topic)], allow_direct=True)
        await self._stream.add_stream(config)

    # -- reading ---------------------------------------------------------------------------------------------

    async def _find(self, topic: str, number: int, first: int, last: int) -> int:
        """Return the sequence of the last message that is not above a number, by bisection."""
        low, high = first - 1, last
        while low < high:
            middle = (low + high + 1) // 2
            if _message(await self._get(topic, middle)).number <= number:
                low = middle
            else:
                high = middle - 1
        return low

    async def _get(self, topic: str, sequence: int) -> RawStreamMsg:
        return await self._stream.get_msg(_stream(topic), sequence, direct=True)

    async def _length(self, stream: str) -> int:
        try:
            return (await self._stream.stream_info(stream)).state.messages
        except NotFoundError:
            return 0

    async def _pull(self, topic: str, group: str) -> Pull:
        """Return the subscription of a group. The server makes the group, and the topic, if there is none."""
        pull = self._pulls.get((topic, group))
        try:
            await self._stream.consumer_info(_stream(topic), group)
        except NotFoundError:
            await self._make(topic)
        else:
            if pull is not None:
                return pull
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._lease_s,
            deliver_policy=DeliverPolicy.ALL,
            max_deliver=-1,
            max_ack_pending=MAX_TAKEN,
        )
        if pull is not None:
            await pull.unsubscribe()
        pull = await self._stream.pull_subscribe(_subject(topic), group, _stream(topic), config)
        self._pulls[topic, group] = pull
        return pull

    @staticmethod
    async def _fetch(pull: Pull, limit: int, wait_s: float) -> list[Delivery]:
        try:
            rows = await pull.fetch(limit, wait_s)
        except TimeoutError:
            return []
        found = []
        for row in rows:
            number = _number(row.headers)
            if number is None:
                LOG.error("the event bus: a message of %s has no %s and is left out", row.subject, NUMBER)
                await row.term()
                continue
            message = Message(number, row.data.decode(errors="replace"))
            found.append(Delivery(message, row.metadata.num_delivered or 1, row.reply))
        return found


def _stream(topic: str, group: str = "") -> str:
    return f"shop-{topic}-dead-{group}" if group else f"shop-{topic}"


def _subject(topic: str, group: str = "") -> str:
    return f"shop.{topic}.dead.{group}" if group else f"shop.{topic}"


def _message(row: RawStreamMsg) -> Message:
    """Return the message. Raises `BusError` if another program has published it, because it has no number."""
    number = _number(row.headers)
    if number is None:
        raise BusError(
            f"the event bus: message {row.seq} of {row.subject} has no {NUMBER}: another program published it"
        )
    return Message(number, (row.data or b"").decode(errors="replace"))


def _number(headers: dict[str, str] | None) -> int | None:
    text = (headers or {}).get(NUMBER, "")
    return int(text) if text.isascii() and text.isdecimal() else None


async def _log(error: Exception) -> None:
    LOG.warning("the event bus: %s", _text(error))


@asynccontextmanager
async def _errors() -> AsyncIterator[None]:
    try:
        yield
    except (Error, OSError, TimeoutError) as error:
        raise BusError(f"the event bus: {_text(error)}") from error


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
