"""Traces of sampled admissions, exported over OTLP (OpenTelemetry).

    line    from a visitor's first arrival to their admission                          the root of the trace
    shop    their first request after it, from its way to the upstream to its end      a child of `line`

Identifiers follow from the ticket's id. So all workers and machines that serve a visitor write into one trace, and
`stanchion ticket inspect` can name it. Whether a visitor is sampled follows from the identifier by the rule of
OpenTelemetry's TraceIdRatioBased sampler. So a shop that samples by the same ratio takes the same visitors.

A span is made when it is over, and put into a bounded queue. A thread of the SDK sends the queue. If the collector is
away or slow, spans are dropped, and no visitor waits.

This needs the packages of `stanchion[tracing]`, so the module is imported only if `tracing.otlp_url` is set.
"""

import time
from contextlib import suppress

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from edge.messages.verdict import Forward, UpstreamObserver
from edge.operations.admission_tracer import AdmissionTracer, TraceIds, trace_ids
from edge.settings.watching import TracingSettings
from edge.support.build import VERSION

__all__ = ["OtlpTracer"]

#: The queue of spans, and how long one export may take. What exceeds the queue is dropped.
QUEUE = 2048
EXPORT_S = 5.0
SCOPE = InstrumentationScope("stanchion", VERSION)


class OtlpTracer(AdmissionTracer):
    """One worker's. url: where the collector takes traces. node: names this worker in every span."""

    def __init__(self, settings: TracingSettings, node: str) -> None:
        self._ratio = settings.ratio
        self._resource = Resource.create(
            {"service.name": settings.service_name, "service.version": VERSION, "service.instance.id": node}
        )
        exporter = OTLPSpanExporter(endpoint=settings.otlp_url, timeout=EXPORT_S)
        self._processor = BatchSpanProcessor(exporter, max_queue_size=QUEUE, export_timeout_millis=EXPORT_S * 1000)

    def use(self, settings: TracingSettings) -> None:
        self._ratio = settings.ratio

    def close(self) -> None:
        with suppress(Exception):  # the worker ends in any case
            self._processor.shutdown()  # type: ignore[no-untyped-call]

    def admitted(self, room: str, ticket_id: str, first_seen: float, now: float) -> None:
        ids = trace_ids(ticket_id)
        if ids.is_sampled(self._ratio):
            self._emit("line", ids, ids.line, 0, _nanoseconds(first_seen), _nanoseconds(now), room, is_failure=False)

    def follow(self, forward: Forward, room: str, ticket_id: str) -> None:
        ids = trace_ids(ticket_id)
        if not ids.is_sampled(self._ratio):
            return
        forward.request_headers = (*forward.request_headers, ("traceparent", ids.traceparent(ids.shop)))
        forward.observer = _ShopSpan(self, ids, room, forward.observer)

    def shop_ended(self, ids: TraceIds, room: str, began: int, *, is_failure: bool) -> None:
        """Take note that the first request of an admitted visitor is over. began: Unix time, nanoseconds."""
        self._emit("shop", ids, ids.shop, ids.line, began, time.time_ns(), room, is_failure=is_failure)

    def _emit(
        self,
        name: str,
        ids: TraceIds,
        span: int,
        parent: int,
        began: int,
        ended: int,
        room: str,
        *,
        is_failure: bool,
    ) -> None:
        def context(span_id: int) -> SpanContext:
            return SpanContext(ids.trace, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

        self._processor.on_end(
            ReadableSpan(
                name=name,
                context=context(span),
                parent=context(parent) if parent else None,
                resource=self._resource,
                attributes={"stanchion.room": room},
                kind=SpanKind.CLIENT if parent else SpanKind.SERVER,
                status=Status(StatusCode.ERROR if is_failure else StatusCode.UNSET),
                start_time=began,
                end_time=max(began, ended),
                instrumentation_scope=SCOPE,
            )
        )


class _ShopSpan(UpstreamObserver):
    """Times one request to the upstream, and passes on what the room's own observer is to hear."""

    __slots__ = ("_began", "_ids", "_inner", "_is_failure", "_room", "_tracer")

    def __init__(self, tracer: OtlpTracer, ids: TraceIds, room: str, inner: UpstreamObserver | None) -> None:
        self._tracer = tracer
        self._ids = ids
        self._room = room
        self._inner = inner
        self._began = time.time_ns()
        self._is_failure = False

    def asked(self, key: object, now: float) -> None:
        self._began = time.time_ns()
        if self._inner is not None:
            self._inner.asked(key, now)

    def answered(self, key: object, now: float, *, is_failure: bool) -> None:
        self._is_failure = is_failure
        if self._inner is not None:
            self._inner.answered(key, now, is_failure=is_failure)

    def ended(self, key: object) -> None:
        self._tracer.shop_ended(self._ids, self._room, self._began, is_failure=self._is_failure)
        if self._inner is not None:
            self._inner.ended(key)


def _nanoseconds(moment: float) -> int:
    return int(moment * 1e9)
