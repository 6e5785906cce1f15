"""`stanchion simulate`: what it plays, what it prints, and its exit codes."""

import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import controller
import controller.simulation.world as world
import edge.rooms.room_gate
import edge.rooms.table
from controller import Gate, GateSettings
from edge.cli.main import main
from edge.cli.simulate.fleet import Fleet
from edge.cli.simulate.progress import Progress
from edge.cli.simulate.trace import Trace
from edge.cli.simulate.trial import OURS, POLICIES, checked, on_fleet, traced, try_out
from edge.settings.loading import parse_settings
from edge.support.errors import ConfigurationError

CONFIG = """
workers: {workers}
secret_keys_env: STANCHION_KEYS
upstream: {{url: "http://127.0.0.1:9000"}}
cluster: {cluster}
rooms:
  - name: checkout
    match: {{paths: ["/checkout*"]}}
    capacity: {{admissions_per_second: 12, burst_seconds: 2}}
    polling: {{min_seconds: 2, max_seconds: 9, budget_per_second: 300}}
  - name: drop
    match: {{paths: ["/drop*"]}}
    capacity: {{admissions_per_second: 5}}
"""


def config(workers: int = 2, cluster: str = "{machines: 1}") -> str:
    return CONFIG.format(workers=workers, cluster=cluster)


@pytest.fixture
def sale(tmp_path: Path) -> Path:
    """300 visitors within five seconds; every fifth waits for four seconds at most."""
    path = tmp_path / "last & year's <sale>.csv"
    rows = [f"{i / 60:.3f},{'4' if i % 5 == 0 else ''}" for i in range(300)]
    path.write_text("\n".join(["seconds,patience", *rows]), "utf-8")
    return path


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(config(), "utf-8")
    return path


def run(*arguments: str | Path) -> int:
    """Run the command and return its exit code, returned or raised."""
    try:
        return main(["simulate", *map(str, arguments)])
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 1


def test_the_simulator_plays_the_gate_of_the_edge():
    """One class: the gate that the edge builds for a room, the one the package exports, and the simulator's."""
    made = world.real_gate(GateSettings(admissions_per_second=1.0), 0.0)
    assert type(made) is controller.Gate is edge.rooms.room_gate.Gate is Gate
    assert POLICIES[OURS] is world.real_gate
    settings = parse_settings(config())
    built = edge.rooms.table._gate(edge.rooms.table.gate_settings(settings, settings.rooms[0]), 0.0, None, None)
    assert type(built.inner) is type(made)


@pytest.mark.parametrize(
    ("workers", "cluster", "nodes", "joined"),
    [
        (1, "{machines: 1}", 1, False),
        (4, "{machines: 1}", 4, True),
        (2, "{machines: 3}", 6, False),
        (2, "{machines: 3, redis_url: 'redis://127.0.0.1'}", 6, True),
    ],
)
def test_simulated_gates_get_the_settings_of_the_edge(workers: int, cluster: str, nodes: int, joined: bool):
    """The settings of the simulated nodes equal those of the edge, and nodes are joined as `run` would join them."""
    settings = parse_settings(config(workers, cluster))
    fleet = Fleet.of(settings, "checkout")
    scenario = on_fleet(traced(Trace((0.0,), (1.0,)), "sale"), fleet)
    assert scenario.settings() == edge.rooms.table.gate_settings(settings, settings.rooms[0])
    assert (scenario.nodes, scenario.joined) == (nodes, joined)


@pytest.mark.parametrize("room", [None, "nosuch"])
def test_an_unclear_room_is_a_fault_that_lists_the_rooms(room: str | None):
    """Several rooms and no name, or an unknown name."""
    with pytest.raises(ConfigurationError, match="checkout, drop"):
        Fleet.of(parse_settings(config()), room)


def test_a_trace_is_played_on_the_capacity_of_the_settings(sale: Path, shop: Path, capsys: pytest.CaptureFixture[str]):
    """Recorded visitors against the capacity of a settings file."""
    assert run("--trace", sale, "--config", shop, "--room", "checkout", "--seeds", "2", "--json") == 0
    output = capsys.readouterr()
    assert output.err == ""
    result = json.loads(output.out)
    assert result["version"]
    assert "--trace" in result["command"]
    assert "--seeds 2" in result["command"]
    [played] = result["scenarios"]
    assert (played["capacity"], played["burst_s"], played["nodes"], played["joined"]) == (12, 2, 2, True)
    assert (played["poll_min_s"], played["poll_max_s"], played["poll_budget_per_s"]) == (2, 9, 300)
    assert played["seeds"] == [0, 1]
    ours, lottery = played["policies"]
    assert (ours["name"], lottery["name"]) == ("stanchion", "bucket")
    assert [row["seed"] for row in ours["by_seed"]] == [0, 1]
    assert ours["median"]["visitors"] == 300
    assert ours["worst"]["overshoot"] == 0
    assert ours["median"]["p99_s"] < lottery["median"]["p99_s"]
    assert ours["worst"]["p99_s"] == max(row["p99_s"] for row in ours["by_seed"])
    assert played["ideal"]["median_s"] == 0
    assert played["ideal"]["polls_each"] is None
    assert 1 <= played["polling_ideal"]["polls_each"] <= ours["median"]["polls_each"]


