"""What the decision tells of admitted visitors, for distributed traces, and the identifiers of these traces.

`edge/operations/tracing.py` exports them.
"""

from abc import ABC, abstractmethod
from hashlib import sha256
from typing import NamedTuple

from mypy_extensions import mypyc_attr

from edge.messages.verdict import Forward
from edge.settings.watching import TracingSettings

__all__ = ["AdmissionTracer", "TraceIds", "trace_ids"]

#: A trace is sampled if the lower 64 bits of its identifier are below `ratio` times this.
WHOLE = 1 << 64


@mypyc_attr(allow_interpreted_subclasses=True)
class AdmissionTracer(ABC):
    """Called at admissions only, never for a poll. It decides itself which visitors are sampled."""

    @abstractmethod
    def admitted(self, room: str, ticket_id: str, first_seen: float, now: float) -> None:
        """Take note that a visitor is admitted. first_seen, now: wall clock, seconds."""

    @abstractmethod
    def use(self, settings: TracingSettings) -> None:
        """Sample as these settings say from now on."""

    @abstractmethod
    def close(self) -> None:
        """Send what is left. Nothing is called afterwards."""

    @abstractmethod
    def follow(self, forward: Forward, room: str, ticket_id: str) -> None:
        """Let a visitor's trace go on at the upstream: `forward` is their first request after the admission."""


class TraceIds(NamedTuple):
    """The identifiers of one visitor's trace: 16 bytes of the trace, 8 bytes of each span, as integers."""

    trace: int
    line: int
    shop: int

    def is_sampled(self, ratio: float) -> bool:
        """Return whether a share `ratio` of all visitors holds this one (TraceIdRatioBased of OpenTelemetry)."""
        return self.trace % WHOLE < round(ratio * WHOLE)

    def traceparent(self, span: int) -> str:
        """Return the field of W3C Trace Context that makes a span the parent of what the upstream does."""
        return f"00-{self.trace:032x}-{span:016x}-01"


def trace_ids(ticket_id: str) -> TraceIds:
    """Return the identifiers of the visitor with this ticket. They are not 0, as W3C Trace Context demands."""
    digest = sha256(b"stanchion trace " + ticket_id.encode()).digest()
    return TraceIds(*(int.from_bytes(digest[at : at + n]) or 1 for at, n in ((0, 16), (16, 8), (24, 8))))
