"""The documents are true: their commands exist, their settings load, their links lead to files."""

import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge.cli.main import main
from edge.settings.loading import parse_settings
from tests.support import command_names

HERE = Path(__file__).parents[1]
PACKAGES = ("controller", "waiting_room", "edge", "checkout")
README = (HERE / "README.md").read_text("utf-8")
DOCUMENTS = [*sorted(HERE.glob("*.md")), *sorted((HERE / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    """Return the README's fenced blocks of a language ('' for blocks without one)."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def targets() -> dict[str, str]:
    """Return the Makefile's targets and the prerequisites of each."""
    found = re.findall(r"^([a-z-]+):(?!=)([^#\n]*)", (HERE / "Makefile").read_text("utf-8"), re.M)
    return {name: needs.strip() for name, needs in found}


def planned(target: str) -> str:
    """Return the commands that `make` would run for a target."""
    plan = subprocess.run(
        ["make", "-n", "-B", target], cwd=HERE, capture_output=True, text=True, check=True, timeout=30
    )
    return plan.stdout


def test_the_first_commands_are_make_run_and_make_test():
    """The first commands that a reader meets are `make run` and `make test`, and both exist."""
    commands = blocks("")[0].split("\n")[:-1]
    assert commands == ["make run", "make test"]
    assert {"run", "test"} <= set(targets())
    assert "stanchion demo" in planned("run")


def test_make_test_runs_all_of_its_parts():
    """`make test` installs, checks format, lint, types and imports, then runs pytest; all tools are installed."""
    plan = planned("test")
    parts = ("-m pip install", "ruff format", "ruff check", "mypy", "lint-imports", "-m pytest")
    order = [plan.index(part) for part in parts]
    assert order == sorted(order)
    assert "tests/system-packages.sh" in plan
    for tool in ("ruff", "mypy", "importlinter", "pytest"):
        assert find_spec(tool), f"{tool} is missing from the extra `test`"


def test_the_first_settings_load():
    """The ten lines for a reader's own shop pass `stanchion check`."""
    [text] = blocks("yaml")
    assert len(text.splitlines()) == 10
    assert parse_settings(text).rooms[0].name == "checkout"


def test_every_command_is_in_the_readme():
    """The README's table names every command and no other."""
    named = re.findall(r"^\| `stanchion ([\w-]+)", README, re.M)
    assert named == list(dict.fromkeys(named))
    assert sorted(named) == sorted(command_names())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(HERE)))
def test_every_command_in_a_document_exists(document: Path):
    """Every `stanchion X` and `make X` in a document is a command."""
    text = document.read_text("utf-8")
    named = set(re.findall(r"(?:^|`|\()stanchion ([a-z-]+)", text, re.M))
    assert named <= set(command_names())
    made = set(re.findall(r"`make ([a-z]+)`", text))
    assert made <= set(targets())


def test_the_key_in_the_readme_is_accepted(capsys: pytest.CaptureFixture[str]):
    """The README sets the environment variable that its settings name."""
    [line] = [line for line in README.splitlines() if line.startswith("export STANCHION")]
    name, _, value = shlex.split(line)[1].partition("=")
    [text] = blocks("yaml")
    assert parse_settings(text).secret_keys_env == name
    assert value == "$(stanchion keygen)"
    assert main(["keygen"]) == 0
    assert len(capsys.readouterr().out.strip()) >= 43


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(HERE)))
def test_every_link_leads_to_a_file(document: Path):
    """Links inside the project lead to files that exist."""
    links = re.findall(r"\]\(([^)#]+)\)", document.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


ARCHITECTURE = (HERE / "docs" / "architecture.md").read_text("utf-8")


def modules_in(text: str) -> list[str]:
    return re.findall(r"(?<![/\w])((?:edge|controller|waiting_room|checkout|static|tests)/[\w/]+\.\w+)", text)


def test_the_architecture_names_its_modules():
    assert len(modules_in(ARCHITECTURE)) > 25


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(HERE)))
def test_every_module_that_a_document_names_exists(document: Path):
    assert [name for name in modules_in(document.read_text("utf-8")) if not (HERE / name).exists()] == []


def test_every_class_in_the_architecture_exists():
    """Also those in drawings. `Name.member` names a member of that class or of a base of it."""
    source = "".join(path.read_text("utf-8") for top in PACKAGES for path in (HERE / top).rglob("*.py"))
    defined = set(re.findall(r"^\s*class (\w+)", source, re.M)) | set(
        re.findall(r"^([A-Z]\w+)\b[^=\n]*= ", source, re.M)
    )
    named = set(re.findall(r"\b([A-Z][a-z]+(?:[A-Z][a-z]+)+)\b", ARCHITECTURE))
    assert len(named) > 60
    assert named - defined == set()
    members = set(re.findall(r"\b([A-Z]\w+)\.([a-z_]+)\b", ARCHITECTURE))
    assert [f"{name}.{member}" for name, member in sorted(members) if not re.search(rf"\b{member}\b", source)] == []


def test_the_readme_names_every_folder():
    """Every folder with a tracked file is in the README's table."""
    tracked = subprocess.run(["git", "ls-files"], cwd=HERE, capture_output=True, text=True, check=False).stdout
    folders = {path.partition("/")[0] for path in tracked.splitlines() if "/" in path and not path.startswith(".")}
    assert folders <= set(re.findall(r"^\| `(\w+)/`", README, re.M))
