"""A request's body on its way to the upstream: its framing, its minimum rate, its pauses.

    visitor -> framing, minimum rate -> kept until there is a connection to the upstream -> written as it comes

A body is kept in memory until it is whole or larger than `limits.body_buffer_bytes`; only then a connection to the
upstream is taken for it. So a visitor that trickles costs the edge some KiB and the upstream nothing. A visitor that
outgrows the buffer has shown to be fast enough and must stay so (`minimum_rate.py`); they are not read until the
connection is there.
"""

from edge.proxy.body import Body, ChunkedBody, SizedBody
from edge.proxy.connection import Connection
from edge.proxy.minimum_rate import MinimumRate
from edge.proxy.parsed_head import Framing
from edge.proxy.state import ProxyState
from edge.support.sizes import size_text

__all__ = ["Upload", "too_large"]


def too_large(most: int) -> str:
    """Return the text for a visitor if the body has more than `most` bytes."""
    return f"the body is larger than {size_text(most)}"


class Upload:
    """Sets the deadline of the visitor's connection while the next byte is theirs to send."""

    __slots__ = ("_connection", "_kept", "_kept_bytes", "_rate", "_state", "body", "is_kept", "is_pausing")

    def __init__(self, connection: Connection, state: ProxyState, framing: Framing, most: int) -> None:
        """`most` is the largest content in bytes."""
        limits, length = state.limits, framing.length
        self._connection = connection
        self._state = state
        self.body: Body = (
            SizedBody(length)
            if length > 0
            else ChunkedBody(chunked=True, most=most, keeps_trailers=not framing.names_fields)
        )
        self._rate = MinimumRate(limits.body_bytes_per_second, limits.body_s, state.now)
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self.is_kept = True
        """There is no connection to the upstream yet."""
        self.is_pausing = False
        """The visitor is not read, because what they send cannot be passed on."""
        connection.deadline = self._rate.due

    def feed(self, data: bytes, *, is_timed: bool) -> bytes:
        """Return the bytes to pass on. `is_timed`: the visitor still has to keep the rate. Raises BodyFault."""
        out = self.body.feed(data)
        if is_timed:
            self._connection.deadline = self._rate.came(len(data), self._state.now)
        return out

    def keep(self, out: bytes) -> bool:
        """Keep bytes to pass on later. Return whether it is time to get a connection for them."""
        self._kept.append(out)
        self._kept_bytes += len(out)
        if self.body.is_done:
            return True
        if self._kept_bytes <= self._state.limits.body_buffer_bytes or self.is_pausing:
            return False
        self.pause()
        return True

    def take(self) -> bytes:
        """Return all bytes that were kept, for the connection that is there now."""
        kept, self._kept = self._kept, []
        self.is_kept = False
        return b"".join(kept)

    def pause(self) -> None:
        """Stop reading the visitor. It is not their fault that nothing comes meanwhile."""
        if not self.is_pausing:
            state = self._state
            self.is_pausing = True
            self._connection.pause_reading()
            self._rate.stop(state.now)
            self._connection.deadline = state.now + state.limits.idle_s

    def resume(self, *, is_timed: bool) -> None:
        """Read the visitor again. `is_timed`: as for `feed`."""
        self.is_pausing = False
        self._connection.resume_reading()
        if is_timed and not self.body.is_done:
            self._connection.deadline = self._rate.resume(self._state.now)
