"""A visitor's connection as bytes, whatever they mean: when it is read, what is kept of it unread, how it ends.

    reading <-> paused             while what came cannot be passed on
    reading --> ending -> closed   gently: what still comes is read and thrown away for a moment, or a reset would
                                   overtake the last answer

`Client` says what the bytes are, and when it is time for which.
"""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.proxy.server import ProxyServer

__all__ = ["Connection"]

#: How long and how much is read after the last answer (nginx: 5 s between reads, 30 s in all; Go: 256 KiB).
LINGER_S, LINGER_BYTES = 2.0, 262_144
#: What is kept of pipelined requests while one is served.
MAX_BEHIND = 65_536


class Connection(asyncio.Protocol):
    __slots__ = (
        "_behind",
        "_has_eof",
        "_is_ending",
        "_is_paused",
        "_lingers",
        "_plane",
        "deadline",
        "is_full",
        "network",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, plane: "ProxyServer") -> None:
        self._plane = plane
        self._behind = b""
        self._lingers = 0
        self._is_ending = False
        self._has_eof = False
        self._is_paused = False
        self.is_full = False
        """What was written is not taken."""
        self.network = ""
        """Under which this connection is counted; '' when it is not."""
        self.deadline = plane.now + plane.settings.limits.head_seconds
        """When to see to it that something happens, on the plane's clock."""

    @property
    def has_ended(self) -> bool:
        """The visitor has finished writing, and still waits for the answer."""
        return self._has_eof

    def pause_reading(self) -> None:
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._is_paused and not self._has_eof and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()

    def abort(self) -> None:
        self.transport.abort()

    def _keep_behind(self, data: bytes) -> None:
        """What came too early is served later; a visitor who sends on and on is not read meanwhile."""
        self._behind += data
        if len(self._behind) > MAX_BEHIND:
            self.pause_reading()

    def _throw_away(self, data: bytes) -> None:
        """What comes after the end."""
        self._lingers += len(data)
        if self._lingers > LINGER_BYTES:
            self.transport.close()

    def _end(self, *, gently: bool) -> None:
        """End the connection after what is written. gently: read on for a moment, so that no reset overtakes it."""
        self._is_ending = True
        self._behind = b""
        if gently and self.transport.can_write_eof() and not self.transport.is_closing():
            self.deadline = self._plane.now + LINGER_S
            self.transport.write_eof()
            self.resume_reading()
        else:
            self.deadline = self._plane.now + self._plane.settings.limits.write_seconds
            self.transport.close()
