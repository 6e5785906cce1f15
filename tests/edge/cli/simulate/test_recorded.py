"""`stanchion simulate` on a record of the edge: what if the capacity had been another one?"""

import json
from pathlib import Path

import numpy as np
import pytest

from controller.simulation.crowd import crowd
from controller.simulation.ideal import fifo
from edge.cli.main import main
from edge.cli.simulate.recorded import is_record, recorded
from edge.cli.simulate.suggest import suggest, with_capacity
from tests.edge.cli.report.test_report import written

STATE_CAPACITY = 2.0


def test_a_record_is_played_with_what_its_room_had(tmp_path: Path) -> None:
    written(tmp_path / "record")
    assert is_record(tmp_path / "record")
    scenario = recorded(tmp_path / "record", None)
    people = scenario.people(np.random.default_rng(0))
    assert len(people) == 100
    assert int(np.sum(np.isfinite(people.leave_s))) == 20, "a visitor that left keeps their patience"
    assert people.arrival_s[-1] == pytest.approx(9.9, abs=0.01)
    assert (scenario.capacity, scenario.burst_s, scenario.nodes, scenario.joined) == (STATE_CAPACITY, 0.5, 2, True)


def test_what_if_and_the_least_capacity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "record")
    trace = ["--trace", str(tmp_path / "record"), "--seeds", "1", "--policy", "stanchion"]
    assert main(["simulate", *trace, "--capacity", "80"]) == 0
    assert "80 admissions/s" in capsys.readouterr().out
    assert main(["simulate", *trace, "--suggest", "10", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["p90_s"] <= 10.0
    # 90 patient visitors in 9 s, and the last waits 10 s: about 90 / 19 a second.
    assert found["capacity"] == pytest.approx(90 / 19, rel=0.15)


@pytest.mark.parametrize("limit_s", [5.0, 30.0])
def test_less_than_the_suggested_capacity_is_not_enough(tmp_path: Path, limit_s: float) -> None:
    written(tmp_path)
    scenario = recorded(tmp_path, "checkout")
    found = suggest(scenario, limit_s, lambda _: None)
    people = crowd(scenario.people(np.random.default_rng(0)).arrival_s)
    less = with_capacity(scenario, found.capacity * 0.9)
    assert float(np.percentile(fifo(people, less.plan()) - people.arrival_s, 90)) > limit_s


def test_faults_name_the_room_to_choose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "record")
    (tmp_path / "record" / "other").mkdir()
    for file in (tmp_path / "record" / "checkout").glob("*.rec"):
        (tmp_path / "record" / "other" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        (["--trace", "record"], "holds several rooms; choose one with --room: checkout, other"),
        (["--trace", "record", "--room", "third"], "has no record of the room 'third'"),
        (["--trace", "empty"], "holds no record"),
        (["--room", "checkout"], "needs --config or a record"),
    ):
        assert main(["simulate", *arguments]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["simulate", "--capacity", "0"])
    assert "must be a number above 0" in capsys.readouterr().err
