"""What one exchange reports: to the room's observer, the circuit breaker and the watcher.

asked -> answered | failed -> ended        `ended` exactly once, the others at most once
"""

from time import monotonic

from edge.messages.head import RequestHead
from edge.messages.verdict import UpstreamObserver
from edge.proxy.state import ProxyState

__all__ = ["ExchangeReport"]

#: Responses which say that the upstream, or a server behind it, is down.
OVERLOADED = frozenset((502, 503, 504))


class ExchangeReport:
    """Its time starts when it is made. The observer knows the exchange by this object."""

    __slots__ = ("_began", "_head", "_observer", "_state")

    def __init__(self, state: ProxyState, head: RequestHead, observer: UpstreamObserver | None) -> None:
        self._state = state
        self._head = head
        self._observer = observer
        self._began = monotonic()

    def asked(self) -> None:
        """A connection to the upstream is wanted."""
        if self._observer is not None:
            self._observer.asked(self, monotonic())

    def answered(self, status: int) -> None:
        """The head of the final response has arrived."""
        state, now = self._state, monotonic()
        state.watcher.upstream_answered(now - self._began)
        if self._observer is not None:
            self._observer.answered(self, now, is_failure=status >= 500)
        if status in OVERLOADED:
            state.breaker.failed(state.now)
        elif state.breaker.failures:
            state.breaker.answered()

    def upgraded(self) -> None:
        """The upstream has agreed to leave HTTP."""
        if self._observer is not None:
            self._observer.answered(self, monotonic(), is_failure=False)

    def failed(self, kind: str) -> None:
        """No response will be passed on. 'shunned': the breaker is open, so the upstream was not asked."""
        state = self._state
        state.watcher.upstream_failed(kind)
        if self._observer is not None:
            self._observer.answered(self, monotonic(), is_failure=True)
        if kind != "shunned":
            state.breaker.failed(state.now)

    def ended(self, outcome: str, status: int, sent: int) -> None:
        """The exchange is over; `sent` bytes went to the visitor."""
        if self._observer is not None:
            self._observer.ended(self)
        seconds = monotonic() - self._began
        self._state.watcher.record(self._head, outcome, status, sent, seconds, to_upstream=True)
