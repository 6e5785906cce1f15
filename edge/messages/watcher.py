"""What the proxy reports about finished requests. `edge.operations.access_log.AccessLog` implements it."""

from abc import ABCMeta, abstractmethod

from mypy_extensions import mypyc_attr

from edge.messages.head import RequestHead

__all__ = ["Watcher"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Watcher(metaclass=ABCMeta):
    """Its methods run on a request's path, so they only count and queue."""

    @abstractmethod
    def record(
        self, head: RequestHead | None, outcome: str, status: int, sent: int, seconds: float, *, to_upstream: bool
    ) -> None:
        """Take note of a finished request.

        `head` is None if it could not be read, `sent` counts bytes, `to_upstream` tells whether it was to be forwarded.
        """

    @abstractmethod
    def upstream_answered(self, seconds: float) -> None:
        """Take note of the time from a request to the head of the upstream's response."""

    @abstractmethod
    def upstream_failed(self, kind: str) -> None:
        """Take note of a failure: 'connect', 'timeout', 'broken', 'cut', 'upgrade' or 'shunned'."""
