"""What a node counts, for Prometheus: names `stanchion_*`, base units, few labels (never a visitor, address or path).

Counters of all workers are summed by prometheus-client's multiprocess mode, those of workers that have ended included;
gauges are summed over the workers that live. The supervisor serves them (`edge/supervisor/admin.py`).

What is counted on a request's path is counted in plain integers, for one increment of prometheus-client's shared
counters costs as much as a fifth of a poll. `flush`, called twice a second, carries them over: a worker that is killed
takes half a second's counts with it.
"""

from bisect import bisect_left
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Count", "Metrics", "Tally", "Times"]

#: Buckets of the upstream's time to the first byte, seconds: nginx ingress' defaults, up to a response time-out.
UPSTREAM_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
#: Buckets of the wait in line, seconds: from let in at once to two hours.
WAIT_BUCKETS = (0.1, 1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)


class Count:
    """How many there were since the last flush. Who counts often keeps it, and adds to `new`."""

    __slots__ = ("new",)

    def __init__(self) -> None:
        self.new = 0


class Tally:
    """A counter whose increments are carried over in batches."""

    __slots__ = ("_by_label", "_counter", "_counts")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._counts: dict[tuple[str, ...], Count] = {}
        self._by_label: dict[str, Count] = {}
        """The same, of counters with one label."""

    def of(self, *labels: str) -> Count:
        """What is counted under these labels."""
        found = self._counts.get(labels)
        if found is None:
            found = self._counts[labels] = Count()
        return found

    def count(self, *labels: str) -> None:
        self.of(*labels).new += 1

    def count_one(self, label: str) -> None:
        """The same with one label, for what is counted at every request."""
        found = self._by_label.get(label)
        if found is None:
            found = self._by_label[label] = self.of(label)
        found.new += 1

    def flush(self) -> None:
        for labels, count in self._counts.items():
            if count.new:
                self._counter.labels(*labels).inc(count.new)
                count.new = 0


class Times:
    """A histogram whose observations are carried over in batches."""

    def __init__(self, histogram: Histogram, buckets: tuple[float, ...]) -> None:
        self._histogram = histogram
        self._buckets = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._buckets, seconds)] += 1
        self._sum_s += seconds

    def flush(self) -> None:
        # prometheus-client has no public way to add many observations at once; a test holds that this is one.
        for bucket, count in zip(self._histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._histogram._sum.inc(self._sum_s)
        self._counts = [0] * len(self._counts)
        self._sum_s = 0.0


class Metrics:
    """The metrics of one process. registry: where they are registered; one a process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()

        self._batched: list[Tally | Times] = []

        def counter(name: str, text: str, *labels: str) -> Tally:
            tally = Tally(Counter(name, text, labels, registry=self.registry))
            self._batched.append(tally)
            return tally

        def gauge(name: str, text: str, *labels: str, mode: str = "livesum") -> Gauge:
            return Gauge(name, text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self.requests = counter("stanchion_requests", "Requests by what became of them", "outcome")
        self.admissions = counter("stanchion_admissions", "Visitors let in from the line or past an empty one", "room")
        self.polls = counter("stanchion_polls", "Times a visitor without a pass asked to be let in", "room")
        self.shielded = counter("stanchion_shield_refusals", "Requests kept out by lists and limits", "reason")
        self.suspected = counter(
            "stanchion_suspected_requests", "Requests of suspected robots, once for each reason", "reason"
        )
        self.sessions_ended = counter("stanchion_sessions_ended", "Passes ended by the upstream", "room", "command")
        self.rejected = counter(
            "stanchion_ticket_rejections", "Tickets and passes not accepted, whose bearers start anew", "room", "reason"
        )
        self.redemption_checks = counter(
            "stanchion_redemption_checks",
            "What was said when a node asked whether a place was used at another",
            *("room", "outcome"),
        )
        self.join_challenges = counter(
            "stanchion_join_challenges",
            "What became of those who were to show some work before they got a place",
            "room",
            "result",
        )
        self.tickets_requeued = counter(
            "stanchion_tickets_requeued", "Places put back since their visitors were away for too long", "room"
        )
        self.pass_binding_mismatches = counter(
            "stanchion_pass_binding_mismatches",
            "Heads with a pass that was given to another browser or network, and whether it counted all the same",
            *("room", "differs", "honoured"),
        )
        self.upstream_failures = counter("stanchion_upstream_failures", "Requests the upstream failed", "kind")
        seconds = Histogram(
            "stanchion_upstream_response_seconds",
            "From the head of the request to the head of the upstream's answer",
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
        self.upstream_seconds = Times(seconds, UPSTREAM_BUCKETS)
        self._batched.append(self.upstream_seconds)
        self.missing = gauge(
            "stanchion_room_missing_dependency",
            "1 while a room lets nobody in because this is not there",
            "room",
            "dependency",
            mode="livemax",
        )
        self.waiting = gauge("stanchion_waiting_visitors", "Visitors in line, as the nodes estimate", "room")
        self.active = gauge("stanchion_active_visitors", "Visitors whose passes have not ended", "room")
        self.capacity = gauge("stanchion_capacity_per_second", "Admissions a second the nodes may make", "room")
        self.bucket_level = gauge("stanchion_bucket_level", "Admissions the nodes could make at once", "room")
        self.parked_polls = gauge("stanchion_parked_polls", "Requests of visitors whose turn is about to come", "room")
        self.lag = gauge("stanchion_lag_seconds", "Age of the youngest ticket that may enter", "room", mode="livemax")
        self.connections = gauge("stanchion_connections", "Connections of visitors that are open")
        self.accept_pauses = gauge(
            "stanchion_accept_pauses", "Times the living workers stopped accepting connections for want of room"
        )
        self.info = gauge("stanchion_build_info", "1, labelled with the version", "version", mode="livemax")
        self.info.labels(version("stanchion")).set(1)

    def flush(self) -> None:
        """Carry over what was counted since the last time."""
        for batched in self._batched:
            batched.flush()