def test_the_same_command_gives_the_same_figures(sale: Path, capsys: pytest.CaptureFixture[str]):
    """The seed decides everything; another number of nodes gives another sale."""
    results = []
    for nodes in ("3", "3", "2"):
        assert run("--trace", sale, "--nodes", nodes, "--seeds", "1", "--policy", "stanchion", "--json") == 0
        results.append(json.loads(capsys.readouterr().out)["scenarios"][0]["policies"])
    assert results[0] == results[1] != results[2]


def test_the_table_has_a_line_for_each_policy_its_worst_seed_and_both_ideals(
    sale: Path, capsys: pytest.CaptureFixture[str]
):
    """All lines of the table are equally long."""
    assert run("--trace", sale, "--seeds", "2", "--policy", "bucket", "csfq") == 0
    lines = capsys.readouterr().out.splitlines()
    starts = [line.split("  ")[0] for line in lines[4:]]
    assert starts == ["bucket", "", "csfq", "", "polling ideal", "ideal"]
    assert len({len(line) for line in lines[3:]}) == 1
    assert "seeds 0 to 1" in lines[1]


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects everything that would be fetched."""

    EMPTY = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [f"{tag} {key}" for key, _ in attrs if key in ("src", "href", "xlink:href", "srcset", "action")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_self_contained(sale: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """It is well-formed, has no script, loads nothing, escapes names and has a titled picture for each question."""
    out = tmp_path / "out.html"
    assert run("--trace", sale, "--seeds", "1", "--policy", "all", "--report", out) == 0
    assert str(out) in capsys.readouterr().out
    html = out.read_text("utf-8")
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    assert page.fetched == []
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    for elsewhere in ("http:", "https:", "url(", "@import", "//"):
        assert elsewhere not in html
    assert not re.search(r"\b(nan|inf)\b", html)
    assert page.tags.count("figure") >= 8 + len(POLICIES)
    assert "last & year's <sale>.csv" in page.text
    for policy in POLICIES:
        assert policy in page.text
    for title in ("Waits by arrival", "The line over time", "How far the door is open", "Requests a second"):
        assert title in page.text


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seeds", "0"),
        ("--seeds", "x"),
        ("--nodes", "100000"),
        ("--scenario", "nosuch"),
        ("--policy", "nosuch"),
        ("--room", "checkout"),
        ("--trace", "/nosuch.csv"),
        ("--config", "/nosuch.yaml"),
        ("--scenario", "skew", "--nodes", "3"),
        ("--scenario", "flash", "--trace", "x.csv"),
        ("--report", "/nosuch/out.html"),
        ("--report", "/"),
        ("--report", f"/tmp/{'nosuch' * 100}"),
    ],
)
def test_bad_usage_is_exit_code_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    """The fault is printed on standard error before anything is played."""
    assert run(*arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "simulate" in output.err or "nosuch" in output.err


def test_a_report_that_cannot_be_written_is_exit_code_1(sale: Path, capsys: pytest.CaptureFixture[str]):
    """The figures are printed all the same, because they took time to compute."""
    out = Path("/dev/full")
    assert run("--trace", sale, "--seeds", "1", "--policy", "bucket", "--report", out) == 1
    output = capsys.readouterr()
    assert "cannot be written" in output.err
    assert "polling ideal" in output.out


def test_without_numpy_the_command_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """numpy is an optional dependency: without it the command prints one line and exits with 1."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    assert run("--list") == 1
    assert "pip install 'stanchion[simulate]'" in capsys.readouterr().err


def test_the_list_names_every_scenario_and_policy(capsys: pytest.CaptureFixture[str]):
    assert run("--list") == 0
    output = capsys.readouterr().out
    for name in ("flash", "early-ghosts", "million", *POLICIES):
        assert f"  {name} " in output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_a_line_now_and_then_elsewhere():
    """On a terminal it is erased at the end. A file gets whole lines, ten seconds apart."""
    scenario = checked(traced(Trace((0.0, 0.0, 1.0), (float("inf"), 0.0, 5.0)), "sale"))
    for stream, step in ((Terminal(), 1), (io.StringIO(), 20)):
        progress = Progress(stream, 2, clock=iter(range(0, 1_000_000, step)).__next__)
        try_out(scenario, ["stanchion", "bucket"], 1, progress)
        progress.clear()
        shown = stream.getvalue()
        if stream.isatty():
            assert "sale, bucket, run 1 of 1" in shown
            assert " 50%" in shown
            assert shown.endswith("\x1b[K")
        else:
            assert re.fullmatch(r"( ?\d+%  sale, \w+, run 1 of 1(; about \d+ s left)?\n)+", shown)


def test_the_command_line_starts_without_numpy():
    """Help, check and run do not pay for the simulator."""
    import subprocess

    code = "import sys, edge.cli.main; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
