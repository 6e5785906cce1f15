"""What the proxy asks of the decision. `edge.decision.pipeline.Pipeline` implements it, and so do the fakes of tests.

`mypyc_attr` lets the interpreted fakes inherit from the compiled class. Compiled, a call takes 11 ns; of an interpreted
base class or a Protocol it is a look-up by name, 46 ns. With `Watcher`, a poll costs 6 % less.
"""

from abc import ABCMeta, abstractmethod
from collections.abc import Iterable

from mypy_extensions import mypyc_attr

from edge.messages.context import RequestContext
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Forward, Headers, Verdict

__all__ = ["Decider"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Decider(metaclass=ABCMeta):
    """Every method is synchronous and does no I/O.

    `classify` is called twice for a head before it is cached (the cache keeps a head from the second time on), and
    `decide` at every request.
    """

    @abstractmethod
    def classify(self, head: RequestHead, is_last_hop: bool = False) -> RequestContext:
        """Say what a head means, independent of the time.

        is_last_hop: the client asks for it to be passed on no further.
        """

    @abstractmethod
    def classify_like(self, like: RequestContext, head: RequestHead) -> RequestContext:
        """Classify a head that differs from the one of `like` in its cookies and its sender's address only."""

    @abstractmethod
    def decide(self, context: RequestContext, now: float, u: float) -> Verdict:
        """Say what becomes of a request. `now` is wall time in seconds, `u` is uniform in [0, 1)."""

    @abstractmethod
    def failed(self, head: RequestHead, code: int, retry_after_s: int | None = None, *, is_sent: bool = True) -> Answer:
        """Return the response to a request that the upstream failed: 502, 503 or 504.

        is_sent: the request may have reached the upstream.
        """

    @abstractmethod
    def refused(self, code: int, detail: str, *, wants_page: bool = False) -> Answer:
        """Return the response to a request that cannot be served: 4xx, 501 or 505."""

    @abstractmethod
    def observe(
        self, context: RequestContext, forward: Forward, headers: Iterable[tuple[str, str]], now: float
    ) -> Headers:
        """Take in what the upstream's response says to the edge; return the fields to add for the visitor."""

    @abstractmethod
    def set_upstream_down(self, is_down: bool, now: float) -> None:
        """Take note of whether no server of the upstream answers. now: wall clock, seconds."""
