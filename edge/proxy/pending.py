"""A request that its connection waits for: an exchange with the upstream, or a verdict that comes later.

While a request is pending, the connection hands it the bytes of its body and keeps those behind the body, which are the
next requests.
"""

from abc import ABCMeta, abstractmethod

__all__ = ["Pending"]


class Pending(metaclass=ABCMeta):
    """Implemented by `Exchange` and `DeferredRequest`. `metaclass=ABCMeta`: see `Endpoint`."""

    __slots__ = ("is_over", "is_request_done")

    is_over: bool
    is_request_done: bool
    """The request's body has arrived whole. What comes now are the next requests."""

    @abstractmethod
    def receive(self, data: bytes) -> bytes:
        """Take more of the request's body; return the bytes behind it."""

    @abstractmethod
    def abandon(self, outcome: str = "abandoned") -> None:
        """The visitor's connection has ended, or is about to."""

    @abstractmethod
    def expire(self) -> None:
        """The connection's deadline has passed."""

    @abstractmethod
    def client_is_full(self) -> None:
        """The visitor does not take what is written."""

    @abstractmethod
    def client_can_take(self) -> None:
        """The visitor takes data again."""
