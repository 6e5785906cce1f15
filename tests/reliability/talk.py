"""A visitor's connection to a proxy, in raw bytes: what came back is kept however the talk ends.

Who talks sets the time. Neither a time that is over nor a connection that breaks is an error here: some of what is
sent is to be answered with just that.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

__all__ = ["OK", "Talk", "talking"]

#: What an upstream says that has nothing to say.
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Talk:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answered: bytes = b""
    is_closed: bool = False
    """The proxy has ended the connection."""

    async def hear(self) -> None:
        """Keep what comes next, which may be the end."""
        data = await self.reader.read(65_536)
        self.answered += data
        self.is_closed = not data


@contextlib.asynccontextmanager
async def talking(port: int) -> AsyncIterator[Talk]:
    """A new connection to this port; a timeout within ends the talk, not the test."""
    talk = Talk(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield talk
    except TimeoutError:
        pass
    except ConnectionError:
        talk.is_closed = True
    finally:
        talk.writer.transport.abort()
