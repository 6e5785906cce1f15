"""A visitor's connection to a proxy, in raw bytes. The received bytes are kept, however the talk ends.

The caller sets the time limit. Neither a timeout nor a broken connection is an error here, because some requests must
be answered in just that way.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

__all__ = ["OK", "Talk", "talking"]

#: The response of an upstream. Its content does not matter.
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Talk:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answered: bytes = b""
    is_closed: bool = False
    """The proxy has ended the connection."""

    async def hear(self) -> None:
        """Keep the next bytes, or take note of the end."""
        data = await self.reader.read(65_536)
        self.answered += data
        self.is_closed = not data


@contextlib.asynccontextmanager
async def talking(port: int) -> AsyncIterator[Talk]:
    """Open a new connection to this port. A timeout inside the block ends the talk, not the test."""
    talk = Talk(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield talk
    except TimeoutError:
        pass
    except ConnectionError:
        talk.is_closed = True
    finally:
        talk.writer.transport.abort()
