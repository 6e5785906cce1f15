"""Batched counts equal single ones, and docs/operating.md lists every metric with its labels."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Histogram

from edge.operations.metrics import UPSTREAM_BUCKETS, Metrics

HERE = Path(__file__).parents[3]
#: Each call that makes a metric, and what Prometheus puts behind the name.
MAKERS = {"Counter": "_total", "counter": "_total", "Gauge": "", "gauge": "", "_gauge": "", "Histogram": ""}


def test_counts_arrive_with_a_flush_and_only_once() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.requests.count("waiting", "path")
    metrics.flush()
    metrics.flush()
    labels = {"outcome": "waiting", "way": "path"}
    assert metrics.registry.get_sample_value("stanchion_requests_total", labels) == 3


def test_a_followed_total_is_a_counter() -> None:
    metrics = Metrics()
    for total in (2, 2, 5):
        metrics.accept_pauses.follow(total)
    assert metrics.registry.get_sample_value("stanchion_accept_pauses_total") == 5
    [family] = [family for family in metrics.registry.collect() if family.name == "stanchion_accept_pauses"]
    assert family.type == "counter"


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


def made() -> Iterator[tuple[str, set[str], str]]:
    """Return every metric that the sources make: its exported name, its labels, its help text."""
    for file in sorted((HERE / "edge").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
            if called not in MAKERS or not isinstance(name, str):
                continue
            inner = [each for argument in node.args[1:] for each in ast.walk(argument)]
            text, *labels = [each.value for each in inner if isinstance(each, ast.Constant)]
            yield name + MAKERS[called], {str(label) for label in labels}, str(text)


def documented() -> dict[str, set[str]]:
    """Return the metrics of the table in docs/operating.md and their labels."""
    text = (HERE / "docs" / "operating.md").read_text("utf-8")
    rows = re.findall(r"^\| `(stanchion_\w+)` \| ([^|]*)\|", text, re.M)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def test_every_metric_is_documented_with_its_labels() -> None:
    metrics = {name: labels for name, labels, _ in made()}
    assert len(metrics) > 30
    assert metrics == documented()


def test_every_metric_has_a_sentence_of_help() -> None:
    texts = {name: text for name, _, text in made()}
    assert [name for name, text in texts.items() if not re.match(r"[A-Z0-9].*[.]$", text)] == []


def test_the_sources_name_every_metric_that_a_worker_registers() -> None:
    """The test above reads the sources; this one holds that it finds what a worker registers."""
    registered = {family.name for family in Metrics().registry.collect()}
    assert registered <= {name.removesuffix("_total") for name, _, _ in made()}
