"""A request with a verdict that comes later: its connection waits and keeps the bytes behind the head."""

from collections.abc import Callable

from edge.messages.verdict import Deferred, Verdict
from edge.proxy.connection import Connection
from edge.proxy.parsed_head import ParsedHead
from edge.proxy.pending import Pending

__all__ = ["DeferredRequest"]


class DeferredRequest(Pending):
    """A pending request without an upstream. Its connection treats all bytes that come as the next requests.

    `raw` holds the bytes of the head.
    """

    __slots__ = ("_connection", "_forget", "_parsed", "_raw")

    def __init__(self, connection: Connection, parsed: ParsedHead, raw: bytes) -> None:
        self._connection = connection
        self._parsed = parsed
        self._raw = raw
        self._forget: Callable[[], None] | None = None
        self.is_over = False
        self.is_request_done = True

    def __repr__(self) -> str:
        return f"<DeferredRequest of {self._connection.peer}, {'over' if self.is_over else 'waiting'}>"

    def start(self, deferred: Deferred) -> None:
        self._forget = deferred.ask(self._settle)

    def _settle(self, verdict: Verdict) -> None:
        if not self.is_over:
            self.is_over = True
            self._connection.settled(self._parsed, verdict, self._raw)

    def receive(self, data: bytes) -> bytes:
        return data

    def abandon(self, outcome: str = "abandoned") -> None:  # noqa: ARG002
        """The visitor has left. A parked poll is given up and admits nobody. If the visitor was admitted meanwhile,
        they get the same pass when they come back."""
        self._end()

    def expire(self) -> None:
        """No verdict came, although parked polls and redemption checks have shorter time limits of their own."""
        self._end()
        self._connection.abort()

    def _end(self) -> None:
        self.is_over = True
        if self._forget is not None:
            self._forget()

    def client_is_full(self) -> None:
        """Nothing is being written for this request."""

    def client_can_take(self) -> None:
        """Nothing is being written for this request."""
