"""The access log: every request is counted by its outcome, and logged if the settings say so.

A line holds the client, the request, its outcome and its duration. It never holds the query, which may contain secrets,
nor any header field.
"""

import logging

from edge.messages.head import RequestHead
from edge.messages.watcher import Watcher
from edge.operations.logs import facts
from edge.operations.metrics import Count, Metrics
from edge.settings.model import LogSettings

__all__ = ["AccessLog"]

access = logging.getLogger("edge.access")


class AccessLog(Watcher):
    """Turns what the proxy reports into metrics and log lines.

    way: how the line is attached where these requests come in (docs/glossary.md): 'path' or 'ask'.
    """

    def __init__(self, metrics: Metrics, settings: LogSettings, way: str = "path") -> None:
        self._requests = metrics.requests
        self._by_outcome: dict[str, Count] = {}
        """The counts of this way by outcome: a look-up without a tuple."""
        self._way = way
        self._failures = metrics.upstream_failures
        self._upstream_seconds = metrics.upstream_seconds
        self.use(settings)

    def use(self, settings: LogSettings) -> None:
        self._logs_all = settings.access == "all"
        self._logs_upstream = settings.access != "none"

    def record(
        self, head: RequestHead | None, outcome: str, status: int, sent: int, seconds: float, *, to_upstream: bool
    ) -> None:
        count = self._by_outcome.get(outcome)
        if count is None:
            count = self._by_outcome[outcome] = self._requests.of(outcome, self._way)
        count.new += 1
        if self._logs_all or (to_upstream and self._logs_upstream):
            self._log(head, outcome, status, sent, seconds)

    def upstream_answered(self, seconds: float) -> None:
        self._upstream_seconds.observe(seconds)

    def upstream_failed(self, kind: str) -> None:
        self._failures.count(kind)

    def _log(self, head: RequestHead | None, outcome: str, status: int, sent: int, seconds: float) -> None:
        request = {} if head is None else {"client": head.client_ip, "method": head.method, "path": _path(head.target)}
        line = facts(**request, status=status, outcome=outcome, way=self._way, bytes=sent, ms=round(seconds * 1000, 1))
        access.info("request", extra=line)


def _path(target: str) -> str:
    return target.partition("?")[0]
