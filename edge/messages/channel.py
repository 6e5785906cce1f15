"""What supervisor and worker tell each other: JSON objects, one a line, over a socket pair only the two can see.

    supervisor -> worker     configure   settings, keys, the rooms' slots on the board, checkpoints to resume from
                             event       what an upstream told another worker about a room
                             news        what another node told the fleet about its line
                             bus         whether other machines can be heard
                             moved       a place was used again, elsewhere: passes from before end
                             spent       what other nodes let through of limits that are shared
                             granted     whether a place may be used, to whoever asked
                             stock       of which rooms the shop says its stock
                             adapt       parts of their capacities that rooms may use
                             drain       stop accepting, finish what is under way, end
    worker -> supervisor     ready       listening by the newest settings
                             report      every half second: the rooms' state and checkpoints
                             event       what an upstream told this worker about a room
                             news        what the other nodes should know about this one's line
                             spent       what this node let through of limits that are shared
                             grant       whether a place was used at another node

An end that closes means that the other process is gone: a worker whose supervisor is gone drains and ends.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

__all__ = ["Channel", "Message"]

Message = dict[str, Any]
#: The longest line: settings with many rooms fit many times over.
MAX_LINE_BYTES = 64 * 1024 * 1024


class Channel:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        reader, writer = await asyncio.open_connection(sock=end, limit=MAX_LINE_BYTES)
        return cls(reader, writer)

    def send(self, kind: str, **content: object) -> None:
        """Queue a message; to an end that is gone it goes nowhere."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps({"kind": kind, **content}).encode() + b"\n")

    async def messages(self) -> AsyncIterator[Message]:
        """What the other end says, until it is gone."""
        try:
            while (line := await self._reader.readline()).endswith(b"\n"):  # else it was killed in mid-sentence
                yield json.loads(line)
        except ConnectionError:
            return

    def close(self) -> None:
        self._writer.close()
