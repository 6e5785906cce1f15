"""The systemd unit: verified by systemd itself, hardened, and its commands are commands."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from edge.cli.main import main
from tests.deploy.tools import need

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "stanchion.service"
#: The highest exposure that `systemd-analyze security` may report: 0 is none, 10 is everything.
MOST_EXPOSED = 1.7


def lines(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.M)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as it would be installed, with a program that exists here in place of the edge's."""
    file = tmp_path / "stanchion.service"
    file.write_text(UNIT.read_text("utf-8").replace("/opt/stanchion/bin/stanchion", "/bin/true"))
    return file


def test_systemd_finds_no_fault(installed: Path):
    analyze = need("systemd-analyze", "apt-get install systemd")
    ended = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(installed)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    about_us = [line for line in ended.stderr.splitlines() if "stanchion" in line]
    assert (ended.returncode, about_us) == (0, []), ended.stderr


def test_systemd_finds_no_fault_in_the_socket(installed: Path):
    """It belongs to the service, and its name is the one that the documents use."""
    analyze = need("systemd-analyze", "apt-get install systemd")
    text = UNIT.with_suffix(".socket").read_text("utf-8")
    installed.with_suffix(".socket").write_text(text)
    ended = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(installed.with_suffix(".socket"))],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    about_us = [line for line in ended.stderr.splitlines() if "stanchion" in line]
    assert (ended.returncode, about_us) == (0, []), ended.stderr
    assert "FileDescriptorName=web\n" in text


def test_systemd_would_find_a_fault(installed: Path):
    analyze = need("systemd-analyze", "apt-get install systemd")
    installed.write_text(installed.read_text("utf-8").replace("WatchdogSec=30", "WatchdogSeconds=30"))
    ended = subprocess.run([analyze, "verify", "--man=no", str(installed)], capture_output=True, text=True, check=False)
    assert "WatchdogSeconds" in ended.stderr


def test_the_unit_is_hardened(installed: Path):
    """The score is that of systemd's own table, taken offline."""
    analyze = need("systemd-analyze", "apt-get install systemd")
    ended = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(installed)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    score = re.search(r"Overall exposure level for stanchion.service: ([\d.]+)", ended.stdout)
    assert score is not None, ended.stdout + ended.stderr
    assert float(score.group(1)) <= MOST_EXPOSED
    documented = (UNIT.parents[2] / "docs" / "deploying.md").read_text("utf-8")
    assert f"exposure of {score.group(1)}" in documented


@pytest.mark.parametrize("name", ["ExecStart", "ExecReload"])
def test_the_commands_of_the_unit_are_commands(name: str, capsys: pytest.CaptureFixture[str]):
    [command] = lines(name)
    program, *arguments = shlex.split(command)
    assert program == "/opt/stanchion/bin/stanchion"
    assert main([part if part != "/etc/stanchion/edge.yaml" else "/no/such/file.yaml" for part in arguments]) == 2
    assert "/no/such/file.yaml: 1 fault" in capsys.readouterr().err


def test_the_stop_has_time_for_the_default_grace():
    """TimeoutStopSec is above delay + grace + 3 of the settings that the page recommends."""
    from edge.settings.model import ShutdownSettings

    [timeout] = lines("TimeoutStopSec")
    assert float(timeout) > 15 + ShutdownSettings().grace_seconds + 3


def test_readiness_and_the_watchdog_are_told_by_the_edge():
    """`tests/edge/supervisor/test_service_manager.py` receives the messages."""
    assert lines("Type") == ["notify"]
    assert len(lines("WatchdogSec")) == 1
