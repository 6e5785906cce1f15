"""What a node counts, for Prometheus: names `stanchion_*`, base units, few labels (never a visitor, address or path).

prometheus-client's multiprocess mode sums the counters of all workers, ended ones included, and the gauges of the
workers that live. The supervisor serves the sums (`edge/supervisor/admin.py`).

Counts on a request's path are plain integers, because one increment of prometheus-client's shared counters costs as
much as a fifth of a poll. `flush`, called twice a second, carries them over: a worker that is killed takes up to half a
second of counts with it.

`docs/operating.md` lists every metric; a test holds the list complete.
"""

from bisect import bisect_left

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from edge.support.build import FORM, VERSION

__all__ = ["Count", "Metrics", "Tally", "Times", "Total"]

#: Buckets of the upstream's time to the first byte, seconds: the defaults of ingress-nginx, extended to a time-out.
UPSTREAM_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
#: Buckets of the wait in line, seconds: from an immediate admission to two hours.
WAIT_BUCKETS = (0.1, 1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)


class Count:
    """Events since the last flush. A caller that counts often keeps this object and adds to `new`."""

    __slots__ = ("new",)

    def __init__(self) -> None:
        self.new = 0


class Tally:
    """A counter with labels. Its increments are carried over in batches."""

    __slots__ = ("_by_label", "_counter", "_counts")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._counts: dict[tuple[str, ...], Count] = {}
        #: The same counts by a single label: a look-up without a tuple.
        self._by_label: dict[str, Count] = {}

    def of(self, *labels: str) -> Count:
        """Return the count under these labels."""
        found = self._counts.get(labels)
        if found is None:
            found = self._counts[labels] = Count()
        return found

    def count(self, *labels: str) -> None:
        self.of(*labels).new += 1

    def count_one(self, label: str) -> None:
        """Count under one label; faster than `count`, for events of every request."""
        found = self._by_label.get(label)
        if found is None:
            found = self._by_label[label] = self.of(label)
        found.new += 1

    def flush(self) -> None:
        for labels, count in self._counts.items():
            if count.new:
                self._counter.labels(*labels).inc(count.new)
                count.new = 0


class Total:
    """A counter without labels that follows a total which this process keeps elsewhere."""

    __slots__ = ("_counter", "_followed")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._followed = 0

    def follow(self, total: int) -> None:
        """Add what is new since the last call. total: never less than before."""
        if total > self._followed:
            self._counter.inc(total - self._followed)
            self._followed = total


