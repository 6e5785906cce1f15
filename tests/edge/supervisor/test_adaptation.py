"""What the supervisor makes of workers' reports: one decision for each room, published when it changes."""

from prometheus_client import CollectorRegistry

from edge.messages.processes import Adapt, Report, UpstreamSample
from edge.settings.loading import parse_settings
from edge.supervisor.adaptation import BELIEVED_S, Adaptation

YAML = """
secret_keys_env: STANCHION_KEYS
upstream: {url: "http://127.0.0.1:9000"}
rooms:
  - name: follows
    match: {paths: ["/a*"]}
    capacity: {admissions_per_second: 2, adaptive: {enabled: %s, recovery_seconds: 10.0}}
  - name: stays
    match: {paths: ["/b*"]}
    capacity: {admissions_per_second: 2}
"""
SLOW = Report({}, False, {"follows": UpstreamSample(20, 60.0, 0), "stays": UpstreamSample(20, 60.0, 0)})
NOTHING = Report({}, False, {})


class Machine:
    """An adaptation, what it published, and its clock."""

    def __init__(self) -> None:
        self.published: list[Adapt] = []
        self.registry = CollectorRegistry()
        self.adaptation = Adaptation(self.published.append, self.registry)
        self.adaptation.use(parse_settings(YAML % "true"))
        self.now = 1000.0

    def receive(self, *reports: Report, seconds: float = 0.5) -> None:
        for report in reports:
            self.adaptation.receive(report, self.now)
        self.now += seconds
        self.adaptation.step(self.now)


def test_reports_of_all_workers_make_one_decision_which_is_published_when_it_changes() -> None:
    machine = Machine()
    machine.receive(NOTHING, NOTHING)
    assert machine.published == []
    machine.receive(SLOW, SLOW)
    [published] = machine.published
    assert published.factors.keys() == {"follows"}
    assert published.factors["follows"] == machine.adaptation.factors["follows"] < 1.0
    assert machine.adaptation.status("stays", machine.now) is None
    for _ in range(200):
        machine.receive(NOTHING)
    assert machine.published[-1] == Adapt({"follows": 1.0})
    count = len(machine.published)
    machine.receive(NOTHING)
    assert len(machine.published) == count, "nothing has changed"


def test_nothing_moves_while_the_circuit_breaker_is_open() -> None:
    """The word of one worker is enough, and it holds for a moment only: the worker may have died."""
    machine = Machine()
    for _ in range(20):
        machine.receive(SLOW)
    before = machine.adaptation.factor("follows")
    machine.receive(Report({}, True, {}), NOTHING)
    machine.receive(NOTHING)
    assert machine.adaptation.factor("follows") == before
    assert (machine.adaptation.status("follows", machine.now) or {})["is_paused"]
    machine.receive(NOTHING, seconds=BELIEVED_S)
    for _ in range(30):
        machine.receive(NOTHING)
    assert machine.adaptation.factor("follows") > before


def test_a_reload_without_the_loop_ends_it() -> None:
    machine = Machine()
    machine.receive(SLOW)
    machine.adaptation.use(parse_settings(YAML % "false"))
    machine.receive(SLOW)
    assert machine.adaptation.factors == {}
    assert machine.adaptation.factor("follows") == 1.0
    labels = {"room": "follows"}
    assert machine.registry.get_sample_value("stanchion_adaptive_capacity_ratio", labels) is None
