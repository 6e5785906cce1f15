"""One check: bytes go to a proxy, its upstream answers as the check says, and both sides are judged.

    Probe -> ask(port, origin) -> Seen -> probe.holds(seen)

A requirement holds if each of its probes does. Time matters in one place only: a server that does not close a
connection is waited for PATIENCE_S at most, and one that has answered everything is not waited for.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.reliability.conformance.messages import Message, read_messages
from tests.reliability.talk import OK, talking

__all__ = ["Origin", "Probe", "Reply", "Requirement", "Seen", "ask"]

#: The longest wait for a response or the end of a connection. Only failing checks take it.
PATIENCE_S = 4.0
#: Sent after every probe, on a connection of its own. When it is answered, the upstream has all bytes from before.
SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """The upstream's response to a request. `closes`: it then ends the connection."""

    raw: bytes = OK
    closes: bool = False


@dataclass
class Seen:
    answers: list[Message]
    """The proxy's responses, without interim ones."""
    interim: list[Message]
    rest: bytes
    """Bytes that belong to no response."""
    is_closed: bool
    """The proxy has closed the visitor's connection."""
    forwarded: list[Message]
    """Messages that reached the upstream, of all its connections."""
    connections: list[bytes]
    """The same as bytes, one item a connection."""

    @property
    def status(self) -> int:
        """The status of the first response, or 0 if there is none."""
        return self.answers[0].status if self.answers else 0

    @property
    def first(self) -> Message:
        """The first message at the upstream, or an empty one."""
        return self.forwarded[0] if self.forwarded else Message(b"", [], is_whole=False)

    @property
    def answer(self) -> Message:
        return self.answers[0] if self.answers else Message(b"", [], is_whole=False)

    @property
    def is_refused(self) -> bool:
        """Nothing reached the upstream, and the visitor got an error or was cut off."""
        return not self.forwarded and (400 <= self.status < 600 or self.is_closed)


@dataclass(frozen=True, slots=True)
class Probe:
    sent: bytes
    holds: Callable[[Seen], bool]
    replies: tuple[Reply, ...] = (Reply(),)
    """The upstream's responses, one a request; the last one is repeated."""
    answers: int = 1
    """The number of final responses to wait for; 0 waits until the connection is closed."""
    then: bytes = b""
    """Sent after the first bytes that come back or, without any, after the upstream has seen the request."""
    ends: bool = False
    """The visitor closes the writing side."""
    is_head: bool = False
    """All requests are HEAD."""


@dataclass(frozen=True, slots=True)
class Requirement:
    section: str
    """As in '9112 3.2'."""
    says: str
    probes: tuple[Probe, ...]
    reason: str = ""
    """Why the edge fails it; empty if it does not."""


@dataclass
class Origin:
    """An upstream that answers by `replies`, in their order, once a request is whole."""

    replies: tuple[Reply, ...] = (Reply(),)
    connections: list[bytearray] = field(default_factory=list)
    said: int = 0
    saw: asyncio.Event = field(default_factory=asyncio.Event)
    transports: set[asyncio.Transport] = field(default_factory=set)

    def reset(self, replies: tuple[Reply, ...]) -> None:
        self.replies, self.said = replies, 0
        self.connections.clear()
        self.saw.clear()

    def close(self) -> None:
        for transport in self.transports:
            transport.abort()

    def protocol(self) -> "_OriginConnection":
        return _OriginConnection(self)


class _OriginConnection(asyncio.Protocol):
    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._bytes = bytearray()
        self._answered = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._origin.transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._origin.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        origin = self._origin
        if data.startswith(SENTINEL[:13]):
            self._transport.write(OK)
            return
        # The proxy has kept this connection since an earlier probe.
        if not any(each is self._bytes for each in origin.connections):
            self._bytes, self._answered = bytearray(), 0
            origin.connections.append(self._bytes)
        self._bytes += data
        origin.saw.set()
        requests, _ = read_messages(bytes(self._bytes))
        for request in requests[self._answered :]:
            if not request.is_whole or self._transport.is_closing():
                break
            self._answered += 1
            reply = origin.replies[min(origin.said, len(origin.replies) - 1)]
            origin.said += 1
            self._transport.write(reply.raw)
            if reply.closes:
                self._transport.close()


async def ask(port: int, origin: Origin, probe: Probe) -> Seen:
    """Send a probe to the proxy on this port, in front of this upstream."""
    origin.reset(probe.replies)
    async with talking(port) as talk, asyncio.timeout(PATIENCE_S):
        talk.writer.write(probe.sent)
        if probe.then:
            talk.answered = await _first_sign(talk.reader, origin)
            talk.writer.write(probe.then)
        if probe.ends:
            talk.writer.write_eof()
        while not talk.is_closed and not _is_all(talk.answered, probe):
            await talk.hear()
    await _let_pass(port)
    found, rest = read_messages(talk.answered, bodiless=probe.is_head, ended=talk.is_closed)
    raw = [bytes(each) for each in origin.connections]
    return Seen(
        [each for each in found if each.status >= 200],
        [each for each in found if each.status < 200],
        rest,
        talk.is_closed,
        [message for each in raw for message in read_messages(each)[0]],
        raw,
    )


async def _let_pass(port: int) -> None:
    """Wait until the proxy and its upstream have handled all bytes that were sent before."""
    async with talking(port) as talk, asyncio.timeout(PATIENCE_S):
        talk.writer.write(SENTINEL)
        await talk.reader.read()


async def _first_sign(reader: asyncio.StreamReader, origin: Origin) -> bytes:
    """Wait until the proxy answers or the upstream sees bytes; return the answered bytes."""
    reading = asyncio.ensure_future(reader.read(65_536))
    seeing = asyncio.ensure_future(origin.saw.wait())
    try:
        await asyncio.wait((reading, seeing), return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return reading.result()
    finally:
        seeing.cancel()
        if not reading.done():
            reading.cancel()
            await asyncio.wait((reading,))
    return b""


def _is_all(answered: bytes, probe: Probe) -> bool:
    """Return whether all responses have come."""
    if not probe.answers:
        return False
    found, _ = read_messages(answered, bodiless=probe.is_head)
    return sum(each.status >= 200 and each.is_whole for each in found) >= probe.answers