class Times:
    """A histogram. Its observations are carried over in batches."""

    def __init__(self, histogram: Histogram, buckets: tuple[float, ...]) -> None:
        self._histogram = histogram
        self._buckets = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._buckets, seconds)] += 1
        self._sum_s += seconds

    def flush(self) -> None:
        # prometheus-client cannot add many observations at once in public. A test compares this with single ones.
        for bucket, count in zip(self._histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._histogram._sum.inc(self._sum_s)
        self._counts = [0] * len(self._counts)
        self._sum_s = 0.0


class Metrics:
    """The metrics of one worker. registry: where they are registered; one registry a process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._batched: list[Tally | Times] = []
        self._count_requests()
        self._count_credentials()
        self._time()
        self._gauge_rooms()
        self._gauge_lanes()
        self._gauge_process()

    def flush(self) -> None:
        """Carry over the counts since the last flush."""
        for batched in self._batched:
            batched.flush()

    def _counter(self, name: str, text: str, *labels: str) -> Tally:
        tally = Tally(Counter(name, text, labels, registry=self.registry))
        self._batched.append(tally)
        return tally

    def _gauge(self, name: str, text: str, *labels: str, mode: str = "livesum") -> Gauge:
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def _count_requests(self) -> None:
        counter = self._counter
        self.requests = counter(
            "stanchion_requests", "Requests by outcome, and by the way the line is attached.", "outcome", "way"
        )
        self.asks = counter(
            "stanchion_asks", "Decisions that load balancers asked for, by dialect.", "dialect", "decision"
        )
        self.reports = counter("stanchion_shop_reports", "Reports of the shop's answers by result.", "result")
        self.polls = counter("stanchion_polls", "Requests for admission by visitors without a pass.", "room")
        self.admissions = counter(
            "stanchion_admissions", "Visitors admitted, from the line or because nobody waited.", "room"
        )
        self.lane_admissions = counter(
            "stanchion_lane_admissions", "Visitors admitted, by the lane of a room with lanes.", "room", "lane"
        )
        self.guests = counter(
            "stanchion_guests",
            "Requests forwarded that make no visitor: HEAD, parts of a page without a cookie, forms of other sites.",
            "room",
        )
        self.staff = counter("stanchion_staff_requests", "Requests of browsers that opened a staff link.", "room")
        self.bypassed = counter(
            "stanchion_bypassed_requests", "Requests of senders that never wait, by the reason.", "room", "reason"
        )
        self.links = counter("stanchion_links", "Links that visitors opened, by result.", "room", "kind", "result")
        self.upstream_failures = counter("stanchion_upstream_failures", "Requests that the upstream failed.", "kind")
        self.shielded = counter(
            "stanchion_shield_refusals", "Requests refused by a list, a limit or the bot score.", "reason"
        )
        self.suspected = counter(
            "stanchion_suspected_requests", "Requests of suspected robots, counted once for each reason.", "reason"
        )

    def _count_credentials(self) -> None:
        counter = self._counter
        self.sessions_ended = counter(
            "stanchion_sessions_ended", "Passes that the upstream ended, by its command.", "room", "command"
        )
        self.rejected = counter(
            "stanchion_ticket_rejections",
            "Tickets and passes that were not valid. The visitor gets a new place in line.",
            *("room", "reason"),
        )
        self.redemption_checks = counter(
            "stanchion_redemption_checks", "Redemption checks by outcome.", "room", "outcome"
        )
        self.join_challenges = counter("stanchion_join_challenges", "Join challenges by result.", "room", "result")
        self.places_given_up = counter(
            "stanchion_places_given_up", "Places that visitors left, or moved to another device.", "room", "reason"
        )
        self.turns = counter(
            "stanchion_turns", "Turns that visitors had to take: offered, taken in time, taken late.", "room", "result"
        )
        self.tickets_requeued = counter(
            "stanchion_tickets_requeued", "Visitors moved back in line after a long absence.", "room"
        )
        self.pass_binding_mismatches = counter(
            "stanchion_pass_binding_mismatches",
            "Passes shown by another browser or network than the one they were given to. "
            "Requests with a cached head are not counted again.",
            *("room", "differs", "honoured"),
        )

    def _time(self) -> None:
        seconds = Histogram(
            "stanchion_upstream_response_seconds",
            "Time from the head of a request to the head of the upstream's response.",
            registry=self.registry,
            buckets=UPSTREAM_BUCKETS,
        )
        self.upstream_seconds = Times(seconds, UPSTREAM_BUCKETS)
        self._batched.append(self.upstream_seconds)
        self.shadow_wait_seconds = Histogram(
            "stanchion_shadow_wait_seconds",
            "What visitors would have waited if the room were not in shadow mode.",
            ("room",),
            registry=self.registry,
            buckets=WAIT_BUCKETS,
        )
        self.wait_seconds = Histogram(
            "stanchion_wait_seconds",
            "Time from a visitor's arrival to their admission.",
            ("room",),
            registry=self.registry,
            buckets=WAIT_BUCKETS,
        )

    def _gauge_rooms(self) -> None:
        gauge = self._gauge
        self.waiting = gauge("stanchion_waiting_visitors", "Visitors in line, as the nodes estimate them.", "room")
        self.active = gauge("stanchion_active_visitors", "Visitors with a pass that has not ended.", "room")
        self.capacity = gauge("stanchion_capacity_per_second", "Admissions a second that the nodes may make.", "room")
        self.bucket_level = gauge("stanchion_bucket_level", "Admissions that the nodes could make at once.", "room")
        self.parked_polls = gauge(
            "stanchion_parked_polls", "Polls near the front: the response waits until the visitor is admitted.", "room"
        )
        self.lag = gauge(
            "stanchion_lag_seconds", "Age of the youngest ticket that may try the bucket.", "room", mode="livemax"
        )
        self.overtaken = gauge(
            "stanchion_overtaken_pairs_ratio",
            "Share of recent pairs of visitors that a node admitted in the wrong order. 0 is first come, first served.",
            "room",
            mode="livemax",
        )
        self.overtaken_seconds = gauge(
            "stanchion_overtaken_max_seconds",
            "How much earlier than the visitor admitted before them the worst overtaken visitor arrived.",
            "room",
            mode="livemax",
        )
        self.mode = gauge("stanchion_room_mode", "1 for the mode that the room is in.", "room", "mode", mode="livemax")
        self.sale_phase = gauge(
            "stanchion_sale_phase", "1 for the phase of the room's sale.", "room", "phase", mode="livemax"
        )
        self.shadow_waiting = gauge(
            "stanchion_shadow_waiting_visitors",
            "Visitors that would be waiting if the room were not in shadow mode.",
            "room",
        )
        self.sold_out = gauge(
            "stanchion_room_sold_out", "1 while no unit is left, as far as the shop has said.", "room", mode="livemax"
        )
        self.missing = gauge(
            "stanchion_room_missing_dependency",
            "1 while the room admits nobody because this dependency is missing.",
            *("room", "dependency"),
            mode="livemax",
        )

    def _gauge_lanes(self) -> None:
        gauge = self._gauge
        self.lane_waiting = gauge(
            "stanchion_lane_waiting_visitors",
            "Visitors in the line of a lane, as the nodes estimate them.",
            *("room", "lane"),
        )
        self.lane_capacity = gauge(
            "stanchion_lane_capacity_per_second",
            "Admissions a second that a lane may make now: its share, and what other lanes do not use.",
            *("room", "lane"),
        )

    def _gauge_process(self) -> None:
        self.connections = self._gauge("stanchion_connections", "Open connections of visitors.")
        self.certificate_ends = self._gauge(
            "stanchion_certificate_expiry_timestamp_seconds",
            "When the first certificate of a listener expires, in seconds since 1970.",
            "listener",
            mode="livemin",
        )
        self.greeting_faults = Total(
            Counter(
                "stanchion_greeting_faults",
                "Connections that failed in the TLS handshake or at the PROXY header.",
                registry=self.registry,
            )
        )
        self.accept_pauses = Total(
            Counter(
                "stanchion_accept_pauses",
                "Times a worker stopped accepting connections because it had no space for more.",
                registry=self.registry,
            )
        )
        self.info = self._gauge(
            "stanchion_build_info",
            "1, labelled with the version and the form: 'compiled' or 'pure'.",
            *("version", "form"),
            mode="livemax",
        )
        self.info.labels(VERSION, FORM).set(1)
