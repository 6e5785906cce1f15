"""`stanchion simulate`: table, JSON, report, traces and settings."""

import io
import json
from pathlib import Path

import pytest

from controller import GateSettings
from controller.simulation.trace import TraceError, parse
from edge.report.svg import chart
from edge.simulate import main


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Five hundred arrivals in ten seconds, every tenth of them a ghost."""
    path = tmp_path / "sale.csv"
    lines = [f"{100 + i / 50},{0 if i % 10 == 0 else ''}" for i in range(500)]
    path.write_text("seconds,patience\n" + "\n".join(lines) + "\n")
    return path


def test_a_trace_is_replayed_with_the_settings_of_a_room(trace: Path) -> None:
    """Last year's arrivals meet this year's capacity."""
    out = io.StringIO()
    rooms = {"checkout": GateSettings(admissions_per_second=10.0, nodes=2)}
    assert main(["--trace", str(trace), "--config", "x.yaml", "--json"], lambda _: rooms, out) == 0
    got = json.loads(out.getvalue())
    assert got["runs"][0]["visitors"] == 500
    assert got["runs"][0]["overshoot"] == 0.0
    assert got["runs"][0]["use"] > 0.9


def test_the_report_stands_alone(trace: Path, tmp_path: Path) -> None:
    """One file with seven pictures, every policy, and nothing loaded from elsewhere."""
    page = tmp_path / "out.html"
    out = io.StringIO()
    assert main(["--trace", str(trace), "--policies", "--report", str(page)], out=out) == 0
    html = page.read_text()
    assert html.count("<svg") == 7
    assert "http" not in html
    assert "lag-p" in html
    assert "stanchion" in out.getvalue()


@pytest.mark.parametrize(
    "argv", [["--scenario", "nonsense"], ["--trace", "/nowhere.csv"], ["--config", "x.yaml"]]
)
def test_bad_usage_is_code_2(argv: list[str]) -> None:
    """A clear line and exit code 2, never a traceback."""
    assert main(argv, out=io.StringIO()) == 2


def test_a_faulty_trace_names_its_lines() -> None:
    """Every fault with its line number."""
    with pytest.raises(TraceError, match=r"line 2.*line 3"):
        parse(["1.0", "x", "2,-1", "3,4"])


def test_charts_survive_empty_and_odd_series() -> None:
    """No points, one point or a gap still make a picture; names are escaped."""
    for points in ([], [(1.0, 1.0)], [(0.0, float("nan")), (1.0, 5.0)]):
        assert "<svg" in chart("a <b>", "x", "y", {"s": points})
    assert "<b>" not in chart("a <b>", "x", "y", {"s": []})
