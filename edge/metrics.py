"""What a node counts, for Prometheus: names `stanchion_*`, base units, few labels (never a visitor, address or path).

Counters of all workers are summed by prometheus-client's multiprocess mode, those of workers that have ended included;
gauges are summed over the workers that live. The supervisor serves them (`edge/admin.py`).
"""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Metrics"]

#: Buckets of the upstream's time to the first byte, seconds: nginx ingress' defaults, up to a response time-out.
UPSTREAM_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
#: Buckets of the wait in line, seconds: from let in at once to two hours.
WAIT_BUCKETS = (0.1, 1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)


class Metrics:
    """The metrics of one process. registry: where they are registered; one a process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str, mode: str = "livesum") -> Gauge:
            return Gauge(name, text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self.requests = counter("stanchion_requests", "Requests by what became of them", "outcome")
        self.admissions = counter("stanchion_admissions", "Visitors let in from the line or past an empty one", "room")
        self.polls = counter("stanchion_polls", "Times a visitor without a pass asked to be let in", "room")
        self.sessions_ended = counter("stanchion_sessions_ended", "Passes ended by the upstream", "room", "command")
        self.rejected = counter(
            "stanchion_ticket_rejections", "Tickets and passes not accepted, whose bearers start anew", "room", "reason"
        )
        self.upstream_failures = counter("stanchion_upstream_failures", "Requests the upstream failed", "kind")
        self.upstream_seconds = Histogram(
            "stanchion_upstream_response_seconds",
            "From sending the request to the head of the upstream's answer",
            registry=self.registry,
            buckets=UPSTREAM_BUCKETS,
        )
        self.wait_seconds = Histogram(
            "stanchion_wait_seconds",
            "From a visitor's first arrival to their admission",
            ("room",),
            registry=self.registry,
            buckets=WAIT_BUCKETS,
        )
        self.overtaken = gauge(
            "stanchion_overtaken_pairs_ratio",
            "Share of recent pairs of visitors whom a node admitted in the wrong order; 0 is first come first served",
            "room",
            mode="livemax",
        )
        self.overtaken_seconds = gauge(
            "stanchion_overtaken_max_seconds",
            "By how much earlier an overtaken visitor had arrived, at worst",
            "room",
            mode="livemax",
        )
        self.waiting = gauge("stanchion_waiting_visitors", "Visitors in line, as the nodes estimate", "room")
        self.active = gauge("stanchion_active_visitors", "Visitors whose passes have not ended", "room")
        self.capacity = gauge("stanchion_capacity_per_second", "Admissions a second the nodes may make", "room")
        self.bucket_level = gauge("stanchion_bucket_level", "Admissions the nodes could make at once", "room")
        self.lag = gauge("stanchion_lag_seconds", "Age of the youngest ticket that may enter", "room", mode="livemax")
        self.info = gauge("stanchion_build_info", "1, labelled with the version", "version", mode="livemax")
        self.info.labels(version("stanchion")).set(1)
