"""A request whose verdict comes later: its connection waits, and what comes behind the head is kept.

It stands in the place of an `Exchange` at its connection, which it treats like one whose request is complete.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.messages.verdict import Deferred, Verdict
from edge.proxy.head_cache import ParsedHead

if TYPE_CHECKING:
    from edge.proxy.client import Client

__all__ = ["DeferredRequest"]


class DeferredRequest:
    __slots__ = ("_client", "_forget", "_known", "_raw", "is_over")

    is_request_done = True

    def __init__(self, client: "Client", known: ParsedHead, raw: bytes) -> None:
        self._client = client
        self._known = known
        self._raw = raw
        self._forget: Callable[[], None] | None = None
        self.is_over = False

    def start(self, asking: Deferred) -> None:
        self._forget = asking.ask(self._settle)

    def _settle(self, verdict: Verdict) -> None:
        if not self.is_over:
            self.is_over = True
            self._client.settled(self._known, verdict, self._raw)

    def receive(self, data: bytes) -> bytes:
        return data

    def abandon(self, outcome: str = "abandoned") -> None:  # noqa: ARG002
        """The visitor has gone. Who was nearly let in is not; who was meanwhile is given the same pass when they come
        back."""
        self._end()

    def expire(self) -> None:
        """No answer at all: those who give them have a time limit of their own."""
        self._end()
        self._client.abort()

    def _end(self) -> None:
        self.is_over = True
        if self._forget is not None:
            self._forget()

    def client_is_full(self) -> None:
        """Nothing is being written for them."""

    def client_has_room(self) -> None:
        """As above."""
