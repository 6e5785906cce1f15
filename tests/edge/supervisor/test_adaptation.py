"""What the supervisor makes of workers' reports: one decision a room, told when it changes, on a clock in hand."""

from prometheus_client import CollectorRegistry

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
SLOW = {"down": False, "rooms": {"follows": [20, 60.0, 0], "stays": [20, 60.0, 0]}}
NOTHING = {"down": False, "rooms": {}}


class Machine:
    """An adaptation, what it told, and its clock."""

    def __init__(self) -> None:
        self.told: list[dict[str, float]] = []
        self.registry = CollectorRegistry()
        self.adaptation = Adaptation(self.told.append, self.registry)
        self.adaptation.use(parse_settings(YAML % "true"))
        self.now = 1000.0

    def hear(self, *reports: dict, seconds: float = 0.5) -> None:
        for report in reports:
            self.adaptation.hear(report, self.now)
        self.now += seconds
        self.adaptation.step(self.now)


def test_all_workers_reports_make_one_decision_and_it_is_told_when_it_changes() -> None:
    machine = Machine()
    machine.hear(NOTHING, NOTHING)
    assert machine.told == []
    machine.hear(SLOW, SLOW)
    [told] = machine.told
    assert told.keys() == {"follows"}
    assert told["follows"] == machine.adaptation.factors["follows"] < 1.0
    assert machine.adaptation.status("stays", machine.now) is None
    for _ in range(200):
        machine.hear(NOTHING)
    assert machine.told[-1] == {"follows": 1.0}
    said = len(machine.told)
    machine.hear(NOTHING)
    assert len(machine.told) == said, "nothing has changed"


def test_while_the_upstream_is_left_alone_nothing_moves() -> None:
    """One worker's word is enough, and it is believed for a moment only: it may have died."""
    machine = Machine()
    for _ in range(20):
        machine.hear(SLOW)
    was = machine.adaptation.factor("follows")
    machine.hear({"down": True, "rooms": {}}, NOTHING)
    machine.hear(NOTHING)
    assert machine.adaptation.factor("follows") == was
    assert (machine.adaptation.status("follows", machine.now) or {})["is_held"]
    machine.hear(NOTHING, seconds=BELIEVED_S)
    for _ in range(30):
        machine.hear(NOTHING)
    assert machine.adaptation.factor("follows") > was


def test_a_reload_without_the_loop_ends_it() -> None:
    machine = Machine()
    machine.hear(SLOW)
    machine.adaptation.use(parse_settings(YAML % "false"))
    machine.hear(SLOW)
    assert machine.adaptation.factors == {}
    assert machine.adaptation.factor("follows") == 1.0
    labels = {"room": "follows"}
    assert machine.registry.get_sample_value("stanchion_adaptive_capacity_ratio", labels) is None
