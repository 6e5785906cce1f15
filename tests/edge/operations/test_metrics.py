"""What is counted in batches arrives as if it had been counted one by one."""

from prometheus_client import CollectorRegistry, Histogram

from edge.operations.metrics import UPSTREAM_BUCKETS, Metrics


def test_counts_arrive_with_a_flush_and_only_once() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.requests.count("waiting")
    metrics.flush()
    metrics.flush()
    assert metrics.registry.get_sample_value("stanchion_requests_total", {"outcome": "waiting"}) == 3


def test_times_arrive_as_single_observations_would() -> None:
    metrics = Metrics()
    single = CollectorRegistry()
    reference = Histogram("reference", "", registry=single, buckets=UPSTREAM_BUCKETS)
    for seconds in (0.0, 0.005, 0.0051, 0.3, 59.9, 60.0, 61.0, 1e6):
        metrics.upstream_seconds.observe(seconds)
        reference.observe(seconds)
    metrics.flush()
    metrics.flush()

    def samples(registry: CollectorRegistry, name: str) -> dict[tuple[str, str], float]:
        families = [family for family in registry.collect() if family.name == name]
        return {
            (sample.name.removeprefix(name), sample.labels.get("le", "")): sample.value
            for family in families
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

    assert samples(metrics.registry, "stanchion_upstream_response_seconds") == samples(single, "reference")
