"""An upstream that keeps every byte, and a visitor that sends raw bytes and records the result."""

import asyncio
from dataclasses import dataclass

from tests.reliability.corpus import SMUGGLED, Payload
from tests.reliability.judge import judge
from tests.reliability.talk import OK, talking

__all__ = ["Outcome", "Recorder", "provoke"]

#: Statuses with which a request may be refused.
REFUSALS = frozenset((400, 405, 408, 411, 413, 414, 417, 421, 431, 501, 505))
#: A case is over after this time without a byte. Only servers that do not close take it.
SILENCE_S = 1.0


class Recorder(asyncio.Protocol):
    """Answers each head, whatever it says. `taken` holds the bytes of every connection."""

    def __init__(self, taken: list[bytearray]) -> None:
        self._bytes = bytearray()
        self._answered = 0
        taken.append(self._bytes)

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        heads = self._bytes.count(b"\r\n\r\n")
        if heads > self._answered and not self._transport.is_closing():
            self._transport.write(OK * (heads - self._answered))
            self._answered = heads


@dataclass(frozen=True, slots=True)
class Outcome:
    payload: Payload
    status: int
    """The status of the first response, or 0 if there was none."""
    is_closed: bool
    requests: tuple[bytes, ...]
    """The request lines that reached the upstream."""
    faults: tuple[str, ...]
    """Why the bytes at the upstream have more than one reading."""

    @property
    def is_refused(self) -> bool:
        return not self.requests and not self.faults and self.status in REFUSALS | {0}

    @property
    def is_ambiguous(self) -> bool:
        """Faulty bytes were forwarded, or a second request behind one with an end in doubt."""
        return bool(self.faults) or (self.payload.blurs_end and len(self.requests) > 1)


async def provoke(port: int, taken: list[bytearray], payload: Payload) -> Outcome:
    """Send a payload and SMUGGLED behind it to a proxy. Its upstream fills `taken`."""
    taken.clear()
    async with talking(port) as talk:
        talk.writer.write(payload.raw + SMUGGLED)
        while not talk.is_closed:
            async with asyncio.timeout(SILENCE_S):
                await talk.hear()
    judged = [judge(bytes(received)) for received in taken]
    status = talk.answered.split(b" ", 2)[1][:3] if talk.answered.startswith(b"HTTP/1.") else b"0"
    return Outcome(
        payload,
        int(status),
        talk.is_closed,
        tuple(line for each in judged for line in each.requests),
        tuple(fault for each in judged for fault in each.faults),
    )
