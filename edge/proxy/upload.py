"""A request's body on its way to the upstream: is its framing right, does it come fast enough, who is to be waited for.

    visitor -> framing, pace -> kept until a connection to the upstream is there -> written as it comes

A body waits in memory until it is whole or larger than `limits.body_buffer_bytes`, and only then a connection to the
upstream is taken for it: a sender who trickles costs the edge some KiB, and the upstream nothing. One who outgrows the
buffer has shown to be fast enough, and must stay so (`pace.py`); until the connection is there they are not read.
"""

from typing import TYPE_CHECKING

from edge.proxy.body import Body, ChunkedBody, SizedBody
from edge.proxy.head_cache import ParsedHead
from edge.proxy.minimum_rate import MinimumRate

if TYPE_CHECKING:
    from edge.proxy.client import Client
    from edge.proxy.server import ProxyServer

__all__ = ["Upload"]


class Upload:
    """It sets the deadline of the visitor's connection while the next byte is theirs to send."""

    __slots__ = ("_client", "_kept", "_kept_bytes", "_pace", "_plane", "body", "is_kept", "is_pausing")

    def __init__(self, client: "Client", plane: "ProxyServer", known: ParsedHead, most: int) -> None:
        """most: bytes of content that are taken."""
        limits, length = plane.settings.limits, known.length
        self._client = client
        self._plane = plane
        self.body: Body = (
            SizedBody(length)
            if length > 0
            else ChunkedBody(chunked=True, most=most, keeps_trailers=not known.names_fields)
        )
        self._pace = MinimumRate(limits.body_bytes_per_second, limits.body_seconds, plane.now)
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self.is_kept = True
        """There is no connection yet that would take it."""
        self.is_pausing = False
        """The visitor is not read, for nobody takes what they send."""
        client.deadline = self._pace.due

    def feed(self, data: bytes, *, is_timed: bool) -> bytes:
        """What goes on of data. is_timed: the visitor has to keep the pace still. Raises BodyFault."""
        out = self.body.feed(data)
        if is_timed:
            self._client.deadline = self._pace.came(len(data), self._plane.now)
        return out

    def keep(self, out: bytes) -> bool:
        """Keep what is to go on. Returns whether it is time to get a connection for it."""
        self._kept.append(out)
        self._kept_bytes += len(out)
        if self.body.is_done:
            return True
        if self._kept_bytes <= self._plane.settings.limits.body_buffer_bytes or self.is_pausing:
            return False
        self.pause()
        return True

    def take(self) -> bytes:
        """All that was kept, for the connection that is there now."""
        kept, self._kept = self._kept, []
        self.is_kept = False
        return b"".join(kept)

    def pause(self) -> None:
        """Read the visitor no further; that they do not send is no fault of theirs now."""
        if not self.is_pausing:
            self.is_pausing = True
            self._client.pause_reading()
            self._pace.stop(self._plane.now)
            self._client.deadline = self._plane.now + self._plane.settings.upstream.idle_timeout_seconds

    def go_on(self, *, is_timed: bool) -> None:
        """Read the visitor again, who was paused. is_timed: as for `feed`."""
        self.is_pausing = False
        self._client.resume_reading()
        if is_timed and not self.body.is_done:
            self._client.deadline = self._pace.go_on(self._plane.now)
