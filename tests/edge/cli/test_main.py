"""The command line: its output and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli.main import main
from edge.settings.loading import MIN_KEY_BYTES
from tests.support import command_names

CONFIGS = Path(__file__).parents[3] / "configs"
KEY = "k" * 43
FAULTY = "workers: 0\nsecret_keys_env: STANCHION_KEYS\nupstream: {url: 'http://shop'}\nrooms: []\n"


def run(*arguments: str) -> int:
    """Return the exit code, returned or raised."""
    try:
        return main(arguments)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 1


@pytest.mark.parametrize("command", [(), *((name,) for name in command_names())])
def test_every_command_has_help(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    """--help prints the command's purpose and exits with 0. Nothing is read or started."""
    assert run(*command, "--help") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(" ".join(["usage: stanchion", *command]))
    assert printed.err == ""


@pytest.mark.parametrize(
    "arguments",
    [(), ("fly",), ("run",), ("check",), ("run", "a", "b"), ("demo", "--port", "x"), ("demo", "--port", "65536")],
)
def test_bad_usage_is_exit_code_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    """Wrong usage is reported on standard error, in a line that names the command."""
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "stanchion" in printed.err
    assert "Traceback" not in printed.err


def test_check_accepts_a_file_without_faults(capsys: pytest.CaptureFixture[str]):
    """Exit code 0 and one line. The check does not need the secret keys."""
    assert run("check", "--offline", str(CONFIGS / "reference.yaml")) == 0
    assert capsys.readouterr().out.endswith("reference.yaml: no faults; 1 room: checkout\n")


def test_check_reports_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Exit code 2, with the report on standard error."""
    file = tmp_path / "shop.yaml"
    file.write_text(FAULTY)
    assert run("check", str(file)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[0] == f"{file}: 2 faults"
    assert "  workers: must be >= 1, got 0" in printed.err.splitlines()


def test_check_reports_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """For programs: one JSON object on standard output, with or without faults."""
    file = tmp_path / "shop.yaml"
    file.write_text(FAULTY)
    assert run("check", "--json", str(file)) == 2
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["file"], report["valid"]) == (str(file), False)
    assert {"path": "workers", "message": "must be >= 1, got 0"} in report["faults"]
    assert printed.err == ""
    assert run("check", "--json", "--offline", str(CONFIGS / "demo.yaml")) == 0
    assert json.loads(capsys.readouterr().out)["faults"] == []


@pytest.mark.parametrize(
    "file", sorted({path.name for path in CONFIGS.glob("*.yaml")} - {"shop.yaml", "catalogue.yaml"})
)
def test_every_settings_file_in_configs_passes_check(file: str):
    """Operators copy these files. The shop's own tests check `shop.yaml` and `catalogue.yaml`."""
    assert run("check", "--offline", str(CONFIGS / file)) == 0


def test_run_refuses_what_check_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Faulty settings, a missing file and missing keys are exit code 2 before a socket is opened."""
    file = tmp_path / "shop.yaml"
    file.write_text(FAULTY)
    assert run("run", str(file)) == 2
    assert "workers: must be >= 1" in capsys.readouterr().err
    assert run("run", str(tmp_path / "missing.yaml")) == 2
    assert "cannot be read" in capsys.readouterr().err
    monkeypatch.delenv("STANCHION_KEYS", raising=False)
    assert run("run", str(CONFIGS / "reference.yaml")) == 2
    assert "STANCHION_KEYS is not set" in capsys.readouterr().err


def test_keygen_prints_a_key_that_run_accepts(capsys: pytest.CaptureFixture[str]):
    """256 random bits, different each time, in letters that need no quoting."""
    assert run("keygen") == run("keygen") == 0
    first, second = capsys.readouterr().out.split()
    assert first != second
    assert len(first) >= 43 > MIN_KEY_BYTES
    assert all(letter.isalnum() or letter in "-_" for letter in first)


@pytest.mark.parametrize("arguments", [("version",), ("--version",)])
def test_version_prints_name_number_and_form(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    assert run(*arguments) == 0
    name, number, form = capsys.readouterr().out.split()
    assert name == "stanchion"
    assert number[0].isdigit()
    assert form in ("(pure)", "(compiled)")


def test_the_module_runs_the_command():
    """`python -m edge.cli` runs `stanchion` and exits with its code."""
    here = Path(__file__).parents[3]
    command = [sys.executable, "-m", "edge.cli", "check", "missing.yaml"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=here, env=dict(os.environ), check=False)
    assert ended.returncode == 2
    assert ended.stderr == "missing.yaml: 1 fault\n  cannot be read: No such file or directory\n"
