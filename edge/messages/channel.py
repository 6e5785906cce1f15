"""One end of the connection between the supervisor and a worker: typed messages over a socket pair.

    frame = length (4 bytes, big-endian) + msgpack map of one message of `edge/messages/processes.py`

msgpack rather than JSON because reports hold infinite numbers, which JSON has not, and because it is faster. An end
that closes means that its process is gone: a worker drains and ends when its supervisor is gone.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from edge.messages.processes import ToSupervisor, ToWorker
from edge.support.errors import InternalError

__all__ = ["Channel", "supervisor_end", "worker_end"]

LENGTH = struct.Struct(">I")
#: The longest message. Settings with a thousand rooms are a few megabytes.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

Incoming = TypeVar("Incoming")
Outgoing = TypeVar("Outgoing", bound=Struct)

_encoder = Encoder()
_to_supervisor: Decoder[ToSupervisor] = Decoder(ToSupervisor)
_to_worker: Decoder[ToWorker] = Decoder(ToWorker)


class Channel(Generic[Incoming, Outgoing]):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, incoming: Decoder[Incoming]) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming = incoming

    def send(self, message: Outgoing) -> None:
        """Queue a message. If the other process is gone, drop it."""
        if not self._writer.is_closing():
            payload = _encoder.encode(message)
            self._writer.write(LENGTH.pack(len(payload)) + payload)

    async def messages(self) -> AsyncIterator[Incoming]:
        """Yield the messages of the other process until it is gone.

        Raises msgspec.ValidationError if a message is of no known type, InternalError if it is longer than allowed.
        """
        try:
            while True:
                (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
                if length > MAX_MESSAGE_BYTES:
                    raise InternalError(f"a message of {length} bytes is longer than {MAX_MESSAGE_BYTES}")
                yield self._incoming.decode(await self._reader.readexactly(length))
        except (ConnectionError, asyncio.IncompleteReadError):  # the latter: killed in the middle of a message
            return

    def close(self) -> None:
        self._writer.close()


async def supervisor_end(end: socket.socket) -> Channel[ToSupervisor, ToWorker]:
    """Return the channel that the supervisor reads and writes."""
    return Channel(*await asyncio.open_connection(sock=end), _to_supervisor)


async def worker_end(end: socket.socket) -> Channel[ToWorker, ToSupervisor]:
    """Return the channel that a worker reads and writes."""
    return Channel(*await asyncio.open_connection(sock=end), _to_worker)
