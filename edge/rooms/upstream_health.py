"""How fast and how reliably a room's upstream responds, as one worker sees it: the input of `capacity.adaptive`.

A request is timed from the moment a connection is asked for (the upload depends on the visitor) to the head of the
response. A request under way counts in every reading as soon as it is older than the target, because an upstream that
hangs sends no responses at all. A visitor that leaves before the response is not counted.
"""

from controller import MOST_SLOW, Answered
from edge.messages.verdict import UpstreamObserver

__all__ = ["UpstreamHealth"]


class UpstreamHealth(UpstreamObserver):
    """Of one room at one worker. Times are monotonic seconds; `key` is the exchange, whatever it is."""

    __slots__ = ("_count", "_failed", "_slowness", "_under_way", "target_s")

    def __init__(self, target_s: float) -> None:
        self.target_s = target_s
        self._under_way: dict[object, float] = {}
        self._count = self._failed = 0
        self._slowness = 0.0

    def __repr__(self) -> str:
        return f"<UpstreamHealth {self._count} answered, {self._failed} failed, {len(self._under_way)} under way>"

    def asked(self, key: object, now: float) -> None:
        self._under_way[key] = now

    def answered(self, key: object, now: float, *, is_failure: bool) -> None:
        """The head of a response has arrived, or it is certain that none will."""
        asked_at = self._under_way.pop(key, None)
        if asked_at is not None:
            self._count += 1
            self._slowness += self._slow(now - asked_at)
            self._failed += is_failure

    def reported(self, seconds: float, *, is_failure: bool) -> None:
        """Count a response that did not pass the edge: a load balancer or the shop reports it."""
        self._count += 1
        self._slowness += self._slow(seconds)
        self._failed += is_failure

    def ended(self, key: object) -> None:
        """The exchange is over, answered or not."""
        self._under_way.pop(key, None)

    def take(self, now: float) -> Answered:
        """Return the responses since the last call, and the requests that are overdue now."""
        overdue = 0
        for asked_at in self._under_way.values():  # the oldest come first
            if now - asked_at <= self.target_s:
                break
            overdue += 1
            self._slowness += self._slow(now - asked_at)
        taken = Answered(self._count + overdue, self._slowness, self._failed)
        self._count = self._failed = 0
        self._slowness = 0.0
        return taken

    def _slow(self, age_s: float) -> float:
        return min(max(age_s, 0.0) / self.target_s, MOST_SLOW)
