"""An installed Stanchion has all it needs: the wheel, unpacked elsewhere, finds its pages, languages and settings."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
PACKAGES = ("checkout", "configs", "controller", "edge", "static", "waiting_room")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
LOOK = """
import sys
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path
import checkout, configs, controller, edge, static, waiting_room
site = Path(sys.argv[1])
for package in (checkout, configs, controller, edge, static, waiting_room):
    assert Path(package.__file__).is_relative_to(site), package.__file__
from waiting_room.assets import Assets
from waiting_room.page import WaitingPage
from edge.settings.loading import parse_settings
page = WaitingPage(Assets.load(), "checkout", "Shop")
parse_settings((files("configs") / "demo.yaml").read_text("utf-8"))
assert version("stanchion")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents, built from a copy so that nothing is left in the source."""
    folder = tmp_path_factory.mktemp("wheel")
    source, out, site = folder / "source", folder / "out", folder / "site"
    for name in PACKAGES:
        shutil.copytree(HERE / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(HERE / name, source)
    out.mkdir()
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=source, capture_output=True, text=True, check=False, timeout=120
    )
    assert built.returncode == 0, built.stderr
    [wheel] = out.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    return site


def run_elsewhere(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the unpacked wheel first, in an empty folder."""
    empty = site.parent / "empty"
    empty.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_wheel_holds_every_file_of_the_packages(site: Path):
    """No page, style sheet, language, schema or settings file is forgotten; no test gets in."""
    wanted = {
        str(path.relative_to(HERE))
        for name in PACKAGES
        for path in (HERE / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    assert wanted - held == set()
    assert {name.partition("/")[0] for name in held} - set(PACKAGES) == {
        next(name.partition("/")[0] for name in held if ".dist-info/" in name)
    }


def test_the_installed_pages_and_settings_are_found(site: Path):
    """Static files, languages and the demo's settings load from the wheel, wherever one stands."""
    looked = run_elsewhere(site, "-c", LOOK, str(site))
    assert looked.returncode == 0, looked.stderr


def test_the_installed_command_works(site: Path):
    """`stanchion check` on the reference that came along, by the wheel's own code; the entry point names it."""
    checked = run_elsewhere(site, "-m", "edge.cli", "check", str(site / "configs" / "reference.yaml"))
    assert (checked.returncode, checked.stderr) == (0, "")
    [info] = site.glob("*.dist-info")
    assert "stanchion = edge.cli.main:main" in (info / "entry_points.txt").read_text("utf-8")
